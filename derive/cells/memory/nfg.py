"""LSTM variant NFG, no forget gate: f = 1. Greff et al. 2017; Hochreiter & Schmidhuber 1997 with peepholes."""

from derive.notation import Sum, cell, j, k, n, sigmoid, t, tanh


@cell(states="h c", gates="i g o", peephole="p")
def nfg(x, h, c, W, U, b, p, z, i, g, o):
    for q in (i, g, o):
        z[q][t, n] = Sum(W[q][n, j] * x[t, j], j) + Sum(U[q][n, k] * h[t - 1, k], k) + b[q][n]
    i[t, n] = sigmoid(z[i][t, n] + p[i][n] * c[t - 1, n])
    g[t, n] = tanh(z[g][t, n])
    c[t, n] = c[t - 1, n] + i[t, n] * g[t, n]
    o[t, n] = sigmoid(z[o][t, n] + p[o][n] * c[t, n])
    h[t, n] = o[t, n] * tanh(c[t, n])
