"""Cross-entropy of the softmax of the output with a distribution: y(t, n) are numbers that add up to 1.

L = sum over t of -(sum over n of y(t, n) log softmax(h(t))(n)).
"""

from derive.notation import Sum, loss, n, t
from derive.notation.pieces import logsumexp


@loss
def soft_cross_entropy(h, y, l, m, L):
    m[t] = logsumexp(h[t, n], n)
    l[t] = Sum(y[t, n] * (m[t] - h[t, n]), n)
    L[()] = Sum(l[t], t)
