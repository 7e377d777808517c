"""Chaos-free network. Laurent & von Brecht 2017: gates theta and eta."""

from derive.notation import Sum, cell, j, k, n, sigmoid, t, tanh


@cell(states="h", gates="theta eta", content="V")
def cfn(x, h, W, U, b, V, theta, eta):
    for q in (theta, eta):
        q[t, n] = sigmoid(Sum(W[q][n, j] * x[t, j], j) + Sum(U[q][n, k] * h[t - 1, k], k) + b[q][n])
    h[t, n] = theta[t, n] * tanh(h[t - 1, n]) + eta[t, n] * tanh(Sum(V[n, j] * x[t, j], j))
