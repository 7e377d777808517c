"""Recurrent additive network. Lee, Levy & Zettlemoyer 2017."""

from derive.notation import Sum, cell, j, k, n, sigmoid, t, tanh


@cell(states="h c", gates="i f", content="C")
def ran(x, h, c, W, U, b, C, i, f):
    for q in (i, f):
        q[t, n] = sigmoid(Sum(W[q][n, j] * x[t, j], j) + Sum(U[q][n, k] * h[t - 1, k], k) + b[q][n])
    c[t, n] = i[t, n] * Sum(C[n, j] * x[t, j], j) + f[t, n] * c[t - 1, n]
    h[t, n] = tanh(c[t, n])
