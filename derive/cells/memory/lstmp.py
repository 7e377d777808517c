"""LSTM with peepholes and a projection as its output: r is smaller than c. Sak, Senior & Beaufays 2014."""

from derive.notation import Sum, cell, j, k, n, sigmoid, t, tanh


@cell(states="r c", gates="i f g o", projection="P", peephole="w", sizes={"H": "proj_size", "N": "hidden_size"})
def lstmp(x, r, c, W, U, b, w, P, z, i, f, g, o, m_):
    for q in (i, f, g, o):
        z[q][t, n] = Sum(W[q][n, j] * x[t, j], j) + Sum(U[q][n, k] * r[t - 1, k], k) + b[q][n]
    i[t, n] = sigmoid(z[i][t, n] + w[i][n] * c[t - 1, n])
    f[t, n] = sigmoid(z[f][t, n] + w[f][n] * c[t - 1, n])
    g[t, n] = tanh(z[g][t, n])
    c[t, n] = f[t, n] * c[t - 1, n] + i[t, n] * g[t, n]
    o[t, n] = sigmoid(z[o][t, n] + w[o][n] * c[t, n])
    m_[t, n] = o[t, n] * tanh(c[t, n])
    r[t, k] = Sum(P[k, n] * m_[t, n], n)
