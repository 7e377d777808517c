"""Simple recurrent network under layer normalisation. Ba, Kiros & Hinton 2016, eq. 4."""

from derive.notation import Sum, cell, j, k, n, t, tanh
from derive.notation.pieces import layer_norm


@cell(states="h", gain="g", bias="b", init={"g": 1, "b": 0})
def rnn_layernorm(x, h, W, U, g, b):
    h[t, n] = tanh(layer_norm(Sum(W[n, j] * x[t, j], j) + Sum(U[n, k] * h[t - 1, k], k), g, b))
