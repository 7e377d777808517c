"""Independently recurrent units. Li, Li, Cook, Zhu & Gao 2018, eq. 2, with rectified linear units."""

from derive.notation import Sum, cell, j, n, relu, t


@cell(states="h")
def indrnn(x, h, W, u, b):
    h[t, n] = relu(Sum(W[n, j] * x[t, j], j) + u[n] * h[t - 1, n] + b[n])
