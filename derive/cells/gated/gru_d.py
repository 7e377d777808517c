"""GRU-D for series with gaps. Che, Purushotham, Cho, Sontag & Liu 2018: mask m, time since the last value delta, last value l."""

from derive.notation import Sum, cell, exp, j, k, n, relu, sigmoid, t, tanh


@cell(states="h l", gates="r z g", inputs="x m delta", weight_mask="V", mean="x_", decay_x="w", decay_x_b="c", decay_h="D", decay_h_b="d")
def gru_d(x, m, delta, h, l, W, U, V, b, x_, w, c, D, d, p, q_, y, e, r, z, g):
    p[t, j] = exp(-relu(w[j] * delta[t, j] + c[j]))
    q_[t, n] = exp(-relu(Sum(D[n, j] * delta[t, j], j) + d[n]))
    y[t, j] = m[t, j] * x[t, j] + (1 - m[t, j]) * (p[t, j] * l[t - 1, j] + (1 - p[t, j]) * x_[j])
    l[t, j] = m[t, j] * x[t, j] + (1 - m[t, j]) * l[t - 1, j]
    e[t, n] = q_[t, n] * h[t - 1, n]
    for q in (r, z):
        q[t, n] = sigmoid(Sum(W[q][n, j] * y[t, j], j) + Sum(U[q][n, k] * e[t, k], k) + Sum(V[q][n, j] * m[t, j], j) + b[q][n])
    g[t, n] = tanh(Sum(W[g][n, j] * y[t, j], j) + Sum(U[g][n, k] * r[t, k] * e[t, k], k) + Sum(V[g][n, j] * m[t, j], j) + b[g][n])
    h[t, n] = (1 - z[t, n]) * e[t, n] + z[t, n] * g[t, n]
