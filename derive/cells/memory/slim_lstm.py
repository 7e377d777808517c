"""SLIM LSTM 2: gates read the state only. Lu & Salem 2017."""

from derive.notation import Sum, cell, j, k, n, sigmoid, t, tanh


@cell(states="h c", gates="i f o", gate_hh="G")
def slim_lstm(x, h, c, G, W, U, b, i, f, g, o):
    for q in (i, f, o):
        q[t, n] = sigmoid(Sum(G[q][n, k] * h[t - 1, k], k))
    g[t, n] = tanh(Sum(W[n, j] * x[t, j], j) + Sum(U[n, k] * h[t - 1, k], k) + b[n])
    c[t, n] = f[t, n] * c[t - 1, n] + i[t, n] * g[t, n]
    h[t, n] = o[t, n] * tanh(c[t, n])
