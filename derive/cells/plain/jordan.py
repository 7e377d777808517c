"""Jordan network: the output is fed back, through context units s that decay. Jordan 1986."""

from derive.notation import Rational, Sum, cell, j, n, o, sigmoid, t, tanh


@cell(states="y s", weight_out="V", shift="d")
def jordan(x, y, s, W, U, b, V, d, h):
    s[t, o] = Rational(1, 2) * s[t - 1, o] + y[t - 1, o]
    h[t, n] = sigmoid(Sum(W[n, j] * x[t, j], j) + Sum(U[n, o] * s[t, o], o) + b[n])
    y[t, o] = tanh(Sum(V[o, n] * h[t, n], n) + d[o])
