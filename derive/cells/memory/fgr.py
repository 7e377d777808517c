"""LSTM variant FGR, full gate recurrence: gates read all gates of the step before. Greff et al. 2017."""

from derive.notation import Sum, cell, j, k, n, sigmoid, t, tanh


@cell(states="h c i_ f_ o_", gates="i f g o", peephole="p", from_i="R_i", from_f="R_f", from_o="R_o")
def fgr(x, h, c, i_, f_, o_, W, U, b, p, R_i, R_f, R_o, z, i, f, g, o):
    for q in (i, f, g, o):
        z[q][t, n] = Sum(W[q][n, j] * x[t, j], j) + Sum(U[q][n, k] * h[t - 1, k], k) + b[q][n]
    for q, a in ((i, c[t - 1, n]), (f, c[t - 1, n]), (o, c[t, n])):
        q[t, n] = sigmoid(z[q][t, n] + Sum(R_i[q][n, k] * i_[t - 1, k], k) + Sum(R_f[q][n, k] * f_[t - 1, k], k)
                          + Sum(R_o[q][n, k] * o_[t - 1, k], k) + p[q][n] * a)
    g[t, n] = tanh(z[g][t, n])
    c[t, n] = f[t, n] * c[t - 1, n] + i[t, n] * g[t, n]
    h[t, n] = o[t, n] * tanh(c[t, n])
    for before, gate in ((i_, i), (f_, f), (o_, o)):
        before[t, n] = gate[t, n]
