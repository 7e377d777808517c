"""Closed-form continuous-time cell. Hasani et al. 2022; s is a number a step, the time that passes, (T, B)."""

from derive.notation import Sum, cell, j, k, m, n, sigmoid, t, tanh


@cell(states="h", gates="f g a c", inputs="x s", head="A", head_b="e")
def cfc(x, s, h, W, U, b, A, e, z, v, f, g, a, c):
    z[t, m] = 1.7159 * tanh(0.666 * (Sum(W[m, j] * x[t, j], j) + Sum(U[m, k] * h[t - 1, k], k) + b[m]))
    for q in (f, g, a, c):
        v[q][t, n] = Sum(A[q][n, m] * z[t, m], m) + e[q][n]
    f[t, n] = sigmoid(v[a][t, n] * s[t] + v[c][t, n])
    h[t, n] = tanh(v[f][t, n]) * (1 - f[t, n]) + f[t, n] * tanh(v[g][t, n])
