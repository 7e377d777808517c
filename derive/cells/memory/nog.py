"""LSTM variant NOG, no output gate: o = 1. Greff et al. 2017."""

from derive.notation import Sum, cell, j, k, n, sigmoid, t, tanh


@cell(states="h c", gates="i f g", peephole="p")
def nog(x, h, c, W, U, b, p, z, i, f, g):
    for q in (i, f, g):
        z[q][t, n] = Sum(W[q][n, j] * x[t, j], j) + Sum(U[q][n, k] * h[t - 1, k], k) + b[q][n]
    i[t, n] = sigmoid(z[i][t, n] + p[i][n] * c[t - 1, n])
    f[t, n] = sigmoid(z[f][t, n] + p[f][n] * c[t - 1, n])
    g[t, n] = tanh(z[g][t, n])
    c[t, n] = f[t, n] * c[t - 1, n] + i[t, n] * g[t, n]
    h[t, n] = tanh(c[t, n])
