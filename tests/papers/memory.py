"""Cells with a memory beside the output: variants of the LSTM, and cells that count and normalise."""

from __future__ import annotations

from torch import exp, sigmoid, tanh
from torch.nn.functional import linear
from zoo import gates, paper, split

PEEPHOLE = """
    @cell(states="h c", gates="{gates}", peephole="p")
    def {name}(x, h, c, W, U, b, p, z, {arguments}):
        for q in ({arguments},):
            z[q][t, n] = Sum(W[q][n, j] * x[t, j], j) + Sum(U[q][n, k] * h[t - 1, k], k) + b[q][n]
"""


def greff(name, listed, lines):
    """One of the eight variants of Greff, Srivastava, Koutnik, Steunebrink & Schmidhuber 2017, section 3."""
    head = PEEPHOLE.format(name=name, gates=listed, arguments=", ".join(listed.split()))
    doc = f'    """{name.upper()} of Greff et al. 2017."""'
    return doc + head + "".join(f"        {line}\n" for line in lines.strip().splitlines())


I_GATE = "i[t, n] = sigmoid(z[i][t, n] + p[i][n] * c[t - 1, n])\n"
F_GATE = "f[t, n] = sigmoid(z[f][t, n] + p[f][n] * c[t - 1, n])\n"
G_GATE = "g[t, n] = tanh(z[g][t, n])\n"
O_GATE = "o[t, n] = sigmoid(z[o][t, n] + p[o][n] * c[t, n])\n"
H_OUT = "h[t, n] = o[t, n] * tanh(c[t, n])\n"


@paper(greff("nig", "f g o", F_GATE + G_GATE + "c[t, n] = f[t, n] * c[t - 1, n] + g[t, n]\n" + O_GATE + H_OUT))
def nig(x, p, h, c):
    f, g, o = gates(p, x, h, 3)
    c = sigmoid(f + p["peephole_f"] * c) * c + tanh(g)
    return sigmoid(o + p["peephole_o"] * c) * tanh(c), c


@paper(greff("nfg", "i g o", I_GATE + G_GATE + "c[t, n] = c[t - 1, n] + i[t, n] * g[t, n]\n" + O_GATE + H_OUT))
def nfg(x, p, h, c):
    i, g, o = gates(p, x, h, 3)
    c = c + sigmoid(i + p["peephole_i"] * c) * tanh(g)
    return sigmoid(o + p["peephole_o"] * c) * tanh(c), c


@paper(
    greff(
        "nog",
        "i f g",
        I_GATE + F_GATE + G_GATE + "c[t, n] = f[t, n] * c[t - 1, n] + i[t, n] * g[t, n]\nh[t, n] = tanh(c[t, n])",
    )
)
def nog(x, p, h, c):
    i, f, g = gates(p, x, h, 3)
    c = sigmoid(f + p["peephole_f"] * c) * c + sigmoid(i + p["peephole_i"] * c) * tanh(g)
    return tanh(c), c


@paper(
    greff(
        "niaf",
        "i f g o",
        I_GATE
        + F_GATE
        + "g[t, n] = z[g][t, n]\nc[t, n] = f[t, n] * c[t - 1, n] + i[t, n] * g[t, n]\n"
        + O_GATE
        + H_OUT,
    )
)
def niaf(x, p, h, c):
    i, f, g, o = gates(p, x, h, 4)
    c = sigmoid(f + p["peephole_f"] * c) * c + sigmoid(i + p["peephole_i"] * c) * g
    return sigmoid(o + p["peephole_o"] * c) * tanh(c), c


@paper(
    greff(
        "noaf",
        "i f g o",
        I_GATE
        + F_GATE
        + G_GATE
        + "c[t, n] = f[t, n] * c[t - 1, n] + i[t, n] * g[t, n]\n"
        + O_GATE
        + "h[t, n] = o[t, n] * c[t, n]",
    )
)
def noaf(x, p, h, c):
    i, f, g, o = gates(p, x, h, 4)
    c = sigmoid(f + p["peephole_f"] * c) * c + sigmoid(i + p["peephole_i"] * c) * tanh(g)
    return sigmoid(o + p["peephole_o"] * c) * c, c


@paper(
    greff(
        "cifg",
        "f g o",
        F_GATE + G_GATE + "c[t, n] = f[t, n] * c[t - 1, n] + (1 - f[t, n]) * g[t, n]\n" + O_GATE + H_OUT,
    )
)
def cifg(x, p, h, c):
    f, g, o = gates(p, x, h, 3)
    f = sigmoid(f + p["peephole_f"] * c)
    c = f * c + (1 - f) * tanh(g)
    return sigmoid(o + p["peephole_o"] * c) * tanh(c), c


@paper(
    '''
    """FGR, full gate recurrence: gates read all gates of the step before. Greff et al. 2017; also Hochreiter 1991."""
    @cell(states="h c i_ f_ o_", gates="i f g o", peephole="p", from_i="A", from_f="D", from_o="E")
    def fgr(x, h, c, i_, f_, o_, W, U, b, p, A, D, E, z, i, f, g, o):
        for q in (i, f, o):
            z[q][t, n] = Sum(W[q][n, j] * x[t, j], j) + Sum(U[q][n, k] * h[t - 1, k], k) + b[q][n] \\
                + Sum(A[q][n, k] * i_[t - 1, k], k) + Sum(D[q][n, k] * f_[t - 1, k], k) \\
                + Sum(E[q][n, k] * o_[t - 1, k], k)
        i[t, n] = sigmoid(z[i][t, n] + p[i][n] * c[t - 1, n])
        f[t, n] = sigmoid(z[f][t, n] + p[f][n] * c[t - 1, n])
        g[t, n] = tanh(Sum(W[g][n, j] * x[t, j], j) + Sum(U[g][n, k] * h[t - 1, k], k) + b[g][n])
        c[t, n] = f[t, n] * c[t - 1, n] + i[t, n] * g[t, n]
        o[t, n] = sigmoid(z[o][t, n] + p[o][n] * c[t, n])
        h[t, n] = o[t, n] * tanh(c[t, n])
        i_[t, n] = i[t, n]
        f_[t, n] = f[t, n]
        o_[t, n] = o[t, n]
    '''
)
def fgr(x, p, h, c, i, f, o):
    zi, zf, zg, zo = gates(p, x, h, 4)
    more = {q: linear(i, p[f"from_i_{q}"]) + linear(f, p[f"from_f_{q}"]) + linear(o, p[f"from_o_{q}"]) for q in "ifo"}
    i, f = sigmoid(zi + more["i"] + p["peephole_i"] * c), sigmoid(zf + more["f"] + p["peephole_f"] * c)
    c = f * c + i * tanh(zg)
    o = sigmoid(zo + more["o"] + p["peephole_o"] * c)
    return o * tanh(c), c, i, f, o


@paper(
    '''
    """LSTM with working memory connections. Landi, Baraldi, Cornia & Cucchiara 2021."""
    @cell(states="h c", gates="i f g o", memory="M", shift="s")
    def lstm_wm(x, h, c, W, U, b, M, s, z, i, f, g, o):
        for q in (i, f, g, o):
            z[q][t, n] = Sum(W[q][n, j] * x[t, j], j) + Sum(U[q][n, k] * h[t - 1, k], k) + b[q][n]
        i[t, n] = sigmoid(z[i][t, n] + tanh(Sum(M[i][n, k] * c[t - 1, k], k) + s[i][n]))
        f[t, n] = sigmoid(z[f][t, n] + tanh(Sum(M[f][n, k] * c[t - 1, k], k) + s[f][n]))
        g[t, n] = tanh(z[g][t, n])
        c[t, n] = f[t, n] * c[t - 1, n] + i[t, n] * g[t, n]
        o[t, n] = sigmoid(z[o][t, n] + tanh(Sum(M[o][n, k] * c[t, k], k) + s[o][n]))
        h[t, n] = o[t, n] * tanh(c[t, n])
    '''
)
def lstm_wm(x, p, h, c):
    i, f, g, o = gates(p, x, h, 4)
    i, f = (sigmoid(a + tanh(linear(c, p[f"memory_{q}"], p[f"shift_{q}"]))) for q, a in (("i", i), ("f", f)))
    c = f * c + i * tanh(g)
    return sigmoid(o + tanh(linear(c, p["memory_o"], p["shift_o"]))) * tanh(c), c


@paper(
    '''
    """SLIM LSTM 2: gates read the state only. Lu & Salem 2017."""
    @cell(states="h c", gates="i f o")
    def slim_lstm(x, h, c, G, W, U, b, i, f, o):
        for q in (i, f, o):
            q[t, n] = sigmoid(Sum(G[q][n, k] * h[t - 1, k], k))
        c[t, n] = f[t, n] * c[t - 1, n] + i[t, n] * tanh(Sum(W[n, j] * x[t, j], j) + Sum(U[n, k] * h[t - 1, k], k) + b[n])
        h[t, n] = o[t, n] * tanh(c[t, n])
    '''
)
def slim_lstm(x, p, h, c):
    i, f, o = sigmoid(linear(h, p["G"])).chunk(3, -1)
    c = f * c + i * tanh(linear(x, p["weight_ih"], p["bias"]) + linear(h, p["weight_hh"]))
    return o * tanh(c), c


@paper(
    '''
    """Multiplicative integration LSTM. Wu, Zhang, Zhang, Bengio & Salakhutdinov 2016, appendix."""
    @cell(states="h c", gates="i f g o", mi_alpha="a", mi_x="p", mi_h="q")
    def mi_lstm(x, h, c, W, U, b, a, p, q, u, v, z, i, f, g, o):
        for s in (i, f, g, o):
            u[s][t, n] = Sum(W[s][n, j] * x[t, j], j)
            v[s][t, n] = Sum(U[s][n, k] * h[t - 1, k], k)
            z[s][t, n] = a[s][n] * u[s][t, n] * v[s][t, n] + p[s][n] * u[s][t, n] + q[s][n] * v[s][t, n] + b[s][n]
        i[t, n] = sigmoid(z[i][t, n])
        f[t, n] = sigmoid(z[f][t, n])
        g[t, n] = tanh(z[g][t, n])
        o[t, n] = sigmoid(z[o][t, n])
        c[t, n] = f[t, n] * c[t - 1, n] + i[t, n] * g[t, n]
        h[t, n] = o[t, n] * tanh(c[t, n])
    '''
)
def mi_lstm(x, p, h, c):
    u, v = linear(x, p["weight_ih"]), linear(h, p["weight_hh"])
    z = p["mi_alpha"] * u * v + p["mi_x"] * u + p["mi_h"] * v + p["bias"]
    i, f, g, o = z.chunk(4, -1)
    c = sigmoid(f) * c + sigmoid(i) * tanh(g)
    return sigmoid(o) * tanh(c), c


@paper(
    '''
    """LSTM whose peepholes are matrices. Gers & Schmidhuber 2000, all cells seen by all gates."""
    @cell(states="h c", gates="i f g o", peephole="P")
    def lstm_full_peephole(x, h, c, W, U, b, P, z, i, f, g, o):
        for q in (i, f, g, o):
            z[q][t, n] = Sum(W[q][n, j] * x[t, j], j) + Sum(U[q][n, k] * h[t - 1, k], k) + b[q][n]
        i[t, n] = sigmoid(z[i][t, n] + Sum(P[i][n, k] * c[t - 1, k], k))
        f[t, n] = sigmoid(z[f][t, n] + Sum(P[f][n, k] * c[t - 1, k], k))
        g[t, n] = tanh(z[g][t, n])
        c[t, n] = f[t, n] * c[t - 1, n] + i[t, n] * g[t, n]
        o[t, n] = sigmoid(z[o][t, n] + Sum(P[o][n, k] * c[t, k], k))
        h[t, n] = o[t, n] * tanh(c[t, n])
    '''
)
def lstm_full_peephole(x, p, h, c):
    i, f, g, o = gates(p, x, h, 4)
    c, old = None, c
    c = sigmoid(f + linear(old, p["peephole_f"])) * old + sigmoid(i + linear(old, p["peephole_i"])) * tanh(g)
    return sigmoid(o + linear(c, p["peephole_o"])) * tanh(c), c


@paper(
    '''
    """QRNN with fo-pooling over a window of one. Bradbury, Merity, Xiong & Socher 2017."""
    @cell(states="h c", gates="z f o")
    def qrnn_fo(x, h, c, W, z, f, o):
        z[t, n] = tanh(Sum(W[z][n, j] * x[t, j], j))
        f[t, n] = sigmoid(Sum(W[f][n, j] * x[t, j], j))
        o[t, n] = sigmoid(Sum(W[o][n, j] * x[t, j], j))
        c[t, n] = f[t, n] * c[t - 1, n] + (1 - f[t, n]) * z[t, n]
        h[t, n] = o[t, n] * c[t, n]
    '''
)
def qrnn_fo(x, p, h, c):
    z, f, o = linear(x, p["weight_ih"]).chunk(3, -1)
    c = sigmoid(f) * c + (1 - sigmoid(f)) * tanh(z)
    return sigmoid(o) * c, c


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
    """Recurrent weighted average. Ostmeyer & Cowell 2017, without the running maximum."""
    @cell(states="h s d", gates="u g a")
    def rwa(x, h, s, d, W, U, bu, bg, u, g, a):
        u[t, n] = Sum(W[u][n, j] * x[t, j], j) + bu[n]
        g[t, n] = Sum(W[g][n, j] * x[t, j], j) + Sum(U[g][n, k] * h[t - 1, k], k) + bg[n]
        a[t, n] = Sum(W[a][n, j] * x[t, j], j) + Sum(U[a][n, k] * h[t - 1, k], k)
        s[t, n] = s[t - 1, n] + u[t, n] * tanh(g[t, n]) * exp(a[t, n])
        d[t, n] = d[t - 1, n] + exp(a[t, n])
        h[t, n] = tanh(s[t, n] / d[t, n])
    ''',
    positive=("d",),
)
def rwa(x, p, h, s, d):
    u, g, a = linear(x, p["weight_ih"]).chunk(3, -1)
    g, a = g + p["bg"] + linear(h, p["weight_hh_g"]), a + linear(h, p["weight_hh_a"])
    s, d = s + (u + p["bu"]) * tanh(g) * exp(a), d + exp(a)
    return tanh(s / d), s, d


@paper(
    '''
    """WKV of RWKV-4: an average with a decay and a bonus for the current step. Peng et al. 2023, equations 16 to 18."""
    @cell(states="y a d", gates="r k_ v")
    def rwkv4(x, y, a, d, W, w, u, r, k_, v):
        r[t, n] = sigmoid(Sum(W[r][n, j] * x[t, j], j))
        k_[t, n] = Sum(W[k_][n, j] * x[t, j], j)
        v[t, n] = Sum(W[v][n, j] * x[t, j], j)
        y[t, n] = r[t, n] * (a[t - 1, n] + exp(u[n] + k_[t, n]) * v[t, n]) / (d[t - 1, n] + exp(u[n] + k_[t, n]))
        a[t, n] = exp(-exp(w[n])) * a[t - 1, n] + exp(k_[t, n]) * v[t, n]
        d[t, n] = exp(-exp(w[n])) * d[t - 1, n] + exp(k_[t, n])
    ''',
    positive=("d",),
)
def rwkv4(x, p, y, a, d):
    r, k, v = linear(x, p["weight_ih"]).chunk(3, -1)
    now, decay = exp(p["u"] + k), exp(-exp(p["w"]))
    y = sigmoid(r) * ((a + now * v) / (d + now))
    return y, decay * a + exp(k) * v, decay * d + exp(k)


@paper(
    '''
    """Sutskever, Martens & Hinton 2011: multiplicative RNN, whose factors are fewer than its units."""
    @cell(states="h", factor_x="A", factor_h="D", out_factor="E")
    def mrnn(x, h, A, D, E, W, b, f):
        f[t, m] = Sum(A[m, j] * x[t, j], j) * Sum(D[m, k] * h[t - 1, k], k)
        h[t, n] = tanh(Sum(E[n, m] * f[t, m], m) + Sum(W[n, j] * x[t, j], j) + b[n])
    '''
)
def mrnn(x, p, h):
    f = linear(x, p["factor_x"]) * linear(h, p["factor_h"])
    return (tanh(linear(f, p["out_factor"]) + linear(x, p["weight_ih"], p["bias"])),)


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
