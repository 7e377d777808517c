"""Minimal gated unit. Zhou et al. 2016. A cell that the package does not have, as a user would write it."""

from derive.notation import Sum, cell, j, k, n, sigmoid, t, tanh


@cell(states="h", gates="f g")
def mgu(x, h, W, U, b, a, s, f, g):
    for q in (f, g):
        a[q][t, n] = Sum(W[q][n, j] * x[t, j], j) + b[q][n]
    s[f][t, n] = Sum(U[f][n, k] * h[t - 1, k], k)
    f[t, n] = sigmoid(a[f][t, n] + s[f][t, n])
    s[g][t, n] = Sum(U[g][n, k] * f[t, k] * h[t - 1, k], k)
    g[t, n] = tanh(a[g][t, n] + s[g][t, n])
    h[t, n] = (1 - f[t, n]) * h[t - 1, n] + f[t, n] * g[t, n]
