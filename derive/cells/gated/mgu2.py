"""MGU2: the gate reads the state only. Heck & Salem 2017."""

from derive.notation import Sum, cell, j, k, n, sigmoid, t, tanh


@cell(states="h", gate_hh="F")
def mgu2(x, h, F, W, U, b, f, g):
    f[t, n] = sigmoid(Sum(F[n, k] * h[t - 1, k], k))
    g[t, n] = tanh(Sum(W[n, j] * x[t, j], j) + Sum(U[n, k] * f[t, k] * h[t - 1, k], k) + b[n])
    h[t, n] = (1 - f[t, n]) * h[t - 1, n] + f[t, n] * g[t, n]
