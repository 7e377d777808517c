"""Liquid time-constant network, one fused step of dt. Hasani, Lechner, Amini, Rus & Grosu 2021, eq. 3."""

from derive.notation import Sum, cell, exp, j, k, n, sigmoid, t


@cell(states="v", reversal="a", tau="q", constants={"dt": 0.25})
def ltc(x, v, W, U, b, a, q, f, dt):
    f[t, n] = sigmoid(Sum(W[n, j] * x[t, j], j) + Sum(U[n, k] * v[t - 1, k], k) + b[n])
    v[t, n] = (v[t - 1, n] + dt * f[t, n] * a[n]) / (1 + dt * (exp(-q[n]) + f[t, n]))
