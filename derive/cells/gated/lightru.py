"""Light recurrent unit: the candidate reads the input only. Ye, Yang, Liu, Bai, Dai & Luo 2024."""

from derive.notation import Sum, cell, j, k, n, sigmoid, t, tanh


@cell(states="h", gates="f g")
def lightru(x, h, W, U, b, f, g):
    g[t, n] = tanh(Sum(W[g][n, j] * x[t, j], j))
    f[t, n] = sigmoid(Sum(W[f][n, j] * x[t, j], j) + Sum(U[n, k] * h[t - 1, k], k) + b[n])
    h[t, n] = (1 - f[t, n]) * h[t - 1, n] + f[t, n] * g[t, n]
