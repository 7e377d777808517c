"""Multiplicative RNN: the input chooses the recurrent matrix, in factors. Sutskever, Martens & Hinton 2011."""

from derive.notation import Sum, cell, j, k, m, n, t, tanh


@cell(states="h", factor_x="A", factor_h="D", out_factor="E")
def mrnn(x, h, A, D, E, W, b, f):
    f[t, m] = Sum(A[m, j] * x[t, j], j) * Sum(D[m, k] * h[t - 1, k], k)
    h[t, n] = tanh(Sum(E[n, m] * f[t, m], m) + Sum(W[n, j] * x[t, j], j) + b[n])
