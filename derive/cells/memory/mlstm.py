"""mLSTM: a matrix memory C for each head n, with exponential gates, stabilised by m. Beck et al. 2024 (xLSTM), eqs. 19-27."""

import sympy

from derive.notation import Sum, cell, exp, j, log_sigmoid, maximum, n, sigmoid, t, value

d, e = sympy.symbols("d e")  # units of values and of keys


@cell(states="h C s m")
def mlstm(x, h, C, s, m, W_q, W_k, W_v, W_o, w_i, w_f, b_o, b_i, b_f):
    q, k, v, o, a, g, i, f = value("q k v o a g i f")
    q[t, n, e] = Sum(W_q[n, e, j] * x[t, j], j)
    k[t, n, e] = Sum(W_k[n, e, j] * x[t, j], j)
    v[t, n, d] = Sum(W_v[n, d, j] * x[t, j], j)
    o[t, n, d] = sigmoid(Sum(W_o[n, d, j] * x[t, j], j) + b_o[n, d])
    a[t, n] = Sum(w_i[n, j] * x[t, j], j) + b_i[n]
    g[t, n] = log_sigmoid(Sum(w_f[n, j] * x[t, j], j) + b_f[n]) + m[t - 1, n]
    m[t, n] = maximum(g[t, n], a[t, n])
    i[t, n], f[t, n] = exp(a[t, n] - m[t, n]), exp(g[t, n] - m[t, n])
    C[t, n, d, e] = f[t, n] * C[t - 1, n, d, e] + i[t, n] * v[t, n, d] * k[t, n, e]
    s[t, n, e] = f[t, n] * s[t - 1, n, e] + i[t, n] * k[t, n, e]
    size = maximum(abs(Sum(s[t, n, e] * q[t, n, e], e)), exp(-m[t, n]))
    h[t, n, d] = o[t, n, d] * Sum(C[t, n, d, e] * q[t, n, e], e) / size
