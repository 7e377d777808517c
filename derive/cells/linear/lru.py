"""Linear recurrent unit: a complex diagonal as two real states. Orvieto et al. 2023, with its normaliser."""

from derive.notation import Sum, cell, cos, exp, j, m, n, sin, sqrt, t


@cell(states="y u v", nu="p", theta="q", in_re="A", in_im="D", out_re="C", out_im="E", skip="F")
def lru(x, y, u, v, p, q, A, D, C, E, F, r, g):
    r[m] = exp(-exp(p[m]))
    g[m] = sqrt(1 - r[m] ** 2)
    u[t, m] = r[m] * (cos(q[m]) * u[t - 1, m] - sin(q[m]) * v[t - 1, m]) + g[m] * Sum(A[m, j] * x[t, j], j)
    v[t, m] = r[m] * (sin(q[m]) * u[t - 1, m] + cos(q[m]) * v[t - 1, m]) + g[m] * Sum(D[m, j] * x[t, j], j)
    y[t, n] = Sum(C[n, m] * u[t, m], m) - Sum(E[n, m] * v[t, m], m) + Sum(F[n, j] * x[t, j], j)
