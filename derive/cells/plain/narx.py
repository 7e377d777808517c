"""Two steps of memory; the step before is kept in a state of its own. Lin, Horne, Tino & Giles 1996."""

from derive.notation import Sum, cell, j, k, n, t, tanh


@cell(states="h d", taps_1="A", taps_2="C")
def narx(x, h, d, W, A, C, b):
    d[t, n] = h[t - 1, n]
    h[t, n] = tanh(Sum(W[n, j] * x[t, j], j) + Sum(A[n, k] * h[t - 1, k], k) + Sum(C[n, k] * d[t - 1, k], k) + b[n])
