"""LSTM with layer normalisation. Ba, Kiros & Hinton 2016, eqs. 20-22: statistics over all gates of a step."""

from derive.notation import H, Rational, Sum, cell, j, k, n, sigmoid, sqrt, t, tanh

eps = Rational(1, 100000)
ONES = {"gamma_x": 1, "gamma_h": 1, "gamma_c": 1}


@cell(states="h c", gates="i f g o", gain_ih="gamma_x", gain_hh="gamma_h", gain_c="gamma_c", bias_c="beta_c", init=ONES)
def lstm_layernorm(
    x,
    h,
    c,
    W,
    U,
    b,
    gamma_x,
    gamma_h,
    gamma_c,
    beta_c,
    a,
    s,
    z,
    mu_a,
    mu_s,
    mu_c,
    var_a,
    var_s,
    var_c,
    rho_a,
    rho_s,
    rho_c,
    i,
    f,
    g,
    o,
):
    gates = (i, f, g, o)
    for q in gates:
        a[q][t, n] = Sum(W[q][n, j] * x[t, j], j)
        s[q][t, n] = Sum(U[q][n, k] * h[t - 1, k], k)
    for v, mu, var, rho in ((a, mu_a, var_a, rho_a), (s, mu_s, var_s, rho_s)):
        mu[t] = sum(Sum(v[q][t, n], n) for q in gates) / (4 * H)
        var[t] = sum(Sum((v[q][t, n] - mu[t]) ** 2, n) for q in gates) / (4 * H)
        rho[t] = 1 / sqrt(var[t] + eps)
    for q in gates:
        z[q][t, n] = (
            gamma_x[q][n] * (a[q][t, n] - mu_a[t]) * rho_a[t]
            + gamma_h[q][n] * (s[q][t, n] - mu_s[t]) * rho_s[t]
            + b[q][n]
        )
    i[t, n] = sigmoid(z[i][t, n])
    f[t, n] = sigmoid(z[f][t, n])
    g[t, n] = tanh(z[g][t, n])
    o[t, n] = sigmoid(z[o][t, n])
    c[t, n] = f[t, n] * c[t - 1, n] + i[t, n] * g[t, n]
    mu_c[t] = Sum(c[t, n], n) / H
    var_c[t] = Sum((c[t, n] - mu_c[t]) ** 2, n) / H
    rho_c[t] = 1 / sqrt(var_c[t] + eps)
    h[t, n] = o[t, n] * tanh(gamma_c[n] * (c[t, n] - mu_c[t]) * rho_c[t] + beta_c[n])
