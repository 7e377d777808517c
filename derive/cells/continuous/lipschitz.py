"""Lipschitz RNN by Euler's method. Erichson, Azencot, Queiruga, Hodgkinson & Mahoney 2021."""

from derive.notation import Sum, cell, j, k, n, t, tanh


@cell(states="h", inner_a="M", inner_w="N", constants={"beta": 0.75, "gamma": 0.01, "dt": 0.125})
def lipschitz(x, h, M, N, W, b, f, g, beta, gamma, dt):
    for P, q in ((M, f), (N, g)):  # of (1 - beta) (P + P') + beta (P - P') - gamma
        q[t, n] = Sum(P[n, k] * h[t - 1, k], k) + (1 - 2 * beta) * Sum(P[k, n] * h[t - 1, k], k) - gamma * h[t - 1, n]
    h[t, n] = h[t - 1, n] + dt * (f[t, n] + tanh(g[t, n] + Sum(W[n, j] * x[t, j], j) + b[n]))
