"""Simple recurrent network. Elman 1990, "Finding structure in time"."""

from derive.notation import Sum, cell, j, k, n, t, tanh


@cell(states="h")
def rnn(x, h, W, U, b, z):
    z[t, n] = Sum(W[n, j] * x[t, j], j) + Sum(U[n, k] * h[t - 1, k], k) + b[n]
    h[t, n] = tanh(z[t, n])
