"""Squares of small errors, absolute values of large ones. Huber 1964; as in PyTorch's HuberLoss, summed."""

from derive.notation import Sum, loss, n, t, where


@loss(constants={"delta": 1})
def huber(h, y, delta, e, l, L):
    e[t, n] = h[t, n] - y[t, n]
    l[t] = Sum(where(abs(e[t, n]) <= delta, e[t, n] ** 2 / 2, delta * (abs(e[t, n]) - delta / 2)), n)
    L[()] = Sum(l[t], t)
