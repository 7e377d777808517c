"""GRU under layer normalisation: each product has statistics of its own. Ba, Kiros & Hinton 2016, supplement."""

from derive.notation import H, Rational, Sum, cell, i, j, k, sigmoid, sqrt, t, tanh

eps = Rational(1, 100000)


@cell(states="h", gates="r z n", gain_ih="gamma_x", gain_hh="gamma_h", bias_ih="b", bias_hh="v")
def gru_layernorm(x, h, W, U, gamma_x, gamma_h, b, v, a, s, mu_a, mu_s, var_a, var_s, u, w, r, z, n):
    for q in (r, z, n):
        a[q][t, i] = Sum(W[q][i, j] * x[t, j], j)
        s[q][t, i] = Sum(U[q][i, k] * h[t - 1, k], k)
    for of, mu, var, gain, shift, out in ((a, mu_a, var_a, gamma_x, b, u), (s, mu_s, var_s, gamma_h, v, w)):
        for part in ((r, z), (n,)):
            first = part[0]
            mu[first][t] = sum(Sum(of[q][t, i], i) for q in part) / (len(part) * H)
            var[first][t] = sum(Sum((of[q][t, i] - mu[first][t]) ** 2, i) for q in part) / (len(part) * H)
            for q in part:
                out[q][t, i] = gain[q][i] * (of[q][t, i] - mu[first][t]) / sqrt(var[first][t] + eps) + shift[q][i]
    r[t, i] = sigmoid(u[r][t, i] + w[r][t, i])
    z[t, i] = sigmoid(u[z][t, i] + w[z][t, i])
    n[t, i] = tanh(u[n][t, i] + r[t, i] * w[n][t, i])
    h[t, i] = (1 - z[t, i]) * h[t - 1, i] + z[t, i] * n[t, i]
