"""JANET: only the forget gate is left, its complement shifted by 1. Van der Westhuizen & Lasenby 2018."""

from derive.notation import Sum, cell, j, k, n, sigmoid, t, tanh


@cell(states="c", gates="s g")
def janet(x, c, W, U, b, s, g):
    s[t, n] = Sum(W[s][n, j] * x[t, j], j) + Sum(U[s][n, k] * c[t - 1, k], k) + b[s][n]
    g[t, n] = tanh(Sum(W[g][n, j] * x[t, j], j) + Sum(U[g][n, k] * c[t - 1, k], k) + b[g][n])
    c[t, n] = sigmoid(s[t, n]) * c[t - 1, n] + (1 - sigmoid(s[t, n] - 1)) * g[t, n]
