"""Cells from papers, none of which ships: the equations as a cell file has them, and the same step in NumPy.

A step takes x (B, I), parameters by the names of their tensors and the states (B, dim) before it, and returns those
after it, in the order of STATES.  It is written from the paper's matrix equations, and works with complex numbers.
"""

from __future__ import annotations

import numpy as np


def sigmoid(a):
    return 1 / (1 + np.exp(-a))


def relu(a):
    return np.where(np.real(a) > 0, a, 0)


CELLS = {}


def paper(name, text):
    """Register a cell: its text, and below it the step in NumPy."""

    def register(step):
        CELLS[name] = (text, step)
        return step

    return register


@paper(
    "mgu",
    '''
    """Minimal gated unit. Zhou, Wu, Zhang & Zhou 2016."""
    @cell(states="h", gates="f g")
    def mgu(x, h, W, U, b, f, g):
        f[t, n] = sigmoid(Sum(W[f][n, j] * x[t, j], j) + Sum(U[f][n, k] * h[t - 1, k], k) + b[f][n])
        g[t, n] = tanh(Sum(W[g][n, j] * x[t, j], j) + Sum(U[g][n, k] * f[t, k] * h[t - 1, k], k) + b[g][n])
        h[t, n] = (1 - f[t, n]) * h[t - 1, n] + f[t, n] * g[t, n]
    ''',
)
def mgu(x, p, h):
    f = sigmoid(x @ p["W_f"].T + h @ p["U_f"].T + p["b_f"])
    g = np.tanh(x @ p["W_g"].T + (f * h) @ p["U_g"].T + p["b_g"])
    return ((1 - f) * h + f * g,)


@paper(
    "ugrnn",
    '''
    """Update gate RNN. Collins, Sohl-Dickstein & Sussillo 2017."""
    @cell(states="h", gates="c g")
    def ugrnn(x, h, W, U, b, c, g):
        c[t, n] = tanh(Sum(W[c][n, j] * x[t, j], j) + Sum(U[c][n, k] * h[t - 1, k], k) + b[c][n])
        g[t, n] = sigmoid(Sum(W[g][n, j] * x[t, j], j) + Sum(U[g][n, k] * h[t - 1, k], k) + b[g][n])
        h[t, n] = g[t, n] * h[t - 1, n] + (1 - g[t, n]) * c[t, n]
    ''',
)
def ugrnn(x, p, h):
    c = np.tanh(x @ p["W_c"].T + h @ p["U_c"].T + p["b_c"])
    g = sigmoid(x @ p["W_g"].T + h @ p["U_g"].T + p["b_g"])
    return (g * h + (1 - g) * c,)


@paper(
    "ran",
    '''
    """Recurrent additive network. Lee, Levy & Zettlemoyer 2017."""
    @cell(states="h c", gates="i f", content="C")
    def ran(x, h, c, W, U, b, C, i, f, z):
        for q in (i, f):
            z[q][t, n] = Sum(W[q][n, j] * x[t, j], j) + Sum(U[q][n, k] * h[t - 1, k], k) + b[q][n]
        i[t, n] = sigmoid(z[i][t, n])
        f[t, n] = sigmoid(z[f][t, n])
        c[t, n] = i[t, n] * Sum(C[n, j] * x[t, j], j) + f[t, n] * c[t - 1, n]
        h[t, n] = tanh(c[t, n])
    ''',
)
def ran(x, p, h, c):
    i = sigmoid(x @ p["W_i"].T + h @ p["U_i"].T + p["b_i"])
    f = sigmoid(x @ p["W_f"].T + h @ p["U_f"].T + p["b_f"])
    c = i * (x @ p["C"].T) + f * c
    return np.tanh(c), c


@paper(
    "scrn",
    '''
    """Structurally constrained recurrent network. Mikolov, Joulin, Chopra, Mathieu & Ranzato 2015."""
    @cell(states="h s", context="B_", mix="P", hidden="A", recurrent="R")
    def scrn(x, h, s, A, B_, P, R):
        s[t, m] = 0.05 * Sum(B_[m, j] * x[t, j], j) + 0.95 * s[t - 1, m]
        h[t, n] = sigmoid(Sum(P[n, m] * s[t, m], m) + Sum(A[n, j] * x[t, j], j) + Sum(R[n, k] * h[t - 1, k], k))
    ''',
)
def scrn(x, p, h, s):
    s = 0.05 * (x @ p["B_"].T) + 0.95 * s
    return sigmoid(s @ p["P"].T + x @ p["A"].T + h @ p["R"].T), s


@paper(
    "residual_indrnn",
    '''
    """Two layers of independently recurrent units with a residual connection. Li, Li, Cook, Zhu & Gao 2018."""
    @cell(states="h g", lower="W", upper="V_", skip="S")
    def residual_indrnn(x, h, g, W, V_, S, u, v, b):
        g[t, m] = relu(Sum(W[m, j] * x[t, j], j) + u[m] * g[t - 1, m])
        h[t, n] = relu(Sum(V_[n, m] * g[t, m], m) + v[n] * h[t - 1, n] + b[n]) + Sum(S[n, j] * x[t, j], j)
    ''',
)
def residual_indrnn(x, p, h, g):
    g = relu(x @ p["W"].T + p["u"] * g)
    return relu(g @ p["V_"].T + p["v"] * h + p["b"]) + x @ p["S"].T, g


@paper(
    "antisymmetric",
    '''
    """AntisymmetricRNN with gating. Chang, Chen, Haber & Chi 2019: (M - M^T - gamma I) h, for gamma = 1/10."""
    @cell(states="h", gates="g z", inner="M")
    def antisymmetric(x, h, W, M, b, g, z, s):
        s[t, n] = Sum(M[n, k] * h[t - 1, k], k) - Sum(M[k, n] * h[t - 1, k], k) - Rational(1, 10) * h[t - 1, n]
        g[t, n] = tanh(s[t, n] + Sum(W[g][n, j] * x[t, j], j) + b[g][n])
        z[t, n] = sigmoid(s[t, n] + Sum(W[z][n, j] * x[t, j], j) + b[z][n])
        h[t, n] = h[t - 1, n] + Rational(1, 2) * z[t, n] * g[t, n]
    ''',
)
def antisymmetric(x, p, h):
    s = h @ (p["M"] - p["M"].T - 0.1 * np.eye(len(p["M"]))).T
    g = np.tanh(s + x @ p["W_g"].T + p["b_g"])
    z = sigmoid(s + x @ p["W_z"].T + p["b_z"])
    return (h + 0.5 * z * g,)


@paper(
    "lem",
    '''
    """Long expressive memory. Rusch, Mishra, Erichson & Mahoney 2022, with dt = 1."""
    @cell(states="y z", gates="p q c", hidden="A", weight_x="V_", output="R", output_in="S", output_b="d")
    def lem(x, y, z, A, V_, b, R, S, d, p, q, c):
        p[t, n] = sigmoid(Sum(A[p][n, k] * y[t - 1, k], k) + Sum(V_[p][n, j] * x[t, j], j) + b[p][n])
        q[t, n] = sigmoid(Sum(A[q][n, k] * y[t - 1, k], k) + Sum(V_[q][n, j] * x[t, j], j) + b[q][n])
        c[t, n] = tanh(Sum(A[c][n, k] * y[t - 1, k], k) + Sum(V_[c][n, j] * x[t, j], j) + b[c][n])
        z[t, n] = (1 - p[t, n]) * z[t - 1, n] + p[t, n] * c[t, n]
        y[t, n] = (1 - q[t, n]) * y[t - 1, n] + q[t, n] * tanh(Sum(R[n, k] * z[t, k], k) + Sum(S[n, j] * x[t, j], j) + d[n])
    ''',
)
def lem(x, p, y, z):
    a = {g: y @ p[f"A_{g}"].T + x @ p[f"V__{g}"].T + p[f"b_{g}"] for g in "pqc"}
    z = (1 - sigmoid(a["p"])) * z + sigmoid(a["p"]) * np.tanh(a["c"])
    q = sigmoid(a["q"])
    return (1 - q) * y + q * np.tanh(z @ p["R"].T + x @ p["S"].T + p["d"]), z


@paper(
    "cornn",
    '''
    """Coupled oscillatory RNN. Rusch & Mishra 2021: velocities z, with dt = 1/2, gamma = 1, epsilon = 2."""
    @cell(states="y z", position="A", velocity="D", weight_x="V_")
    def cornn(x, y, z, A, D, V_, b):
        z[t, n] = z[t - 1, n] + (tanh(Sum(A[n, k] * y[t - 1, k], k) + Sum(D[n, k] * z[t - 1, k], k)
                                      + Sum(V_[n, j] * x[t, j], j) + b[n]) - y[t - 1, n] - 2 * z[t - 1, n]) / 2
        y[t, n] = y[t - 1, n] + z[t, n] / 2
    ''',
)
def cornn(x, p, y, z):
    z = z + (np.tanh(y @ p["A"].T + z @ p["D"].T + x @ p["V_"].T + p["b"]) - y - 2 * z) / 2
    return y + z / 2, z


@paper(
    "fastgrnn",
    '''
    """FastGRNN with low-rank matrices. Kusupati et al. 2018; zeta and nu by unit, through a sigmoid."""
    @cell(states="h", gates="z g", left_in="A", right_in="C", left="P", right="R")
    def fastgrnn(x, h, A, C, P, R, b, zeta, nu, a, z, g):
        a[t, n] = Sum(A[n, m] * Sum(C[m, j] * x[t, j], j), m) + Sum(P[n, o] * Sum(R[o, k] * h[t - 1, k], k), o)
        z[t, n] = sigmoid(a[t, n] + b[z][n])
        g[t, n] = tanh(a[t, n] + b[g][n])
        h[t, n] = (sigmoid(zeta[n]) * (1 - z[t, n]) + sigmoid(nu[n])) * g[t, n] + z[t, n] * h[t - 1, n]
    ''',
)
def fastgrnn(x, p, h):
    a = x @ (p["A"] @ p["C"]).T + h @ (p["P"] @ p["R"]).T
    z, g = sigmoid(a + p["b_z"]), np.tanh(a + p["b_g"])
    return ((sigmoid(p["zeta"]) * (1 - z) + sigmoid(p["nu"])) * g + z * h,)


@paper(
    "nested_lstm",
    '''
    """Nested LSTM: the memory of the outer is the output of an inner one. Moniz & Krueger 2018."""
    @cell(states="h c e", gates="i f g o", inner_x="A", inner_h="R", inner_b="d")
    def nested_lstm(x, h, c, e, W, U, b, A, R, d, z, a, i, f, g, o, u, v, m_):
        for q in (i, f, g, o):
            z[q][t, n] = Sum(W[q][n, j] * x[t, j], j) + Sum(U[q][n, k] * h[t - 1, k], k) + b[q][n]
        u[t, n] = sigmoid(z[i][t, n]) * tanh(z[g][t, n])
        v[t, n] = sigmoid(z[f][t, n]) * c[t - 1, n]
        for q in (i, f, g, o):
            a[q][t, n] = Sum(A[q][n, k] * u[t, k], k) + Sum(R[q][n, k] * v[t, k], k) + d[q][n]
        e[t, n] = sigmoid(a[f][t, n]) * e[t - 1, n] + sigmoid(a[i][t, n]) * tanh(a[g][t, n])
        c[t, n] = sigmoid(a[o][t, n]) * tanh(e[t, n])
        m_[t, n] = tanh(c[t, n])
        h[t, n] = sigmoid(z[o][t, n]) * m_[t, n]
    ''',
)
def nested_lstm(x, p, h, c, e):
    z = {q: x @ p[f"W_{q}"].T + h @ p[f"U_{q}"].T + p[f"b_{q}"] for q in "ifgo"}
    u, v = sigmoid(z["i"]) * np.tanh(z["g"]), sigmoid(z["f"]) * c
    a = {q: u @ p[f"A_{q}"].T + v @ p[f"R_{q}"].T + p[f"d_{q}"] for q in "ifgo"}
    e = sigmoid(a["f"]) * e + sigmoid(a["i"]) * np.tanh(a["g"])
    c = sigmoid(a["o"]) * np.tanh(e)
    return sigmoid(z["o"]) * np.tanh(c), c, e


@paper(
    "rhn",
    '''
    """Recurrent highway network of depth two, coupled gates. Zilly, Srivastava, Koutnik & Schmidhuber 2017."""
    @cell(states="h", gates="g q", inner="R", outer="S", bias_2="a")
    def rhn(x, h, W, R, S, b, a, g, q, s, u, v):
        g[t, n] = tanh(Sum(W[g][n, j] * x[t, j], j) + Sum(R[g][n, k] * h[t - 1, k], k) + b[g][n])
        q[t, n] = sigmoid(Sum(W[q][n, j] * x[t, j], j) + Sum(R[q][n, k] * h[t - 1, k], k) + b[q][n])
        s[t, n] = g[t, n] * q[t, n] + h[t - 1, n] * (1 - q[t, n])
        u[t, n] = tanh(Sum(S[g][n, k] * s[t, k], k) + a[g][n])
        v[t, n] = sigmoid(Sum(S[q][n, k] * s[t, k], k) + a[q][n])
        h[t, n] = u[t, n] * v[t, n] + s[t, n] * (1 - v[t, n])
    ''',
)
def rhn(x, p, h):
    g = np.tanh(x @ p["W_g"].T + h @ p["R_g"].T + p["b_g"])
    q = sigmoid(x @ p["W_q"].T + h @ p["R_q"].T + p["b_q"])
    s = g * q + h * (1 - q)
    u, v = np.tanh(s @ p["S_g"].T + p["a_g"]), sigmoid(s @ p["S_q"].T + p["a_q"])
    return (u * v + s * (1 - v),)


@paper(
    "lmu",
    '''
    """Legendre memory unit, with matrices that are learned. Voelker, Kajic & Eliasmith 2019; one memory for each input."""
    @cell(states="h m_", encode_x="E", encode_h="K", encode_m="G", memory="A", memory_in="C", hidden="U", mix="R")
    def lmu(x, h, m_, E, K, G, A, C, W, U, R, u):
        u[t, j] = Sum(E[j, i] * x[t, i], i) + Sum(K[j, k] * h[t - 1, k], k) + Sum(G[j, o] * m_[t - 1, o], o)
        m_[t, o] = Sum(A[o, k] * m_[t - 1, k], k) + Sum(C[o, j] * u[t, j], j)
        h[t, n] = tanh(Sum(W[n, j] * x[t, j], j) + Sum(U[n, k] * h[t - 1, k], k) + Sum(R[n, o] * m_[t, o], o))
    ''',
)
def lmu(x, p, h, m):
    u = x @ p["E"].T + h @ p["K"].T + m @ p["G"].T
    m = m @ p["A"].T + u @ p["C"].T
    return np.tanh(x @ p["W"].T + h @ p["U"].T + m @ p["R"].T), m


@paper(
    "lstmp",
    '''
    """LSTM with peepholes and a projection as its output. Sak, Senior & Beaufays 2014."""
    @cell(states="r c", gates="i f g o", projection="P", peephole="w")
    def lstmp(x, r, c, W, U, b, w, P, z, i, f, g, o, m_):
        for q in (i, f, g, o):
            z[q][t, n] = Sum(W[q][n, j] * x[t, j], j) + Sum(U[q][n, k] * r[t - 1, k], k) + b[q][n]
        i[t, n] = sigmoid(z[i][t, n] + w[i][n] * c[t - 1, n])
        f[t, n] = sigmoid(z[f][t, n] + w[f][n] * c[t - 1, n])
        g[t, n] = tanh(z[g][t, n])
        c[t, n] = f[t, n] * c[t - 1, n] + i[t, n] * g[t, n]
        o[t, n] = sigmoid(z[o][t, n] + w[o][n] * c[t, n])
        m_[t, n] = o[t, n] * tanh(c[t, n])
        r[t, k] = Sum(P[k, n] * m_[t, n], n)
    ''',
)
def lstmp(x, p, r, c):
    z = {q: x @ p[f"W_{q}"].T + r @ p[f"U_{q}"].T + p[f"b_{q}"] for q in "ifgo"}
    i, f = sigmoid(z["i"] + p["w_i"] * c), sigmoid(z["f"] + p["w_f"] * c)
    c = f * c + i * np.tanh(z["g"])
    return (sigmoid(z["o"] + p["w_o"] * c) * np.tanh(c)) @ p["P"].T, c


@paper(
    "mlstm",
    '''
    """Multiplicative LSTM. Krause, Lu, Murray & Renals 2016."""
    @cell(states="h c", gates="i f g o", inner_x="M", inner_h="R")
    def mlstm(x, h, c, W, U, b, M, R, e, z, i, f, g, o):
        e[t, m] = Sum(M[m, j] * x[t, j], j) * Sum(R[m, k] * h[t - 1, k], k)
        for q in (i, f, g, o):
            z[q][t, n] = Sum(W[q][n, j] * x[t, j], j) + Sum(U[q][n, m] * e[t, m], m) + b[q][n]
        i[t, n] = sigmoid(z[i][t, n])
        f[t, n] = sigmoid(z[f][t, n])
        g[t, n] = tanh(z[g][t, n])
        o[t, n] = sigmoid(z[o][t, n])
        c[t, n] = f[t, n] * c[t - 1, n] + i[t, n] * g[t, n]
        h[t, n] = tanh(c[t, n] * o[t, n])
    ''',
)
def mlstm(x, p, h, c):
    e = (x @ p["M"].T) * (h @ p["R"].T)
    z = {q: x @ p[f"W_{q}"].T + e @ p[f"U_{q}"].T + p[f"b_{q}"] for q in "ifgo"}
    c = sigmoid(z["f"]) * c + sigmoid(z["i"]) * np.tanh(z["g"])
    return np.tanh(c * sigmoid(z["o"])), c


@paper(
    "mogrifier",
    '''
    """Mogrifier: one round on x and one on h before the gates. Melis, Kocisky & Blunsom 2020."""
    @cell(states="h c", gates="i f g o", round_x="Q", round_h="R")
    def mogrifier(x, h, c, W, U, b, Q, R, u, v, z, i, f, g, o):
        u[t, j] = 2 * sigmoid(Sum(Q[j, k] * h[t - 1, k], k)) * x[t, j]
        v[t, n] = 2 * sigmoid(Sum(R[n, j] * u[t, j], j)) * h[t - 1, n]
        for q in (i, f, g, o):
            z[q][t, n] = Sum(W[q][n, j] * u[t, j], j) + Sum(U[q][n, k] * v[t, k], k) + b[q][n]
        i[t, n] = sigmoid(z[i][t, n])
        f[t, n] = sigmoid(z[f][t, n])
        g[t, n] = tanh(z[g][t, n])
        o[t, n] = sigmoid(z[o][t, n])
        c[t, n] = f[t, n] * c[t - 1, n] + i[t, n] * g[t, n]
        h[t, n] = o[t, n] * tanh(c[t, n])
    ''',
)
def mogrifier(x, p, h, c):
    x = 2 * sigmoid(h @ p["Q"].T) * x
    h = 2 * sigmoid(x @ p["R"].T) * h
    z = {q: x @ p[f"W_{q}"].T + h @ p[f"U_{q}"].T + p[f"b_{q}"] for q in "ifgo"}
    c = sigmoid(z["f"]) * c + sigmoid(z["i"]) * np.tanh(z["g"])
    return sigmoid(z["o"]) * np.tanh(c), c


@paper(
    "sru",
    '''
    """Simple recurrent unit with a projected highway. Lei, Zhang, Wang, Dai & Artzi 2018."""
    @cell(states="h c", gates="f r", content="C", highway="K", decay="v")
    def sru(x, h, c, W, b, v, C, K, f, r):
        f[t, n] = sigmoid(Sum(W[f][n, j] * x[t, j], j) + v[f][n] * c[t - 1, n] + b[f][n])
        r[t, n] = sigmoid(Sum(W[r][n, j] * x[t, j], j) + v[r][n] * c[t - 1, n] + b[r][n])
        c[t, n] = f[t, n] * c[t - 1, n] + (1 - f[t, n]) * Sum(C[n, j] * x[t, j], j)
        h[t, n] = r[t, n] * c[t, n] + (1 - r[t, n]) * Sum(K[n, j] * x[t, j], j)
    ''',
)
def sru(x, p, h, c):
    f = sigmoid(x @ p["W_f"].T + p["v_f"] * c + p["b_f"])
    r = sigmoid(x @ p["W_r"].T + p["v_r"] * c + p["b_r"])
    c = f * c + (1 - f) * (x @ p["C"].T)
    return r * c + (1 - r) * (x @ p["K"].T), c
