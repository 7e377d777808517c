"""Ordered neurons: an LSTM whose master gates p and q are soft steps over the units. Shen, Tan, Sordoni & Courville 2019, eq. 6-11."""

from derive.notation import Sum, cell, j, k, n, sigmoid, t, tanh, value
from derive.notation.pieces import cumax


@cell(states="h c", gates="f i o g p q")
def on_lstm(x, h, c, W, U, b, z, f, i, o, g, p, q):
    for gate in (f, i, o, g, p, q):
        z[gate][t, n] = Sum(W[gate][n, j] * x[t, j], j) + Sum(U[gate][n, k] * h[t - 1, k], k) + b[gate][n]
        if gate not in (p, q):
            gate[t, n] = (tanh if gate is g else sigmoid)(z[gate][t, n])
    p[t, n] = cumax(z[p][t, n], n)
    q[t, n] = 1 - cumax(z[q][t, n], n)
    w = value("w")
    w[t, n] = p[t, n] * q[t, n]
    c[t, n] = (f[t, n] * w[t, n] + p[t, n] - w[t, n]) * c[t - 1, n] + (i[t, n] * w[t, n] + q[t, n] - w[t, n]) * g[t, n]
    h[t, n] = o[t, n] * tanh(c[t, n])
