"""MUT2, found by search. Jozefowicz, Zaremba & Sutskever 2015; the x of its reset is E x, of the size of the state."""

from derive.notation import Sum, cell, j, k, n, sigmoid, t, tanh


@cell(states="h", gates="z r", embed="E", cand_x="C", cand_h="D")
def mut2(x, h, W, U, b, E, C, D, bh, z, r, g):
    z[t, n] = sigmoid(Sum(W[n, j] * x[t, j], j) + Sum(U[z][n, k] * h[t - 1, k], k) + b[z][n])
    r[t, n] = sigmoid(Sum(E[n, j] * x[t, j], j) + Sum(U[r][n, k] * h[t - 1, k], k) + b[r][n])
    g[t, n] = tanh(Sum(D[n, k] * r[t, k] * h[t - 1, k], k) + Sum(C[n, j] * x[t, j], j) + bh[n])
    h[t, n] = g[t, n] * z[t, n] + h[t - 1, n] * (1 - z[t, n])
