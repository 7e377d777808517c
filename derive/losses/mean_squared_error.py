"""Squared error, the mean over units, time and sequences, as in PyTorch's MSELoss."""

from derive.notation import loss, mean, n, t


@loss
def mean_squared_error(h, y, l, L):
    l[t] = mean((h[t, n] - y[t, n]) ** 2, n)
    L[()] = mean(l[t], t)
