"""Recurrent weighted average. Ostmeyer & Cowell 2017, without the running maximum."""

from derive.notation import Sum, cell, exp, j, k, n, t, tanh


@cell(states="h s d", gates="u g a")
def rwa(x, h, s, d, W, U, bu, bg, u, g, a):
    u[t, n] = Sum(W[u][n, j] * x[t, j], j) + bu[n]
    g[t, n] = Sum(W[g][n, j] * x[t, j], j) + Sum(U[g][n, k] * h[t - 1, k], k) + bg[n]
    a[t, n] = Sum(W[a][n, j] * x[t, j], j) + Sum(U[a][n, k] * h[t - 1, k], k)
    s[t, n] = s[t - 1, n] + u[t, n] * tanh(g[t, n]) * exp(a[t, n])
    d[t, n] = d[t - 1, n] + exp(a[t, n])
    h[t, n] = tanh(s[t, n] / d[t, n])
