"""Light GRU. Ravanelli, Brakel, Omologo & Bengio 2018, without its batch normalisation."""

from derive.notation import Sum, cell, j, k, n, relu, sigmoid, t


@cell(states="h", gates="z g")
def ligru(x, h, W, U, z, g):
    z[t, n] = sigmoid(Sum(W[z][n, j] * x[t, j], j) + Sum(U[z][n, k] * h[t - 1, k], k))
    g[t, n] = relu(Sum(W[g][n, j] * x[t, j], j) + Sum(U[g][n, k] * h[t - 1, k], k))
    h[t, n] = z[t, n] * h[t - 1, n] + (1 - z[t, n]) * g[t, n]
