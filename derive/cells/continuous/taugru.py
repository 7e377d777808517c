"""GRU with weighted feedback from two steps ago. Erichson, Lim & Mahoney 2024."""

from derive.notation import Sum, cell, j, k, n, sigmoid, t, tanh


@cell(states="h", gates="u z g a")
def taugru(x, h, W, U, b, u, z, g, a):
    u[t, n] = tanh(Sum(W[u][n, j] * x[t, j], j) + Sum(U[u][n, k] * h[t - 1, k], k) + b[u][n])
    z[t, n] = tanh(Sum(W[z][n, j] * x[t, j], j) + Sum(U[z][n, k] * h[t - 2, k], k) + b[z][n])
    g[t, n] = sigmoid(Sum(W[g][n, j] * x[t, j], j) + Sum(U[g][n, k] * h[t - 1, k], k) + b[g][n])
    a[t, n] = sigmoid(Sum(W[a][n, j] * x[t, j], j) + Sum(U[a][n, k] * h[t - 1, k], k) + b[a][n])
    h[t, n] = (1 - g[t, n]) * h[t - 1, n] + g[t, n] * (u[t, n] + a[t, n] * z[t, n])
