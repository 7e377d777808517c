"""Multiplicative LSTM: the gates read m = W x o U h in place of h. Krause, Lu, Murray & Renals 2016, eqs. 18-22."""

from derive.notation import Sum, cell, j, k, m, n, sigmoid, t, tanh


@cell(states="h c", gates="i f g o", inner_x="W_m", inner_h="U_m")
def multiplicative_lstm(x, h, c, W, U, b, W_m, U_m, e, z, i, f, g, o):
    e[t, m] = Sum(W_m[m, j] * x[t, j], j) * Sum(U_m[m, k] * h[t - 1, k], k)
    for q in (i, f, g, o):
        z[q][t, n] = Sum(W[q][n, j] * x[t, j], j) + Sum(U[q][n, m] * e[t, m], m) + b[q][n]
    i[t, n] = sigmoid(z[i][t, n])
    f[t, n] = sigmoid(z[f][t, n])
    g[t, n] = tanh(z[g][t, n])
    o[t, n] = sigmoid(z[o][t, n])
    c[t, n] = f[t, n] * c[t - 1, n] + i[t, n] * g[t, n]
    h[t, n] = o[t, n] * tanh(c[t, n])
