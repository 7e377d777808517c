"""Multiplicative integration LSTM. Wu, Zhang, Zhang, Bengio & Salakhutdinov 2016, appendix."""

from derive.notation import Sum, cell, j, k, n, sigmoid, t, tanh


@cell(states="h c", gates="i f g o", mi_alpha="a", mi_x="p", mi_h="q")
def mi_lstm(x, h, c, W, U, b, a, p, q, u, v, z, i, f, g, o):
    for s in (i, f, g, o):
        u[s][t, n] = Sum(W[s][n, j] * x[t, j], j)
        v[s][t, n] = Sum(U[s][n, k] * h[t - 1, k], k)
        z[s][t, n] = a[s][n] * u[s][t, n] * v[s][t, n] + p[s][n] * u[s][t, n] + q[s][n] * v[s][t, n] + b[s][n]
    i[t, n] = sigmoid(z[i][t, n])
    f[t, n] = sigmoid(z[f][t, n])
    g[t, n] = tanh(z[g][t, n])
    o[t, n] = sigmoid(z[o][t, n])
    c[t, n] = f[t, n] * c[t - 1, n] + i[t, n] * g[t, n]
    h[t, n] = o[t, n] * tanh(c[t, n])
