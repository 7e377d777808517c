"""Continuous-time RNN by Euler's method, a time constant for each unit. Funahashi & Nakamura 1993."""

from derive.notation import Sum, cell, exp, j, k, n, t, tanh


@cell(states="r v", tau="q", constants={"dt": 0.25})
def ctrnn(x, r, v, W, U, b, q, s, dt):
    s[t, n] = Sum(U[n, k] * r[t - 1, k], k) + Sum(W[n, j] * x[t, j], j) + b[n]
    v[t, n] = v[t - 1, n] + dt * (s[t, n] - v[t - 1, n]) / (1 + exp(q[n]))
    r[t, n] = tanh(v[t, n])
