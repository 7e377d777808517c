"""Liquid time-constant network, one fused step of dt = 1/4. Hasani, Lechner, Amini, Rus & Grosu 2021, eq. 3."""

from derive.notation import Sum, cell, exp, j, k, n, sigmoid, t


@cell(states="v", reversal="a", tau="q")
def ltc(x, v, W, U, b, a, q, f):
    f[t, n] = sigmoid(Sum(W[n, j] * x[t, j], j) + Sum(U[n, k] * v[t - 1, k], k) + b[n])
    v[t, n] = (v[t - 1, n] + f[t, n] * a[n] / 4) / (1 + (exp(-q[n]) + f[t, n]) / 4)
