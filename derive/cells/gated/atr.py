"""Addition-subtraction twin gates. Zhang, Xiong, Su, Lin & Zhang 2018."""

from derive.notation import Sum, cell, j, k, n, sigmoid, t


@cell(states="h")
def atr(x, h, W, U, p, q, i, f):
    p[t, n] = Sum(W[n, j] * x[t, j], j)
    q[t, n] = Sum(U[n, k] * h[t - 1, k], k)
    i[t, n] = sigmoid(p[t, n] + q[t, n])
    f[t, n] = sigmoid(p[t, n] - q[t, n])
    h[t, n] = i[t, n] * p[t, n] + f[t, n] * h[t - 1, n]
