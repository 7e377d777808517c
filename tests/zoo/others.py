"""Cells that only the tests have: pieces of other cells put together, and relaxed forms of cells that need more than there is."""

from __future__ import annotations

import torch
from register import gates, paper, split
from torch import exp, relu, sigmoid, tanh
from torch.nn.functional import linear


@paper(
    '''
    """Adaptive leaky integrate-and-fire, its spike a steep sigmoid. Bittar & Garner 2022: reset by the spike before."""
    @cell(states="s u w", decay_u="p", decay_w="q", couple="a", jump="d")
    def adlif(x, s, u, w, W, U, p, q, a, d):
        w[t, n] = sigmoid(q[n]) * w[t - 1, n] + (1 - sigmoid(q[n])) * a[n] * u[t - 1, n] + d[n] * s[t - 1, n]
        u[t, n] = sigmoid(p[n]) * (u[t - 1, n] - s[t - 1, n]) \\
            + (1 - sigmoid(p[n])) * (Sum(W[n, j] * x[t, j], j) + Sum(U[n, k] * s[t - 1, k], k) - w[t - 1, n])
        s[t, n] = sigmoid(5 * (u[t, n] - 1))
    '''
)
def adlif(x, p, s, u, w):
    alpha, beta = sigmoid(p["decay_u"]), sigmoid(p["decay_w"])
    current = linear(x, p["weight_ih"]) + linear(s, p["weight_hh"])
    u, w = alpha * (u - s) + (1 - alpha) * (current - w), beta * w + (1 - beta) * p["couple"] * u + p["jump"] * s
    return sigmoid(5 * (u - 1)), u, w


@paper(
    '''
    """Excitatory and inhibitory rates, as many of each as one likes. Wilson & Cowan 1972, by Euler's method, dt = 1/5."""
    @cell(states="e s", ee="A", ei="C", ie="D", ii="F", drive="W")
    def wilson_cowan(x, e, s, A, C, D, F, W, b, d):
        e[t, n] = e[t - 1, n] + (-e[t - 1, n] + (1 - e[t - 1, n]) * sigmoid(
            Sum(A[n, k] * e[t - 1, k], k) - Sum(C[n, m] * s[t - 1, m], m) + Sum(W[n, j] * x[t, j], j) + b[n])) / 5
        s[t, m] = s[t - 1, m] + (-s[t - 1, m] + (1 - s[t - 1, m]) * softplus(
            Sum(D[m, n] * e[t - 1, n], n) - Sum(F[m, k] * s[t - 1, k], k) + d[m])) / 5
    '''
)
def wilson_cowan(x, p, e, s):
    a = linear(e, p["ee"]) - linear(s, p["ei"]) + linear(x, p["drive"], p["bias"])
    b = linear(e, p["ie"], p["d"]) - linear(s, p["ii"])
    return e + ((1 - e) * sigmoid(a) - e) / 5, s + ((1 - s) * torch.nn.functional.softplus(b) - s) / 5


@paper(
    '''
    """GRU whose two products are normalised by their root mean squares. Zhang & Sennrich 2019 (RMSNorm), on Cho et al. 2014."""
    @cell(states="h", gates="r z", scale="q", cand="C", cand_h="D")
    def rms_gru(x, h, W, U, q, C, D, a, s, r, z):
        for p in (r, z):
            a[p][t, n] = Sum(W[p][n, j] * x[t, j], j) + Sum(U[p][n, k] * h[t - 1, k], k)
            s[p][t] = Sum(a[p][t, n] ** 2, n) / H
            p[t, n] = sigmoid(q[p][n] * a[p][t, n] / sqrt(s[p][t] + 1.0e-6))
        h[t, n] = (1 - z[t, n]) * h[t - 1, n] + z[t, n] * tanh(Sum(C[n, j] * x[t, j], j) + Sum(D[n, k] * r[t, k] * h[t - 1, k], k))
    '''
)
def rms_gru(x, p, h):
    gates = (linear(x, p["weight_ih"]) + linear(h, p["weight_hh"])).chunk(2, -1)
    r, z = (sigmoid(w * a / torch.sqrt((a * a).mean(-1, keepdim=True) + 1e-6))
            for a, w in zip(gates, p["scale"].chunk(2), strict=True))  # fmt: skip
    return ((1 - z) * h + z * tanh(linear(x, p["cand"]) + linear(r * h, p["cand_h"])),)


@paper(
    '''
    """modReLU of unitary networks on real numbers. Arjovsky, Shah & Bengio 2016; Helfrich, Willmott & Ye 2018."""
    @cell(states="h")
    def modrelu_rnn(x, h, W, U, b, z):
        z[t, n] = Sum(W[n, j] * x[t, j], j) + Sum(U[n, k] * h[t - 1, k], k)
        h[t, n] = sign(z[t, n]) * relu(abs(z[t, n]) + b[n])
    '''
)
def modrelu_rnn(x, p, h):
    z = linear(x, p["weight_ih"]) + linear(h, p["weight_hh"])
    return (torch.sign(z) * relu(z.abs() + p["bias"]),)


@paper(
    '''
    """Residual recurrence of ReLU units, identity matrix and more. Le, Jaitly & Hinton 2015; Hu, Huber, Anumula & Liu 2018."""
    @cell(states="h")
    def identity_rnn(x, h, W, U, b):
        h[t, n] = relu(Sum(W[n, j] * x[t, j], j) + Sum(U[n, k] * h[t - 1, k], k) + h[t - 1, n] + b[n])
    '''
)
def identity_rnn(x, p, h):
    eye = torch.eye(h.shape[-1], dtype=h.dtype)
    return (relu(linear(x, p["weight_ih"], p["bias"]) + linear(h, p["weight_hh"] + eye)),)


@paper(
    '''
    """sLSTM of xLSTM with one head and exponential gates, without its stabiliser. Beck et al. 2024."""
    @cell(states="h c n_", gates="z i f o")
    def slstm(x, h, c, n_, W, U, b, z, i, f, o, a):
        for q in (z, i, f, o):
            a[q][t, n] = Sum(W[q][n, j] * x[t, j], j) + Sum(U[q][n, k] * h[t - 1, k], k) + b[q][n]
        z[t, n] = tanh(a[z][t, n])
        i[t, n] = exp(a[i][t, n])
        f[t, n] = exp(a[f][t, n])
        o[t, n] = sigmoid(a[o][t, n])
        c[t, n] = f[t, n] * c[t - 1, n] + i[t, n] * z[t, n]
        n_[t, n] = f[t, n] * n_[t - 1, n] + i[t, n]
        h[t, n] = o[t, n] * c[t, n] / n_[t, n]
    ''',
    positive=("n_",),
)
def slstm(x, p, h, c, n):
    z, i, f, o = gates(p, x, h, 4)
    c, n = exp(f) * c + exp(i) * tanh(z), exp(f) * n + exp(i)
    return sigmoid(o) * (c / n), c, n


@paper(
    '''
    """SRU++-like pair: a layer of JANET under a GRU, both in one cell, sizes of their own. Stacked as in Graves 2013."""
    @cell(states="h s", gates="f g", weight_up="A", weight_rec="D")
    def stacked(x, h, s, W, U, b, A, D, f, g, z):
        f[t, m] = sigmoid(Sum(W[f][m, j] * x[t, j], j) + Sum(U[f][m, k] * s[t - 1, k], k) + b[f][m])
        g[t, m] = tanh(Sum(W[g][m, j] * x[t, j], j) + Sum(U[g][m, k] * s[t - 1, k], k) + b[g][m])
        s[t, m] = f[t, m] * s[t - 1, m] + (1 - f[t, m]) * g[t, m]
        z[t, n] = sigmoid(Sum(A[f][n, m] * s[t, m], m) + Sum(D[f][n, k] * h[t - 1, k], k))
        h[t, n] = z[t, n] * h[t - 1, n] + (1 - z[t, n]) * tanh(Sum(A[g][n, m] * s[t, m], m) + Sum(D[g][n, k] * h[t - 1, k], k))
    '''
)
def stacked(x, p, h, s):
    f, g = gates(p, x, s, 2)
    s = sigmoid(f) * s + (1 - sigmoid(f)) * tanh(g)
    (af, ag), (df, dg) = split(p["weight_up"], 2), split(p["weight_rec"], 2)
    z = sigmoid(linear(s, af) + linear(h, df))
    return z * h + (1 - z) * tanh(linear(s, ag) + linear(h, dg)), s


@paper(
    '''
    """Two layers of independently recurrent units with a residual connection. Li, Li, Cook, Zhu & Gao 2018."""
    @cell(states="h g", lower="W", upper="V_", skip="S")
    def residual_indrnn(x, h, g, W, V_, S, u, v, b):
        g[t, m] = relu(Sum(W[m, j] * x[t, j], j) + u[m] * g[t - 1, m])
        h[t, n] = relu(Sum(V_[n, m] * g[t, m], m) + v[n] * h[t - 1, n] + b[n]) + Sum(S[n, j] * x[t, j], j)
    '''
)
def residual_indrnn(x, p, h, g):
    g = relu(linear(x, p["lower"]) + p["u"] * g)
    return relu(linear(g, p["upper"], p["bias"]) + p["v"] * h) + linear(x, p["skip"]), g
