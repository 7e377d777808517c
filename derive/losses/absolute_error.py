"""Absolute error, summed over units and time: L = sum over t and n of |h(t, n) - y(t, n)|.  PyTorch's L1Loss, summed."""

from derive.notation import Sum, loss, n, t


@loss
def absolute_error(h, y, l, L):
    l[t] = Sum(abs(h[t, n] - y[t, n]), n)
    L[()] = Sum(l[t], t)
