"""Real-gated linear recurrent unit. De et al. 2024 (Griffin), eqs. 1-4; the input is projected."""

from derive.notation import Sum, cell, exp, j, n, sigmoid, softplus, sqrt, t


@cell(states="h", gates="r i", embed="E", lambda_="lam", constants={"c": 8})
def rg_lru(x, h, W, b, E, lam, r, i, a, c):
    for q in (r, i):
        q[t, n] = sigmoid(Sum(W[q][n, j] * x[t, j], j) + b[q][n])
    a[t, n] = exp(-c * softplus(lam[n]) * r[t, n])
    h[t, n] = a[t, n] * h[t - 1, n] + sqrt(1 - a[t, n] ** 2) * i[t, n] * Sum(E[n, j] * x[t, j], j)
