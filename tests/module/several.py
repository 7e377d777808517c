"""A cell with three inputs of different sizes: x is used twice, u meets a matrix, and m, of the size of the units, multiplies."""

import sympy

from derive.notation import Sum, cell, j, k, n, t, tanh

p = sympy.Symbol("p")
NAMES = ("x", "u", "m")


@cell(states="h s", inputs="m")
def several(x, u, h, s, m, W, R, U, P, A, b, d):
    """Three inputs."""
    s[t, k] = tanh(Sum(A[k, j] * x[t, j], j) + d[k] * s[t - 1, k])
    h[t, n] = m[t, n] * h[t - 1, n] + (1 - m[t, n]) * tanh(
        Sum(W[n, j] * x[t, j], j)
        + Sum(R[n, p] * u[t, p], p)
        + Sum(U[n, k] * h[t - 1, k], k)
        + Sum(P[n, k] * s[t, k], k)
        + b[n]
    )
