"""MinimalRNN: the input enters by a latent z alone. Chen 2017."""

from derive.notation import Sum, cell, j, k, n, sigmoid, t, tanh


@cell(states="h", latent="A", latent_b="d")
def minimal_rnn(x, h, A, d, W, U, b, z, u):
    z[t, n] = tanh(Sum(A[n, j] * x[t, j], j) + d[n])
    u[t, n] = sigmoid(Sum(U[n, k] * h[t - 1, k], k) + Sum(W[n, k] * z[t, k], k) + b[n])
    h[t, n] = u[t, n] * h[t - 1, n] + (1 - u[t, n]) * z[t, n]
