"""Bistable recurrent cell. Vecoven, Ernst & Drion 2021, eq. 8."""

from derive.notation import Sum, cell, j, n, sigmoid, t, tanh


@cell(states="h", gates="a c g", weight_ih="U")
def brc(x, h, U, w_a, w_c, a, c, g):
    a[t, n] = 1 + tanh(Sum(U[a][n, j] * x[t, j], j) + w_a[n] * h[t - 1, n])
    c[t, n] = sigmoid(Sum(U[c][n, j] * x[t, j], j) + w_c[n] * h[t - 1, n])
    g[t, n] = tanh(Sum(U[g][n, j] * x[t, j], j) + a[t, n] * h[t - 1, n])
    h[t, n] = c[t, n] * h[t - 1, n] + (1 - c[t, n]) * g[t, n]
