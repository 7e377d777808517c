"""Cross-entropy of the softmax of the output with classes: y(t) is the number of the right unit, from 0.

L = sum over t of log(sum over n of exp(h(t, n))) - h(t, y(t))
"""

from derive.notation import Sum, loss, n, one_hot, t
from derive.notation.pieces import logsumexp


@loss
def cross_entropy(h, y, l, L):
    l[t] = logsumexp(h[t, n], n) - Sum(one_hot(y[t], n) * h[t, n], n)
    L[()] = Sum(l[t], t)
