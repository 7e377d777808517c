"""minLSTM, its gates normalised. Feng, Tung, Ahmed, Bengio & Hajimirsadeghi 2024, section 3.2."""

from derive.notation import Sum, cell, j, n, sigmoid, t


@cell(states="h", gates="f i g")
def minlstm(x, h, W, b, f, i, g):
    for q in (f, i):
        q[t, n] = sigmoid(Sum(W[q][n, j] * x[t, j], j) + b[q][n])
    g[t, n] = Sum(W[g][n, j] * x[t, j], j) + b[g][n]
    h[t, n] = (f[t, n] * h[t - 1, n] + i[t, n] * g[t, n]) / (f[t, n] + i[t, n])
