"""Gated recurrent unit, reset after the product as in PyTorch and cuDNN. Cho et al. 2014; variant: Chung et al. 2014."""

from derive.notation import Sum, cell, i, j, k, sigmoid, t, tanh


@cell(states="h", gates="r z n", bias_ih="b", bias_hh="v")
def gru(x, h, W, U, b, v, a, s, r, z, n):
    for q in (r, z, n):
        a[q][t, i] = Sum(W[q][i, j] * x[t, j], j) + b[q][i]
        s[q][t, i] = Sum(U[q][i, k] * h[t - 1, k], k) + v[q][i]
    r[t, i] = sigmoid(a[r][t, i] + s[r][t, i])
    z[t, i] = sigmoid(a[z][t, i] + s[z][t, i])
    n[t, i] = tanh(a[n][t, i] + r[t, i] * s[n][t, i])
    h[t, i] = (1 - z[t, i]) * n[t, i] + z[t, i] * h[t - 1, i]
