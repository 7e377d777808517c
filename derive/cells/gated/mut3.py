"""MUT3, found by search. Jozefowicz, Zaremba & Sutskever 2015."""

from derive.notation import Sum, cell, j, k, n, sigmoid, t, tanh


@cell(states="h", gates="z r g")
def mut3(x, h, W, U, b, z, r, g):
    z[t, n] = sigmoid(Sum(W[z][n, j] * x[t, j], j) + Sum(U[z][n, k] * tanh(h[t - 1, k]), k) + b[z][n])
    r[t, n] = sigmoid(Sum(W[r][n, j] * x[t, j], j) + Sum(U[r][n, k] * h[t - 1, k], k) + b[r][n])
    g[t, n] = tanh(Sum(U[g][n, k] * r[t, k] * h[t - 1, k], k) + Sum(W[g][n, j] * x[t, j], j) + b[g][n])
    h[t, n] = g[t, n] * z[t, n] + h[t - 1, n] * (1 - z[t, n])
