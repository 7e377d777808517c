"""WKV of RWKV-4: an average with a decay, and a bonus for the current step. Peng et al. 2023, eqs. 16-18."""

from derive.notation import Sum, cell, exp, j, n, sigmoid, t


@cell(states="y a d", gates="r k_ v")
def rwkv4(x, y, a, d, W, w, u, r, k_, v, s):
    s[n] = exp(-exp(w[n]))
    r[t, n] = sigmoid(Sum(W[r][n, j] * x[t, j], j))
    k_[t, n] = Sum(W[k_][n, j] * x[t, j], j)
    v[t, n] = Sum(W[v][n, j] * x[t, j], j)
    y[t, n] = r[t, n] * (a[t - 1, n] + exp(u[n] + k_[t, n]) * v[t, n]) / (d[t - 1, n] + exp(u[n] + k_[t, n]))
    a[t, n] = s[n] * a[t - 1, n] + exp(k_[t, n]) * v[t, n]
    d[t, n] = s[n] * d[t - 1, n] + exp(k_[t, n])
