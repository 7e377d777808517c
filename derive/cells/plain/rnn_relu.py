"""Simple recurrent network of rectified linear units. Le, Jaitly & Hinton 2015 (IRNN: U starts as the identity)."""

from derive.notation import Sum, cell, j, k, n, relu, t


@cell(states="h")
def rnn_relu(x, h, W, U, b):
    h[t, n] = relu(Sum(W[n, j] * x[t, j], j) + Sum(U[n, k] * h[t - 1, k], k) + b[n])
