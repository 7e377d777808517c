"""LSTM with working memory connections: gates see the memory through a tanh. Landi, Baraldi, Cornia & Cucchiara 2021."""

from derive.notation import Sum, cell, j, k, n, sigmoid, t, tanh


@cell(states="h c", gates="i f g o", memory="M", shift="s")
def lstm_wm(x, h, c, W, U, b, M, s, z, i, f, g, o):
    for q in (i, f, g, o):
        z[q][t, n] = Sum(W[q][n, j] * x[t, j], j) + Sum(U[q][n, k] * h[t - 1, k], k) + b[q][n]
    i[t, n] = sigmoid(z[i][t, n] + tanh(Sum(M[i][n, k] * c[t - 1, k], k) + s[i][n]))
    f[t, n] = sigmoid(z[f][t, n] + tanh(Sum(M[f][n, k] * c[t - 1, k], k) + s[f][n]))
    g[t, n] = tanh(z[g][t, n])
    c[t, n] = f[t, n] * c[t - 1, n] + i[t, n] * g[t, n]
    o[t, n] = sigmoid(z[o][t, n] + tanh(Sum(M[o][n, k] * c[t, k], k) + s[o][n]))
    h[t, n] = o[t, n] * tanh(c[t, n])
