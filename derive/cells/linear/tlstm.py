"""Strongly typed LSTM. Balduzzi & Ghifary 2016, T-LSTM."""

from derive.notation import Sum, cell, j, n, sigmoid, t, tanh


@cell(states="h c", gates="z f o", weight_before="V")
def tlstm(x, h, c, W, V, b, z, f, o):
    z[t, n] = Sum(V[z][n, j] * x[t - 1, j], j) + Sum(W[z][n, j] * x[t, j], j) + b[z][n]
    f[t, n] = sigmoid(Sum(V[f][n, j] * x[t - 1, j], j) + Sum(W[f][n, j] * x[t, j], j) + b[f][n])
    o[t, n] = tanh(Sum(V[o][n, j] * x[t - 1, j], j) + Sum(W[o][n, j] * x[t, j], j) + b[o][n])
    c[t, n] = f[t, n] * c[t - 1, n] + (1 - f[t, n]) * z[t, n]
    h[t, n] = c[t, n] * o[t, n]
