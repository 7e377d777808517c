"""Stackable recurrent cell. Turkoglu, D'Aronco, Wegner & Schindler 2021."""

from derive.notation import Sum, cell, j, k, n, sigmoid, t, tanh


@cell(states="h", gates="z k_")
def star(x, h, W, U, b, z, k_):
    z[t, n] = tanh(Sum(W[z][n, j] * x[t, j], j) + b[z][n])
    k_[t, n] = sigmoid(Sum(W[k_][n, j] * x[t, j], j) + Sum(U[n, k] * h[t - 1, k], k) + b[k_][n])
    h[t, n] = tanh((1 - k_[t, n]) * h[t - 1, n] + k_[t, n] * z[t, n])
