"""Lipschitz RNN by Euler's method, beta = 3/4, gamma = 1/100, dt = 1/8. Erichson, Azencot, Queiruga, Hodgkinson & Mahoney 2021."""

from derive.notation import Sum, cell, j, k, n, t, tanh


@cell(states="h", inner_a="M", inner_w="N")
def lipschitz(x, h, M, N, W, b, f, g):
    f[t, n] = Sum(M[n, k] * h[t - 1, k], k) - Sum(M[k, n] * h[t - 1, k], k) / 2 - h[t - 1, n] / 100
    g[t, n] = Sum(N[n, k] * h[t - 1, k], k) - Sum(N[k, n] * h[t - 1, k], k) / 2 - h[t - 1, n] / 100
    h[t, n] = h[t - 1, n] + (f[t, n] + tanh(g[t, n] + Sum(W[n, j] * x[t, j], j) + b[n])) / 8
