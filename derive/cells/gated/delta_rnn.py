"""Delta-RNN. Ororbia, Mikolov & Reitter 2017."""

from derive.notation import Sum, cell, j, k, n, sigmoid, t, tanh


@cell(states="h", alpha_="p", beta_1="q", beta_2="s", gate_bias="d")
def delta_rnn(x, h, W, U, p, q, s, b, d, u, v, z, r):
    u[t, n] = Sum(W[n, j] * x[t, j], j)
    v[t, n] = Sum(U[n, k] * h[t - 1, k], k)
    z[t, n] = tanh(p[n] * u[t, n] * v[t, n] + q[n] * v[t, n] + s[n] * u[t, n] + b[n])
    r[t, n] = sigmoid(u[t, n] + d[n])
    h[t, n] = tanh((1 - r[t, n]) * z[t, n] + r[t, n] * h[t - 1, n])
