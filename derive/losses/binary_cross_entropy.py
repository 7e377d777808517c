"""Cross-entropy of the sigmoid of each output with y(t, n) between 0 and 1. PyTorch's BCEWithLogitsLoss, summed.

-(y log sigmoid(h) + (1 - y) log(1 - sigmoid(h))) is softplus(h) - y h, which no h makes infinite.
"""

from derive.notation import Sum, loss, n, softplus, t


@loss
def binary_cross_entropy(h, y, l, L):
    l[t] = Sum(softplus(h[t, n]) - y[t, n] * h[t, n], n)
    L[()] = Sum(l[t], t)
