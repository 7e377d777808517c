"""HGRN, real-valued, the forget gate bounded from below. Qin, Yang & Zhong 2023."""

from derive.notation import Sum, cell, j, n, sigmoid, t


@cell(states="y h", gates="f g i", bound="gamma_")
def hgrn(x, y, h, W, b, gamma_, f, g, i, low):
    low[n] = sigmoid(gamma_[n])
    f[t, n] = low[n] + (1 - low[n]) * sigmoid(Sum(W[f][n, j] * x[t, j], j) + b[f][n])
    i[t, n] = Sum(W[i][n, j] * x[t, j], j) + b[i][n]
    g[t, n] = sigmoid(Sum(W[g][n, j] * x[t, j], j) + b[g][n])
    h[t, n] = f[t, n] * h[t - 1, n] + (1 - f[t, n]) * i[t, n] * sigmoid(i[t, n])
    y[t, n] = h[t, n] * g[t, n]
