"""MGU3: the gate is a bias. Heck & Salem 2017."""

from derive.notation import Sum, cell, j, k, n, sigmoid, t, tanh


@cell(states="h", gate_bias="d")
def mgu3(x, h, W, U, b, d, f, g):
    f[t, n] = sigmoid(d[n])
    g[t, n] = tanh(Sum(W[n, j] * x[t, j], j) + Sum(U[n, k] * f[t, k] * h[t - 1, k], k) + b[n])
    h[t, n] = (1 - f[t, n]) * h[t - 1, n] + f[t, n] * g[t, n]
