"""A linear readout of the hidden state and of the input: p(t) = V h(t) + S x(t) + d."""

from derive.notation import Sum, head, j, n, o, t


@head(weight_ho="V", weight_io="S", bias_o="d")
def readout_with_input(h, x, V, S, d, p):
    p[t, o] = Sum(V[o, n] * h[t, n], n) + Sum(S[o, j] * x[t, j], j) + d[o]
