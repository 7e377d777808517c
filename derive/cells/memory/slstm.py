"""sLSTM with heads: exponential gates, stabilised by m, normalised by s. Beck et al. 2024 (xLSTM), eqs. 8-17."""

import sympy

from derive.notation import Sum, cell, exp, j, log_sigmoid, maximum, n, sigmoid, t, tanh, value

d, e = sympy.symbols("d e")  # units of a head n


@cell(states="h c s m", gates="z i f o", weight_hh="R")
def slstm(x, h, c, s, m, W, R, b, z, i, f, o):
    a = value("a")
    for q in (z, i, f, o):
        a[q][t, n, d] = Sum(W[q][n, d, j] * x[t, j], j) + Sum(R[q][n, d, e] * h[t - 1, n, e], e) + b[q][n, d]
    m[t, n, d] = maximum(log_sigmoid(a[f][t, n, d]) + m[t - 1, n, d], a[i][t, n, d])
    i[t, n, d] = exp(a[i][t, n, d] - m[t, n, d])
    f[t, n, d] = exp(log_sigmoid(a[f][t, n, d]) + m[t - 1, n, d] - m[t, n, d])
    z[t, n, d] = tanh(a[z][t, n, d])
    o[t, n, d] = sigmoid(a[o][t, n, d])
    c[t, n, d] = f[t, n, d] * c[t - 1, n, d] + i[t, n, d] * z[t, n, d]
    s[t, n, d] = f[t, n, d] * s[t - 1, n, d] + i[t, n, d]
    h[t, n, d] = o[t, n, d] * c[t, n, d] / s[t, n, d]
