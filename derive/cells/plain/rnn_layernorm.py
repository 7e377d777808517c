"""Simple recurrent network under layer normalisation. Ba, Kiros & Hinton 2016, eq. 4."""

from derive.notation import H, Rational, Sum, cell, j, k, n, sqrt, t, tanh


@cell(states="h", gain="g", bias="b")
def rnn_layernorm(x, h, W, U, g, b, a, mu, var):
    a[t, n] = Sum(W[n, j] * x[t, j], j) + Sum(U[n, k] * h[t - 1, k], k)
    mu[t] = Sum(a[t, n], n) / H
    var[t] = Sum((a[t, n] - mu[t]) ** 2, n) / H
    h[t, n] = tanh(g[n] * (a[t, n] - mu[t]) / sqrt(var[t] + Rational(1, 100000)) + b[n])
