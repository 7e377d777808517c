"""Strongly typed RNN. Balduzzi & Ghifary 2016, T-RNN."""

from derive.notation import Sum, cell, j, n, sigmoid, t


@cell(states="h", forget="V")
def trnn(x, h, W, V, b, z, f):
    z[t, n] = Sum(W[n, j] * x[t, j], j)
    f[t, n] = sigmoid(Sum(V[n, j] * x[t, j], j) + b[n])
    h[t, n] = f[t, n] * h[t - 1, n] + (1 - f[t, n]) * z[t, n]
