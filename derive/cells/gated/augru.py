"""GRU whose update gate an attention a(t) scales. Zhou et al. 2019 (DIEN); a is a number a step, (T, B)."""

from derive.notation import Sum, cell, j, k, n, sigmoid, t, tanh


@cell(states="h", gates="r u g", inputs="x a")
def augru(x, a, h, W, U, b, r, u, g, e):
    for q in (r, u):
        q[t, n] = sigmoid(Sum(W[q][n, j] * x[t, j], j) + Sum(U[q][n, k] * h[t - 1, k], k) + b[q][n])
    g[t, n] = tanh(Sum(W[g][n, j] * x[t, j], j) + Sum(U[g][n, k] * r[t, k] * h[t - 1, k], k) + b[g][n])
    e[t, n] = u[t, n] * a[t]
    h[t, n] = (1 - e[t, n]) * h[t - 1, n] + e[t, n] * g[t, n]
