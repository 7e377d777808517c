"""QRNN with fo-pooling over a window of two. Bradbury, Merity, Xiong & Socher 2017, eqs. 2 and 4."""

from derive.notation import Sum, cell, j, n, sigmoid, t, tanh


@cell(states="h c", gates="z f o", weight_before="V")
def qrnn(x, h, c, W, V, z, f, o):
    z[t, n] = tanh(Sum(V[z][n, j] * x[t - 1, j], j) + Sum(W[z][n, j] * x[t, j], j))
    f[t, n] = sigmoid(Sum(V[f][n, j] * x[t - 1, j], j) + Sum(W[f][n, j] * x[t, j], j))
    o[t, n] = sigmoid(Sum(V[o][n, j] * x[t - 1, j], j) + Sum(W[o][n, j] * x[t, j], j))
    c[t, n] = f[t, n] * c[t - 1, n] + (1 - f[t, n]) * z[t, n]
    h[t, n] = o[t, n] * c[t, n]
