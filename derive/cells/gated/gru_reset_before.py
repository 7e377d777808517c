"""Gated recurrent unit with the reset before the product. Cho et al. 2014, eqs. 5-8: there z keeps the state."""

from derive.notation import Sum, cell, j, k, n, sigmoid, t, tanh


@cell(states="h", gates="r z g")
def gru_reset_before(x, h, W, U, b, r, z, g):
    for q in (r, z):
        q[t, n] = sigmoid(Sum(W[q][n, j] * x[t, j], j) + Sum(U[q][n, k] * h[t - 1, k], k) + b[q][n])
    g[t, n] = tanh(Sum(W[g][n, j] * x[t, j], j) + Sum(U[g][n, k] * r[t, k] * h[t - 1, k], k) + b[g][n])
    h[t, n] = z[t, n] * h[t - 1, n] + (1 - z[t, n]) * g[t, n]
