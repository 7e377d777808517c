"""Recurrently neuromodulated bistable cell. Vecoven, Ernst & Drion 2021, eq. 9."""

from derive.notation import Sum, cell, j, k, n, sigmoid, t, tanh


@cell(states="h", gates="a c", cand="V")
def nbrc(x, h, W, U, V, a, c, g):
    a[t, n] = 1 + tanh(Sum(W[a][n, j] * x[t, j], j) + Sum(U[a][n, k] * h[t - 1, k], k))
    c[t, n] = sigmoid(Sum(W[c][n, j] * x[t, j], j) + Sum(U[c][n, k] * h[t - 1, k], k))
    g[t, n] = tanh(Sum(V[n, j] * x[t, j], j) + a[t, n] * h[t - 1, n])
    h[t, n] = c[t, n] * h[t - 1, n] + (1 - c[t, n]) * g[t, n]
