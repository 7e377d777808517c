"""minGRU: nothing reads the state but the sum. Feng, Tung, Ahmed, Bengio & Hajimirsadeghi 2024, section 3.1."""

from derive.notation import Sum, cell, j, n, sigmoid, t


@cell(states="h", gates="z g")
def mingru(x, h, W, b, z, g):
    z[t, n] = sigmoid(Sum(W[z][n, j] * x[t, j], j) + b[z][n])
    g[t, n] = Sum(W[g][n, j] * x[t, j], j) + b[g][n]
    h[t, n] = (1 - z[t, n]) * h[t - 1, n] + z[t, n] * g[t, n]
