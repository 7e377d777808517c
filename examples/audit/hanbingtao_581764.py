"""LSTM, article "Deep learning from zero, part 6" by hanbingtao (zybuluo.com/hanbingtao/note/581764), with its code.

Source of this transcription: `lstm.py` of the repository hanbt/learn_dl, which the article explains; its equations are
put into index notation in our own words. The article's W_fh, W_fx, c-tilde are U_f, W_f, g here, its net is z. The loss
looks at the last step only, as in the article's own gradient check (W_fh alone, two steps, h(0) = 0).
"""

from derive.audit import Sum, T, derivation, j, k, n, t, tanh


@derivation("lstm", last=True, delta_h="dL/dh", delta="dL/dz")
def hanbingtao(x, h, c, W, U, i, f, g, o, e, delta_h, delta, dW, dU, db):
    delta_h[T, n] = e[T, n]
    delta_h[t - 1, n] = sum(Sum(delta[q][t, k] * U[q][k, n], k) for q in (o, i, f, g))

    delta[o][t, n] = delta_h[t, n] * tanh(c[t, n]) * o[t, n] * (1 - o[t, n])
    delta[f][t, n] = delta_h[t, n] * o[t, n] * (1 - tanh(c[t, n]) ** 2) * c[t - 1, n] * f[t, n] * (1 - f[t, n])
    delta[i][t, n] = delta_h[t, n] * o[t, n] * (1 - tanh(c[t, n]) ** 2) * g[t, n] * i[t, n] * (1 - i[t, n])
    delta[g][t, n] = delta_h[t, n] * o[t, n] * (1 - tanh(c[t, n]) ** 2) * i[t, n] * (1 - g[t, n] ** 2)

    for q in (f, i, o, g):
        dU[q][n, k] = Sum(delta[q][t, n] * h[t - 1, k], (t, 1, T))
    for q in (f, i, o, g):
        dW[q][n, j] = delta[q][T, n] * x[T, j]
    db[f][n] = Sum(delta[f][t, n], (t, 1, T))
    db[i][n] = Sum(delta[f][t, n], (t, 1, T))
    db[o][n] = Sum(delta[f][t, n], (t, 1, T))
    db[g][n] = Sum(delta[g][t, n], (t, 1, T))
