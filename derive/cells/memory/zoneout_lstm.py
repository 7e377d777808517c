"""LSTM with zoneout: where the masks m_h and m_c are 1 a unit keeps its value. Krueger et al. 2017; masks are inputs."""

from derive.notation import Sum, cell, j, k, n, sigmoid, t, tanh


@cell(states="h c", gates="i f g o", inputs="x m_h m_c")
def zoneout_lstm(x, m_h, m_c, h, c, W, U, b, z, i, f, g, o, e):
    for q in (i, f, g, o):
        z[q][t, n] = Sum(W[q][n, j] * x[t, j], j) + Sum(U[q][n, k] * h[t - 1, k], k) + b[q][n]
    i[t, n] = sigmoid(z[i][t, n])
    f[t, n] = sigmoid(z[f][t, n])
    g[t, n] = tanh(z[g][t, n])
    o[t, n] = sigmoid(z[o][t, n])
    e[t, n] = f[t, n] * c[t - 1, n] + i[t, n] * g[t, n]
    c[t, n] = m_c[t, n] * c[t - 1, n] + (1 - m_c[t, n]) * e[t, n]
    h[t, n] = m_h[t, n] * h[t - 1, n] + (1 - m_h[t, n]) * o[t, n] * tanh(e[t, n])
