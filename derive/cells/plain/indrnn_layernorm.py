"""Independently recurrent units under layer normalisation. Li, Li, Cook, Zhu & Gao 2018, eq. 2; Ba, Kiros & Hinton 2016, eq. 4."""

from derive.notation import Sum, cell, j, n, relu, t
from derive.notation.pieces import layer_norm


@cell(states="h", gain="g", bias="b", init={"g": 1, "b": 0})
def indrnn_layernorm(x, h, W, u, g, b):
    h[t, n] = relu(layer_norm(Sum(W[n, j] * x[t, j], j) + u[n] * h[t - 1, n], g, b))
