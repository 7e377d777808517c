"""GRU under layer normalisation: each product has statistics of its own. Ba, Kiros & Hinton 2016, supplement."""

from derive.notation import Sum, cell, i, j, k, sigmoid, t, tanh
from derive.notation.pieces import layer_norm

ONES = {"gamma_x": 1, "gamma_h": 1}


@cell(states="h", gates="r z n", gain_ih="gamma_x", gain_hh="gamma_h", bias_ih="b", bias_hh="v", init=ONES)
def gru_layernorm(x, h, W, U, gamma_x, gamma_h, b, v, r, z, n):
    u, w = {}, {}
    for part in ((r, z), (n,)):
        u |= layer_norm({q: Sum(W[q][i, j] * x[t, j], j) for q in part}, gamma_x, b, i)
        w |= layer_norm({q: Sum(U[q][i, k] * h[t - 1, k], k) for q in part}, gamma_h, v, i)
    r[t, i] = sigmoid(u[r] + w[r])
    z[t, i] = sigmoid(u[z] + w[z])
    n[t, i] = tanh(u[n] + r[t, i] * w[n])
    h[t, i] = (1 - z[t, i]) * h[t - 1, i] + z[t, i] * n[t, i]
