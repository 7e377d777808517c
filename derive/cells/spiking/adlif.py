"""Adaptive LIF: a current w follows the potential u and the spikes s. Bittar & Garner 2022, eqs. 8-10."""

from derive.notation import Sum, cell, function, j, k, n, pi, t, value, where

spike = function("spike", lambda v: where(v > 0, 1, 0), derivative=lambda v: 1 / (1 + (pi * v) ** 2))


@cell(states="s u w", b="b")
def adlif(x, s, u, w, W, U, alpha, beta, a, b):
    current = value("current")
    current[t, n] = Sum(W[n, j] * x[t, j], j) + Sum(U[n, k] * s[t - 1, k], k)
    w[t, n] = beta[n] * w[t - 1, n] + (1 - beta[n]) * a[n] * u[t - 1, n] + b[n] * s[t - 1, n]
    u[t, n] = alpha[n] * (u[t - 1, n] - s[t - 1, n]) + (1 - alpha[n]) * (current[t, n] - w[t - 1, n])
    s[t, n] = spike(u[t, n] - 1)
