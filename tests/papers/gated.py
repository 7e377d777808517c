"""Cells with gates: relatives of the GRU and smaller ones."""

from __future__ import annotations

import torch
from torch import exp, relu, sigmoid, tanh
from torch.nn.functional import linear
from zoo import gates, paper, split


@paper(
    '''
    """MUT1. Jozefowicz, Zaremba & Sutskever 2015; the input is projected to the width of the state."""
    @cell(states="h", embed="E", update="Z", reset="R", reset_h="S", cand="U")
    def mut1(x, h, E, Z, R, S, U, bz, br, bh, z, r):
        z[t, n] = sigmoid(Sum(Z[n, j] * x[t, j], j) + bz[n])
        r[t, n] = sigmoid(Sum(R[n, j] * x[t, j], j) + Sum(S[n, k] * h[t - 1, k], k) + br[n])
        h[t, n] = tanh(Sum(U[n, k] * r[t, k] * h[t - 1, k], k) + tanh(Sum(E[n, j] * x[t, j], j)) + bh[n]) * z[t, n] \\
            + h[t - 1, n] * (1 - z[t, n])
    '''
)
def mut1(x, p, h):
    z = sigmoid(linear(x, p["update"], p["bz"]))
    r = sigmoid(linear(x, p["reset"]) + linear(h, p["reset_h"]) + p["br"])
    return (tanh(linear(r * h, p["cand"]) + tanh(linear(x, p["embed"])) + p["bh"]) * z + h * (1 - z),)


@paper(
    '''
    """MUT2. Jozefowicz, Zaremba & Sutskever 2015; the input is projected to the width of the state."""
    @cell(states="h", gates="z r", embed="E", cand_x="C", cand_h="D")
    def mut2(x, h, W, U, b, E, C, D, bh, z, r):
        z[t, n] = sigmoid(Sum(W[n, j] * x[t, j], j) + Sum(U[z][n, k] * h[t - 1, k], k) + b[z][n])
        r[t, n] = sigmoid(Sum(E[n, j] * x[t, j], j) + Sum(U[r][n, k] * h[t - 1, k], k) + b[r][n])
        h[t, n] = tanh(Sum(D[n, k] * r[t, k] * h[t - 1, k], k) + Sum(C[n, j] * x[t, j], j) + bh[n]) * z[t, n] \\
            + h[t - 1, n] * (1 - z[t, n])
    '''
)
def mut2(x, p, h):
    uz, ur = split(p["weight_hh"], 2)
    bz, br = split(p["bias"], 2)
    z, r = sigmoid(linear(x, p["weight_ih"]) + linear(h, uz) + bz), sigmoid(linear(x, p["embed"]) + linear(h, ur) + br)
    return (tanh(linear(r * h, p["cand_h"]) + linear(x, p["cand_x"]) + p["bh"]) * z + h * (1 - z),)


@paper(
    '''
    """MUT3. Jozefowicz, Zaremba & Sutskever 2015."""
    @cell(states="h", gates="z r g")
    def mut3(x, h, W, U, b, z, r, g):
        z[t, n] = sigmoid(Sum(W[z][n, j] * x[t, j], j) + Sum(U[z][n, k] * tanh(h[t - 1, k]), k) + b[z][n])
        r[t, n] = sigmoid(Sum(W[r][n, j] * x[t, j], j) + Sum(U[r][n, k] * h[t - 1, k], k) + b[r][n])
        g[t, n] = tanh(Sum(U[g][n, k] * r[t, k] * h[t - 1, k], k) + Sum(W[g][n, j] * x[t, j], j) + b[g][n])
        h[t, n] = g[t, n] * z[t, n] + h[t - 1, n] * (1 - z[t, n])
    '''
)
def mut3(x, p, h):
    (wz, wr, wg), (uz, ur, ug), (bz, br, bg) = (split(p[q], 3) for q in ("weight_ih", "weight_hh", "bias"))
    z, r = sigmoid(linear(x, wz, bz) + linear(tanh(h), uz)), sigmoid(linear(x, wr, br) + linear(h, ur))
    return (tanh(linear(r * h, ug) + linear(x, wg, bg)) * z + h * (1 - z),)


@paper(
    '''
    """Chaos-free network. Laurent & von Brecht 2017."""
    @cell(states="h", gates="a b_", content="C", shift="s")
    def cfn(x, h, W, U, s, C, a, b_):
        for q in (a, b_):
            q[t, n] = sigmoid(Sum(W[q][n, j] * x[t, j], j) + Sum(U[q][n, k] * h[t - 1, k], k) + s[q][n])
        h[t, n] = a[t, n] * tanh(h[t - 1, n]) + b_[t, n] * tanh(Sum(C[n, j] * x[t, j], j))
    '''
)
def cfn(x, p, h):
    a, b = (linear(x, p["weight_ih"], p["shift"]) + linear(h, p["weight_hh"])).sigmoid().chunk(2, -1)
    return (a * tanh(h) + b * tanh(linear(x, p["content"])),)


@paper(
    '''
    """Addition-subtraction twin-gated recurrent network. Zhang, Xiong, Su, Lin & Zhang 2018."""
    @cell(states="h")
    def atr(x, h, W, U, p, q):
        p[t, n] = Sum(W[n, j] * x[t, j], j)
        q[t, n] = Sum(U[n, k] * h[t - 1, k], k)
        h[t, n] = sigmoid(p[t, n] + q[t, n]) * p[t, n] + sigmoid(p[t, n] - q[t, n]) * h[t - 1, n]
    '''
)
def atr(x, p, h):
    a, b = linear(x, p["weight_ih"]), linear(h, p["weight_hh"])
    return (sigmoid(a + b) * a + sigmoid(a - b) * h,)


@paper(
    '''
    """Bistable recurrent cell. Vecoven, Ernst & Drion 2021, equation 8."""
    @cell(states="h", gates="a c g")
    def brc(x, h, W, w_a, w_c, a, c, g):
        a[t, n] = 1 + tanh(Sum(W[a][n, j] * x[t, j], j) + w_a[n] * h[t - 1, n])
        c[t, n] = sigmoid(Sum(W[c][n, j] * x[t, j], j) + w_c[n] * h[t - 1, n])
        g[t, n] = tanh(Sum(W[g][n, j] * x[t, j], j) + a[t, n] * h[t - 1, n])
        h[t, n] = c[t, n] * h[t - 1, n] + (1 - c[t, n]) * g[t, n]
    '''
)
def brc(x, p, h):
    a, c, g = linear(x, p["weight_ih"]).chunk(3, -1)
    a, c = 1 + tanh(a + p["w_a"] * h), sigmoid(c + p["w_c"] * h)
    return (c * h + (1 - c) * tanh(g + a * h),)


@paper(
    '''
    """Recurrently neuromodulated bistable cell. Vecoven, Ernst & Drion 2021, equation 9."""
    @cell(states="h", gates="a c", cand="V")
    def nbrc(x, h, W, U, V, a, c):
        a[t, n] = 1 + tanh(Sum(W[a][n, j] * x[t, j], j) + Sum(U[a][n, k] * h[t - 1, k], k))
        c[t, n] = sigmoid(Sum(W[c][n, j] * x[t, j], j) + Sum(U[c][n, k] * h[t - 1, k], k))
        h[t, n] = c[t, n] * h[t - 1, n] + (1 - c[t, n]) * tanh(Sum(V[n, j] * x[t, j], j) + a[t, n] * h[t - 1, n])
    '''
)
def nbrc(x, p, h):
    a, c = (linear(x, p["weight_ih"]) + linear(h, p["weight_hh"])).chunk(2, -1)
    a, c = 1 + tanh(a), sigmoid(c)
    return (c * h + (1 - c) * tanh(linear(x, p["cand"]) + a * h),)


@paper(
    '''
    """Stackable recurrent cell. Turkoglu, D'Aronco, Wegner & Schindler 2021."""
    @cell(states="h", gates="z k_")
    def star(x, h, W, U, b, z, k_):
        z[t, n] = tanh(Sum(W[z][n, j] * x[t, j], j) + b[z][n])
        k_[t, n] = sigmoid(Sum(W[k_][n, j] * x[t, j], j) + Sum(U[n, k] * h[t - 1, k], k) + b[k_][n])
        h[t, n] = tanh((1 - k_[t, n]) * h[t - 1, n] + k_[t, n] * z[t, n])
    '''
)
def star(x, p, h):
    z, k = linear(x, p["weight_ih"], p["bias"]).chunk(2, -1)
    k = sigmoid(k + linear(h, p["weight_hh"]))
    return (tanh((1 - k) * h + k * tanh(z)),)


@paper(
    '''
    """Light GRU. Ravanelli, Brakel, Omologo & Bengio 2018, without its normalisation."""
    @cell(states="h", gates="z a")
    def ligru(x, h, W, U, z, a):
        z[t, n] = sigmoid(Sum(W[z][n, j] * x[t, j], j) + Sum(U[z][n, k] * h[t - 1, k], k))
        a[t, n] = relu(Sum(W[a][n, j] * x[t, j], j) + Sum(U[a][n, k] * h[t - 1, k], k))
        h[t, n] = z[t, n] * h[t - 1, n] + (1 - z[t, n]) * a[t, n]
    '''
)
def ligru(x, p, h):
    z, a = (linear(x, p["weight_ih"]) + linear(h, p["weight_hh"])).chunk(2, -1)
    return (sigmoid(z) * h + (1 - sigmoid(z)) * relu(a),)


@paper(
    '''
    """MGU2: the gate reads the state only. Heck & Salem 2017."""
    @cell(states="h")
    def mgu2(x, h, F, W, U, b, f):
        f[t, n] = sigmoid(Sum(F[n, k] * h[t - 1, k], k))
        h[t, n] = (1 - f[t, n]) * h[t - 1, n] \\
            + f[t, n] * tanh(Sum(W[n, j] * x[t, j], j) + Sum(U[n, k] * f[t, k] * h[t - 1, k], k) + b[n])
    '''
)
def mgu2(x, p, h):
    f = sigmoid(linear(h, p["F"]))
    return ((1 - f) * h + f * tanh(linear(x, p["weight_ih"], p["bias"]) + linear(f * h, p["weight_hh"])),)


@paper(
    '''
    """MGU3: the gate is a bias. Heck & Salem 2017."""
    @cell(states="h")
    def mgu3(x, h, W, U, b, d, f):
        f[t, n] = sigmoid(d[n])
        h[t, n] = (1 - f[t, n]) * h[t - 1, n] \\
            + f[t, n] * tanh(Sum(W[n, j] * x[t, j], j) + Sum(U[n, k] * f[t, k] * h[t - 1, k], k) + b[n])
    '''
)
def mgu3(x, p, h):
    f = sigmoid(p["d"])
    return ((1 - f) * h + f * tanh(linear(x, p["weight_ih"], p["bias"]) + linear(f * h, p["weight_hh"])),)


@paper(
    '''
    """GRU with the reset before the product. Cho et al. 2014."""
    @cell(states="h", gates="r z g")
    def gru_before(x, h, W, U, b, r, z, g):
        for q in (r, z):
            q[t, n] = sigmoid(Sum(W[q][n, j] * x[t, j], j) + Sum(U[q][n, k] * h[t - 1, k], k) + b[q][n])
        g[t, n] = tanh(Sum(W[g][n, j] * x[t, j], j) + Sum(U[g][n, k] * (r[t, k] * h[t - 1, k]), k) + b[g][n])
        h[t, n] = z[t, n] * h[t - 1, n] + (1 - z[t, n]) * g[t, n]
    '''
)
def gru_before(x, p, h):
    (wr, wz, wg), (ur, uz, ug), (br, bz, bg) = (split(p[q], 3) for q in ("weight_ih", "weight_hh", "bias"))
    r, z = sigmoid(linear(x, wr, br) + linear(h, ur)), sigmoid(linear(x, wz, bz) + linear(h, uz))
    return (z * h + (1 - z) * tanh(linear(x, wg, bg) + linear(r * h, ug)),)


@paper(
    '''
    """GRU1: gates read the state and a bias. Dey & Salem 2017."""
    @cell(states="h", gates="r z")
    def gru_1(x, h, G, b, W, U, d, r, z):
        for q in (r, z):
            q[t, n] = sigmoid(Sum(G[q][n, k] * h[t - 1, k], k) + b[q][n])
        h[t, n] = (1 - z[t, n]) * h[t - 1, n] \\
            + z[t, n] * tanh(Sum(W[n, j] * x[t, j], j) + Sum(U[n, k] * r[t, k] * h[t - 1, k], k) + d[n])
    '''
)
def gru_1(x, p, h):
    r, z = sigmoid(linear(h, p["G"], p["bias"])).chunk(2, -1)
    return ((1 - z) * h + z * tanh(linear(x, p["weight_ih"]) + linear(r * h, p["weight_hh"]) + p["d"]),)


@paper(
    '''
    """minGRU. Feng, Tung, Ahmed, Bengio & Hajimirsadeghi 2024."""
    @cell(states="h", gates="z g")
    def min_gru(x, h, W, b, z, g):
        z[t, n] = sigmoid(Sum(W[z][n, j] * x[t, j], j) + b[z][n])
        g[t, n] = Sum(W[g][n, j] * x[t, j], j) + b[g][n]
        h[t, n] = (1 - z[t, n]) * h[t - 1, n] + z[t, n] * g[t, n]
    '''
)
def min_gru(x, p, h):
    z, g = linear(x, p["weight_ih"], p["bias"]).chunk(2, -1)
    return (h + sigmoid(z) * (g - h),)


@paper(
    '''
    """minLSTM with normalised gates. Feng, Tung, Ahmed, Bengio & Hajimirsadeghi 2024."""
    @cell(states="h", gates="f i g")
    def min_lstm(x, h, W, b, f, i, g):
        for q in (f, i):
            q[t, n] = sigmoid(Sum(W[q][n, j] * x[t, j], j) + b[q][n])
        g[t, n] = Sum(W[g][n, j] * x[t, j], j) + b[g][n]
        h[t, n] = (f[t, n] * h[t - 1, n] + i[t, n] * g[t, n]) / (f[t, n] + i[t, n])
    '''
)
def min_lstm(x, p, h):
    f, i, g = linear(x, p["weight_ih"], p["bias"]).chunk(3, -1)
    f, i = sigmoid(f), sigmoid(i)
    return (f / (f + i) * h + i / (f + i) * g,)


@paper(
    '''
    """JANET with its shift of 1. Van der Westhuizen & Lasenby 2018."""
    @cell(states="c", gates="s g")
    def janet(x, c, W, U, b, s, g):
        s[t, n] = Sum(W[s][n, j] * x[t, j], j) + Sum(U[s][n, k] * c[t - 1, k], k) + b[s][n]
        g[t, n] = tanh(Sum(W[g][n, j] * x[t, j], j) + Sum(U[g][n, k] * c[t - 1, k], k) + b[g][n])
        c[t, n] = sigmoid(s[t, n]) * c[t - 1, n] + (1 - sigmoid(s[t, n] - 1)) * g[t, n]
    '''
)
def janet(x, p, c):
    s, g = gates(p, x, c, 2)
    return (sigmoid(s) * c + (1 - sigmoid(s - 1)) * tanh(g),)


@paper(
    '''
    """Delta-RNN. Ororbia, Mikolov & Reitter 2017."""
    @cell(states="h", alpha_="p", beta_1="q", beta_2="s")
    def delta_rnn(x, h, W, U, p, q, s, b, d, u, v, z, r):
        u[t, n] = Sum(W[n, j] * x[t, j], j)
        v[t, n] = Sum(U[n, k] * h[t - 1, k], k)
        z[t, n] = tanh(p[n] * u[t, n] * v[t, n] + q[n] * v[t, n] + s[n] * u[t, n] + b[n])
        r[t, n] = sigmoid(u[t, n] + d[n])
        h[t, n] = tanh((1 - r[t, n]) * z[t, n] + r[t, n] * h[t - 1, n])
    '''
)
def delta_rnn(x, p, h):
    u, v = linear(x, p["weight_ih"]), linear(h, p["weight_hh"])
    z = tanh(p["alpha_"] * u * v + p["beta_1"] * v + p["beta_2"] * u + p["bias"])
    r = sigmoid(u + p["d"])
    return (tanh((1 - r) * z + r * h),)


@paper(
    '''
    """HGRN, real-valued, with a lower bound of the forget gate. Qin, Yang & Zhong 2023."""
    @cell(states="y h", gates="f g i")
    def hgrn(x, y, h, W, b, bound, f, g, i):
        f[t, n] = sigmoid(bound[n]) + (1 - sigmoid(bound[n])) * sigmoid(Sum(W[f][n, j] * x[t, j], j) + b[f][n])
        i[t, n] = Sum(W[i][n, j] * x[t, j], j) + b[i][n]
        g[t, n] = sigmoid(Sum(W[g][n, j] * x[t, j], j) + b[g][n])
        h[t, n] = f[t, n] * h[t - 1, n] + (1 - f[t, n]) * i[t, n] * sigmoid(i[t, n])
        y[t, n] = h[t, n] * g[t, n]
    '''
)
def hgrn(x, p, y, h):
    f, g, i = linear(x, p["weight_ih"], p["bias"]).chunk(3, -1)
    low = sigmoid(p["bound"])
    f = low + (1 - low) * sigmoid(f)
    h = f * h + (1 - f) * torch.nn.functional.silu(i)
    return h * sigmoid(g), h


@paper(
    '''
    """Real-gated linear recurrent unit. De et al. 2024 (Griffin), equations 1 to 4, with c = 8; the input is projected."""
    @cell(states="h", gates="r i", embed="E")
    def rg_lru(x, h, W, b, E, lam, r, i, a):
        for q in (r, i):
            q[t, n] = sigmoid(Sum(W[q][n, j] * x[t, j], j) + b[q][n])
        a[t, n] = exp(-8 * softplus(lam[n]) * r[t, n])
        h[t, n] = a[t, n] * h[t - 1, n] + sqrt(1 - a[t, n] ** 2) * i[t, n] * Sum(E[n, j] * x[t, j], j)
    '''
)
def rg_lru(x, p, h):
    r, i = sigmoid(linear(x, p["weight_ih"], p["bias"])).chunk(2, -1)
    a = exp(-8 * torch.nn.functional.softplus(p["lam"]) * r)
    return (a * h + torch.sqrt(1 - a * a) * (i * linear(x, p["embed"])),)
