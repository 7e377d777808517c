"""LSTM variant CIFG, coupled input and forget gate: i = 1 - f. Greff et al. 2017."""

from derive.notation import Sum, cell, j, k, n, sigmoid, t, tanh


@cell(states="h c", gates="f g o", peephole="p")
def cifg(x, h, c, W, U, b, p, z, f, g, o):
    for q in (f, g, o):
        z[q][t, n] = Sum(W[q][n, j] * x[t, j], j) + Sum(U[q][n, k] * h[t - 1, k], k) + b[q][n]
    f[t, n] = sigmoid(z[f][t, n] + p[f][n] * c[t - 1, n])
    g[t, n] = tanh(z[g][t, n])
    c[t, n] = f[t, n] * c[t - 1, n] + (1 - f[t, n]) * g[t, n]
    o[t, n] = sigmoid(z[o][t, n] + p[o][n] * c[t, n])
    h[t, n] = o[t, n] * tanh(c[t, n])
