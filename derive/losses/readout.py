"""A linear readout of the hidden state: p(t) = V h(t) + d."""

from derive.notation import Sum, head, n, o, t


@head(weight_ho="V", bias_o="d")
def readout(h, V, d, p):
    p[t, o] = Sum(V[o, n] * h[t, n], n) + d[o]
