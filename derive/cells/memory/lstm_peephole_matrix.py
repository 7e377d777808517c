"""LSTM whose peepholes are matrices: all memories are seen by all gates. Gers & Schmidhuber 2000; Graves 2013."""

from derive.notation import Sum, cell, j, k, n, sigmoid, t, tanh


@cell(states="h c", gates="i f g o", peephole="P")
def lstm_peephole_matrix(x, h, c, W, U, b, P, z, i, f, g, o):
    for q in (i, f, g, o):
        z[q][t, n] = Sum(W[q][n, j] * x[t, j], j) + Sum(U[q][n, k] * h[t - 1, k], k) + b[q][n]
    i[t, n] = sigmoid(z[i][t, n] + Sum(P[i][n, k] * c[t - 1, k], k))
    f[t, n] = sigmoid(z[f][t, n] + Sum(P[f][n, k] * c[t - 1, k], k))
    g[t, n] = tanh(z[g][t, n])
    c[t, n] = f[t, n] * c[t - 1, n] + i[t, n] * g[t, n]
    o[t, n] = sigmoid(z[o][t, n] + Sum(P[o][n, k] * c[t, k], k))
    h[t, n] = o[t, n] * tanh(c[t, n])
