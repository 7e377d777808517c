"""Selective state space, one state for each channel. Gu & Dao 2023 (Mamba), eqs. 2 and 4; the input is projected."""

from derive.notation import Sum, cell, exp, expm1, j, k, n, softplus, t


@cell(states="y h", embed="E", step="S", width="d", log_a="p", rate="A", read="C", skip="q")
def mamba(x, y, h, E, S, d, p, A, C, q, u, s, a):
    u[t, n] = Sum(E[n, j] * x[t, j], j)
    s[t, n] = softplus(Sum(S[n, k] * u[t, k], k) + d[n])
    a[n] = -exp(p[n])
    h[t, n] = exp(s[t, n] * a[n]) * h[t - 1, n] + expm1(s[t, n] * a[n]) / a[n] * Sum(A[n, k] * u[t, k], k) * u[t, n]
    y[t, n] = Sum(C[n, k] * u[t, k], k) * h[t, n] + q[n] * u[t, n]
