"""Squared error, summed over units and time: L = sum over t of ||h(t) - y(t)||^2."""

from derive.notation import Sum, loss, n, t


@loss
def squared_error(h, y, l, L):
    l[t] = Sum((h[t, n] - y[t, n]) ** 2, n)
    L[()] = Sum(l[t], t)
