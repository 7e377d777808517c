"""FastRNN. Kusupati et al. 2018, section 3.1; alpha and beta through a sigmoid."""

from derive.notation import Sum, cell, j, k, n, sigmoid, t, tanh


@cell(states="h", alpha_="p", beta_="q")
def fastrnn(x, h, W, U, b, p, q, g):
    g[t, n] = tanh(Sum(W[n, j] * x[t, j], j) + Sum(U[n, k] * h[t - 1, k], k) + b[n])
    h[t, n] = sigmoid(p[()]) * g[t, n] + sigmoid(q[()]) * h[t - 1, n]
