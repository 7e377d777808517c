"""Nested LSTM: the memory of the outer is the output of an inner one. Moniz & Krueger 2017."""

from derive.notation import Sum, cell, j, k, n, sigmoid, t, tanh


@cell(states="h c e", gates="i f g o", inner_x="A", inner_h="R", inner_b="d")
def nested_lstm(x, h, c, e, W, U, b, A, R, d, z, a, u, v, i, f, g, o):
    for q in (i, f, g, o):
        z[q][t, n] = Sum(W[q][n, j] * x[t, j], j) + Sum(U[q][n, k] * h[t - 1, k], k) + b[q][n]
    u[t, n] = sigmoid(z[i][t, n]) * tanh(z[g][t, n])
    v[t, n] = sigmoid(z[f][t, n]) * c[t - 1, n]
    for q in (i, f, g, o):
        a[q][t, n] = Sum(A[q][n, k] * u[t, k], k) + Sum(R[q][n, k] * v[t, k], k) + d[q][n]
    e[t, n] = sigmoid(a[f][t, n]) * e[t - 1, n] + sigmoid(a[i][t, n]) * tanh(a[g][t, n])
    c[t, n] = sigmoid(a[o][t, n]) * tanh(e[t, n])
    h[t, n] = sigmoid(z[o][t, n]) * tanh(c[t, n])
