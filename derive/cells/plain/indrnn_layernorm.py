"""Independently recurrent units under layer normalisation. Li, Li, Cook, Zhu & Gao 2018, eq. 2; Ba, Kiros & Hinton 2016, eq. 4."""

from derive.notation import H, Rational, Sum, cell, j, n, relu, sqrt, t


@cell(states="h", gain="g", bias="b")
def indrnn_layernorm(x, h, W, u, g, b, a, mu, var):
    a[t, n] = Sum(W[n, j] * x[t, j], j) + u[n] * h[t - 1, n]
    mu[t] = Sum(a[t, n], n) / H
    var[t] = Sum((a[t, n] - mu[t]) ** 2, n) / H
    h[t, n] = relu(g[n] * (a[t, n] - mu[t]) / sqrt(var[t] + Rational(1, 100000)) + b[n])
