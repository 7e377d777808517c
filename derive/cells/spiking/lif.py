"""Leaky integrate-and-fire neurons with reset; the surrogate of the spike is 1/(1 + (pi v)^2). Neftci, Mostafa & Zenke 2019."""

from derive.notation import Sum, cell, function, j, k, n, pi, t, where

spike = function("spike", lambda v: where(v > 0, 1, 0), derivative=lambda v: 1 / (1 + (pi * v) ** 2))


@cell(states="s v", constants={"alpha": 0.9})
def lif(x, s, v, W, U, alpha):
    v[t, n] = alpha * v[t - 1, n] * (1 - s[t - 1, n]) + Sum(W[n, j] * x[t, j], j) + Sum(U[n, k] * s[t - 1, k], k)
    s[t, n] = spike(v[t, n] - 1)
