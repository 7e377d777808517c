"""Leaky integrators of echo state networks. Jaeger, Lukosevicius, Popovici & Siewert 2007."""

from derive.notation import Sum, cell, j, k, n, sigmoid, t, tanh


@cell(states="h", rate="a")
def leaky(x, h, W, U, b, a):
    h[t, n] = (1 - sigmoid(a[()])) * h[t - 1, n] \
        + sigmoid(a[()]) * tanh(Sum(W[n, j] * x[t, j], j) + Sum(U[n, k] * h[t - 1, k], k) + b[n])
