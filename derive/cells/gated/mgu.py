"""Minimal gated unit. Zhou, Wu, Zhang & Zhou 2016."""

from derive.notation import Sum, cell, j, k, n, sigmoid, t, tanh


@cell(states="h", gates="f g")
def mgu(x, h, W, U, b, f, g):
    f[t, n] = sigmoid(Sum(W[f][n, j] * x[t, j], j) + Sum(U[f][n, k] * h[t - 1, k], k) + b[f][n])
    g[t, n] = tanh(Sum(W[g][n, j] * x[t, j], j) + Sum(U[g][n, k] * f[t, k] * h[t - 1, k], k) + b[g][n])
    h[t, n] = (1 - f[t, n]) * h[t - 1, n] + f[t, n] * g[t, n]
