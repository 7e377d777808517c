"""Simple recurrent unit. Lei, Zhang, Wang, Dai & Artzi 2018, eqs. 1-4: the highway needs as many inputs as units."""

from derive.notation import Sum, cell, j, n, sigmoid, t


@cell(states="h c", gates="f r", content="C", decay="v")
def sru(x, h, c, W, b, v, C, f, r):
    f[t, n] = sigmoid(Sum(W[f][n, j] * x[t, j], j) + v[f][n] * c[t - 1, n] + b[f][n])
    r[t, n] = sigmoid(Sum(W[r][n, j] * x[t, j], j) + v[r][n] * c[t - 1, n] + b[r][n])
    c[t, n] = f[t, n] * c[t - 1, n] + (1 - f[t, n]) * Sum(C[n, j] * x[t, j], j)
    h[t, n] = r[t, n] * c[t, n] + (1 - r[t, n]) * x[t, n]
