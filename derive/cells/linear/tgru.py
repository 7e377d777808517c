"""Strongly typed GRU. Balduzzi & Ghifary 2016, T-GRU."""

from derive.notation import Sum, cell, j, n, sigmoid, t, tanh


@cell(states="h", gates="z f o", weight_before="V")
def tgru(x, h, W, V, b, z, f, o):
    z[t, n] = Sum(V[z][n, j] * x[t - 1, j], j) + Sum(W[z][n, j] * x[t, j], j) + b[z][n]
    f[t, n] = sigmoid(Sum(V[f][n, j] * x[t - 1, j], j) + Sum(W[f][n, j] * x[t, j], j) + b[f][n])
    o[t, n] = tanh(Sum(V[o][n, j] * x[t - 1, j], j) + Sum(W[o][n, j] * x[t, j], j) + b[o][n])
    h[t, n] = f[t, n] * h[t - 1, n] + z[t, n] * o[t, n]
