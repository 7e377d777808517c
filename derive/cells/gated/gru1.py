"""GRU1: gates read the state and a bias. Dey & Salem 2017, variant 1."""

from derive.notation import Sum, cell, j, k, n, sigmoid, t, tanh


@cell(states="h", gates="r z", gate_hh="G", shift="d")
def gru1(x, h, G, b, W, U, d, r, z, g):
    for q in (r, z):
        q[t, n] = sigmoid(Sum(G[q][n, k] * h[t - 1, k], k) + b[q][n])
    g[t, n] = tanh(Sum(W[n, j] * x[t, j], j) + Sum(U[n, k] * r[t, k] * h[t - 1, k], k) + d[n])
    h[t, n] = (1 - z[t, n]) * h[t - 1, n] + z[t, n] * g[t, n]
