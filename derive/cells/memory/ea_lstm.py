"""Entity-aware LSTM: the input gate reads static features s, given at each step. Kratzert et al. 2019, eqs. 7-12."""

from derive.notation import Sum, cell, j, k, m, n, sigmoid, t, tanh


@cell(states="h c", gates="f g o", inputs="x s", weight_static="S", bias_static="d")
def ea_lstm(x, s, h, c, W, U, b, S, d, z, i, f, g, o):
    for q in (f, g, o):
        z[q][t, n] = Sum(W[q][n, j] * x[t, j], j) + Sum(U[q][n, k] * h[t - 1, k], k) + b[q][n]
    i[t, n] = sigmoid(Sum(S[n, m] * s[t, m], m) + d[n])
    f[t, n] = sigmoid(z[f][t, n])
    g[t, n] = tanh(z[g][t, n])
    o[t, n] = sigmoid(z[o][t, n])
    c[t, n] = f[t, n] * c[t - 1, n] + i[t, n] * g[t, n]
    h[t, n] = o[t, n] * tanh(c[t, n])
