"""Negative log-likelihood of y(t) under a normal distribution with mean h(t) and given variances v(t) > 0, less its constant.

PyTorch's GaussianNLLLoss, summed. Nix & Weigend 1994, eq. 4.
"""

from derive.notation import Sum, log, loss, n, t


@loss
def gaussian_nll(h, y, v, l, L):
    l[t] = Sum(log(v[t, n]) + (h[t, n] - y[t, n]) ** 2 / v[t, n], n) / 2
    L[()] = Sum(l[t], t)
