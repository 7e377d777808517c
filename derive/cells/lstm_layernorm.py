"""LSTM with layer normalisation. Ba, Kiros & Hinton 2016, eqs. 20-22: statistics over all gates of a step."""

from derive.notation import Sum, cell, j, k, n, sigmoid, t, tanh
from derive.notation.pieces import layer_norm

ONES = {"gamma_x": 1, "gamma_h": 1, "gamma_c": 1}


@cell(states="h c", gates="i f g o", gain_ih="gamma_x", gain_hh="gamma_h", gain_c="gamma_c", bias_c="beta_c", init=ONES)
def lstm_layernorm(x, h, c, W, U, b, gamma_x, gamma_h, gamma_c, beta_c, z, i, f, g, o):
    gates = (i, f, g, o)
    from_x = layer_norm({q: Sum(W[q][n, j] * x[t, j], j) for q in gates}, gamma_x)
    from_h = layer_norm({q: Sum(U[q][n, k] * h[t - 1, k], k) for q in gates}, gamma_h)
    for q in gates:
        z[q][t, n] = from_x[q] + from_h[q] + b[q][n]
    i[t, n] = sigmoid(z[i][t, n])
    f[t, n] = sigmoid(z[f][t, n])
    g[t, n] = tanh(z[g][t, n])
    o[t, n] = sigmoid(z[o][t, n])
    c[t, n] = f[t, n] * c[t - 1, n] + i[t, n] * g[t, n]
    h[t, n] = o[t, n] * tanh(layer_norm(c[t, n], gamma_c, beta_c))
