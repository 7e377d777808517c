"""The LSTM of the notes nicodjimenez/lstm: h = o c, without the tanh on the way out."""

from derive.notation import Sum, cell, j, k, n, sigmoid, t, tanh


@cell(states="h c", gates="i f g o")
def lstm_toy(x, h, c, W, U, b, z, i, f, g, o):
    for q in (i, f, g, o):
        z[q][t, n] = Sum(W[q][n, j] * x[t, j], j) + Sum(U[q][n, k] * h[t - 1, k], k) + b[q][n]
    i[t, n] = sigmoid(z[i][t, n])
    f[t, n] = sigmoid(z[f][t, n])
    g[t, n] = tanh(z[g][t, n])
    o[t, n] = sigmoid(z[o][t, n])
    c[t, n] = f[t, n] * c[t - 1, n] + i[t, n] * g[t, n]
    h[t, n] = o[t, n] * c[t, n]
