"""Two steps of memory. Lin, Horne, Tino & Giles 1996."""

from derive.notation import Sum, cell, j, k, n, t, tanh


@cell(states="h", taps_1="A", taps_2="C")
def narx(x, h, W, A, C, b):
    h[t, n] = tanh(Sum(W[n, j] * x[t, j], j) + Sum(A[n, k] * h[t - 1, k], k) + Sum(C[n, k] * h[t - 2, k], k) + b[n])
