"""Multiplicative integration. Wu, Zhang, Zhang, Bengio & Salakhutdinov 2016, eq. 4."""

from derive.notation import Sum, cell, j, k, n, t, tanh


@cell(states="h", mi_alpha="a", mi_x="p", mi_h="q")
def mi_rnn(x, h, W, U, a, p, q, b, u, v):
    u[t, n] = Sum(W[n, j] * x[t, j], j)
    v[t, n] = Sum(U[n, k] * h[t - 1, k], k)
    h[t, n] = tanh(a[n] * u[t, n] * v[t, n] + q[n] * v[t, n] + p[n] * u[t, n] + b[n])
