"""Update gate RNN. Collins, Sohl-Dickstein & Sussillo 2017."""

from derive.notation import Sum, cell, j, k, n, sigmoid, t, tanh


@cell(states="h", gates="c g")
def ugrnn(x, h, W, U, b, c, g):
    c[t, n] = tanh(Sum(W[c][n, j] * x[t, j], j) + Sum(U[c][n, k] * h[t - 1, k], k) + b[c][n])
    g[t, n] = sigmoid(Sum(W[g][n, j] * x[t, j], j) + Sum(U[g][n, k] * h[t - 1, k], k) + b[g][n])
    h[t, n] = g[t, n] * h[t - 1, n] + (1 - g[t, n]) * c[t, n]
