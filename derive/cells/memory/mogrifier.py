"""Mogrifier LSTM: input and state gate each other in five rounds. Melis, Kocisky & Blunsom 2020, eqs. 1-2."""

from derive.notation import Sum, cell, j, k, n, sigmoid, t, tanh


@cell(states="h c", gates="i f g o", round_1="Q1", round_2="R2", round_3="Q3", round_4="R4", round_5="Q5")
def mogrifier(x, h, c, W, U, b, Q1, R2, Q3, R4, Q5, x1, h2, x3, h4, x5, z, i, f, g, o):
    x1[t, j] = 2 * sigmoid(Sum(Q1[j, k] * h[t - 1, k], k)) * x[t, j]
    h2[t, n] = 2 * sigmoid(Sum(R2[n, j] * x1[t, j], j)) * h[t - 1, n]
    x3[t, j] = 2 * sigmoid(Sum(Q3[j, k] * h2[t, k], k)) * x1[t, j]
    h4[t, n] = 2 * sigmoid(Sum(R4[n, j] * x3[t, j], j)) * h2[t, n]
    x5[t, j] = 2 * sigmoid(Sum(Q5[j, k] * h4[t, k], k)) * x3[t, j]
    for q in (i, f, g, o):
        z[q][t, n] = Sum(W[q][n, j] * x5[t, j], j) + Sum(U[q][n, k] * h4[t, k], k) + b[q][n]
    i[t, n] = sigmoid(z[i][t, n])
    f[t, n] = sigmoid(z[f][t, n])
    g[t, n] = tanh(z[g][t, n])
    o[t, n] = sigmoid(z[o][t, n])
    c[t, n] = f[t, n] * c[t - 1, n] + i[t, n] * g[t, n]
    h[t, n] = o[t, n] * tanh(c[t, n])
