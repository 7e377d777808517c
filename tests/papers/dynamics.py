"""Cells without gates: plain recurrence, discretised differential equations, state spaces, normalised ones."""

from __future__ import annotations

import torch
from torch import exp, relu, sigmoid, tanh
from torch.nn.functional import layer_norm, linear
from zoo import paper


@paper(
    '''
    """Independently recurrent units. Li, Li, Cook, Zhu & Gao 2018."""
    @cell(states="h")
    def indrnn(x, h, W, u, b):
        h[t, n] = relu(Sum(W[n, j] * x[t, j], j) + u[n] * h[t - 1, n] + b[n])
    '''
)
def indrnn(x, p, h):
    return (relu(linear(x, p["weight_ih"], p["bias"]) + p["u"] * h),)


@paper(
    '''
    """Leaky integrator of echo state networks, with a rate for each unit. Jaeger, Lukosevicius, Popovici & Siewert 2007."""
    @cell(states="h", rate="a")
    def leaky(x, h, W, U, b, a):
        h[t, n] = (1 - sigmoid(a[n])) * h[t - 1, n] \\
            + sigmoid(a[n]) * tanh(Sum(W[n, j] * x[t, j], j) + Sum(U[n, k] * h[t - 1, k], k) + b[n])
    '''
)
def leaky(x, p, h):
    a = sigmoid(p["rate"])
    return ((1 - a) * h + a * tanh(linear(x, p["weight_ih"], p["bias"]) + linear(h, p["weight_hh"])),)


@paper(
    '''
    """Jordan network: the output is fed back, through a decaying context. Jordan 1986."""
    @cell(states="y s", weight_out="V", shift="d")
    def jordan(x, y, s, W, U, b, V, d, h):
        s[t, o] = Rational(1, 2) * s[t - 1, o] + y[t - 1, o]
        h[t, n] = sigmoid(Sum(W[n, j] * x[t, j], j) + Sum(U[n, o] * s[t, o], o) + b[n])
        y[t, o] = tanh(Sum(V[o, n] * h[t, n], n) + d[o])
    '''
)
def jordan(x, p, y, s):
    s = 0.5 * s + y
    h = sigmoid(linear(x, p["weight_ih"], p["bias"]) + linear(s, p["weight_hh"]))
    return tanh(linear(h, p["weight_out"], p["shift"])), s


@paper(
    '''
    """UnICORNN: independent undamped oscillators. Rusch & Mishra 2021, equation 6, with dt = 1/8 and alpha = 2."""
    @cell(states="y z", speed="c")
    def unicornn(x, y, z, W, w, b, c):
        z[t, n] = z[t - 1, n] - sigmoid(c[n]) / 8 * (tanh(w[n] * y[t - 1, n] + Sum(W[n, j] * x[t, j], j) + b[n])
                                                     + 2 * y[t - 1, n])
        y[t, n] = y[t - 1, n] + sigmoid(c[n]) / 8 * z[t, n]
    '''
)
def unicornn(x, p, y, z):
    step = sigmoid(p["speed"]) * 0.125
    z = z - step * (tanh(p["w"] * y + linear(x, p["weight_ih"], p["bias"])) + 2 * y)
    return y + step * z, z


@paper(
    '''
    """FastRNN. Kusupati et al. 2018; alpha and beta by unit, through a sigmoid."""
    @cell(states="h", alpha_="p", beta_="q")
    def fastrnn(x, h, W, U, b, p, q, g):
        g[t, n] = tanh(Sum(W[n, j] * x[t, j], j) + Sum(U[n, k] * h[t - 1, k], k) + b[n])
        h[t, n] = sigmoid(p[n]) * g[t, n] + sigmoid(q[n]) * h[t - 1, n]
    '''
)
def fastrnn(x, p, h):
    g = tanh(linear(x, p["weight_ih"], p["bias"]) + linear(h, p["weight_hh"]))
    return (sigmoid(p["alpha_"]) * g + sigmoid(p["beta_"]) * h,)


@paper(
    '''
    """Continuous-time RNN by Euler's method, dt = 1/4, a time constant for each unit. Funahashi & Nakamura 1993."""
    @cell(states="r v", tau="q")
    def ctrnn(x, r, v, W, U, b, q):
        v[t, n] = v[t - 1, n] + (-v[t - 1, n] + Sum(U[n, k] * r[t - 1, k], k) + Sum(W[n, j] * x[t, j], j) + b[n]) \\
            / (4 * (1 + exp(q[n])))
        r[t, n] = tanh(v[t, n])
    '''
)
def ctrnn(x, p, r, v):
    v = v + 0.25 / (1 + exp(p["tau"])) * (linear(r, p["weight_hh"], p["bias"]) + linear(x, p["weight_ih"]) - v)
    return tanh(v), v


@paper(
    '''
    """Lipschitz RNN by Euler's method. Erichson, Azencot, Queiruga, Hodgkinson & Mahoney 2021: beta 3/4, gamma 1/100, dt 1/8."""
    @cell(states="h", inner_a="M", inner_w="N")
    def lipschitz(x, h, M, N, W, b, f):
        f[t, n] = Rational(1, 4) * (Sum(M[n, k] * h[t - 1, k], k) + Sum(M[k, n] * h[t - 1, k], k)) \\
            + Rational(3, 4) * (Sum(M[n, k] * h[t - 1, k], k) - Sum(M[k, n] * h[t - 1, k], k)) - h[t - 1, n] / 100
        h[t, n] = h[t - 1, n] + (f[t, n] + tanh(
            Rational(1, 4) * (Sum(N[n, k] * h[t - 1, k], k) + Sum(N[k, n] * h[t - 1, k], k))
            + Rational(3, 4) * (Sum(N[n, k] * h[t - 1, k], k) - Sum(N[k, n] * h[t - 1, k], k)) - h[t - 1, n] / 100
            + Sum(W[n, j] * x[t, j], j) + b[n])) / 8
    '''
)
def lipschitz(x, p, h):
    def matrix(m):
        return 0.25 * (m + m.T) + 0.75 * (m - m.T) - 0.01 * torch.eye(len(m), dtype=m.dtype)

    inner = tanh(linear(h, matrix(p["inner_w"])) + linear(x, p["weight_ih"], p["bias"]))
    return (h + 0.125 * (linear(h, matrix(p["inner_a"])) + inner),)


@paper(
    '''
    """Multiplicative integration RNN. Wu, Zhang, Zhang, Bengio & Salakhutdinov 2016, equation 4."""
    @cell(states="h", mi_alpha="a", mi_x="p", mi_h="q")
    def mi_rnn(x, h, W, U, a, p, q, b):
        h[t, n] = tanh(a[n] * Sum(W[n, j] * x[t, j], j) * Sum(U[n, k] * h[t - 1, k], k)
                       + q[n] * Sum(U[n, k] * h[t - 1, k], k) + p[n] * Sum(W[n, j] * x[t, j], j) + b[n])
    '''
)
def mi_rnn(x, p, h):
    u, v = linear(x, p["weight_ih"]), linear(h, p["weight_hh"])
    return (tanh(p["mi_alpha"] * u * v + p["mi_h"] * v + p["mi_x"] * u + p["bias"]),)


@paper(
    '''
    """Linear recurrent unit: complex diagonal as two real states. Orvieto et al. 2023, with its normaliser."""
    @cell(states="y u v", nu="p", theta="q", in_re="A", in_im="D", out_re="C", out_im="E", skip="F")
    def lru(x, y, u, v, p, q, A, D, C, E, F, r, g):
        r[t, m] = exp(-exp(p[m]))
        g[t, m] = sqrt(1 - r[t, m] ** 2)
        u[t, m] = r[t, m] * (cos(q[m]) * u[t - 1, m] - sin(q[m]) * v[t - 1, m]) + g[t, m] * Sum(A[m, j] * x[t, j], j)
        v[t, m] = r[t, m] * (sin(q[m]) * u[t - 1, m] + cos(q[m]) * v[t - 1, m]) + g[t, m] * Sum(D[m, j] * x[t, j], j)
        y[t, n] = Sum(C[n, m] * u[t, m], m) - Sum(E[n, m] * v[t, m], m) + Sum(F[n, j] * x[t, j], j)
    '''
)
def lru(x, p, y, u, v):
    lam = torch.exp(torch.complex(-exp(p["nu"]), p["theta"]))
    gamma = torch.sqrt(1 - lam.abs() ** 2)
    s = lam * torch.complex(u, v) + gamma * torch.complex(linear(x, p["in_re"]), linear(x, p["in_im"]))
    y = (s @ torch.complex(p["out_re"], p["out_im"]).T).real + linear(x, p["skip"])
    return y, s.real, s.imag


@paper(
    '''
    """Liquid time-constant network, one fused step with dt = 1/4. Hasani, Lechner, Amini, Rus & Grosu 2021, equation 3."""
    @cell(states="v", reversal="a", tau="q")
    def ltc(x, v, W, U, b, a, q, f):
        f[t, n] = sigmoid(Sum(W[n, j] * x[t, j], j) + Sum(U[n, k] * v[t - 1, k], k) + b[n])
        v[t, n] = (v[t - 1, n] + f[t, n] * a[n] / 4) / (1 + (exp(-q[n]) + f[t, n]) / 4)
    '''
)
def ltc(x, p, v):
    f = sigmoid(linear(x, p["weight_ih"], p["bias"]) + linear(v, p["weight_hh"]))
    return ((v + 0.25 * f * p["reversal"]) / (1 + 0.25 * (exp(-p["tau"]) + f)),)


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
    """RNN with layer normalisation. Ba, Kiros & Hinton 2016, equation 4."""
    @cell(states="h", gain="w")
    def ln_rnn(x, h, W, U, w, b, a, mu, d, s):
        a[t, n] = Sum(W[n, j] * x[t, j], j) + Sum(U[n, k] * h[t - 1, k], k)
        mu[t] = Sum(a[t, n], n) / H
        d[t, n] = a[t, n] - mu[t]
        s[t] = Sum(d[t, n] ** 2, n) / H
        h[t, n] = tanh(w[n] * d[t, n] / sqrt(s[t] + 1.0e-5) + b[n])
    '''
)
def ln_rnn(x, p, h):
    a = linear(x, p["weight_ih"]) + linear(h, p["weight_hh"])
    return (tanh(layer_norm(a, a.shape[-1:], p["gain"], p["bias"], 1e-5)),)


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
    """Selective state space, one state for each channel. Gu & Dao 2023 (Mamba), equations 2 and 4; the input is projected."""
    @cell(states="y h", embed="E", step="S", width="d", log_a="p", rate="A", read="C", skip="q")
    def selective(x, y, h, E, S, d, p, A, C, q, u, s, a):
        u[t, n] = Sum(E[n, j] * x[t, j], j)
        s[t, n] = softplus(Sum(S[n, k] * u[t, k], k) + d[n])
        a[t, n] = -exp(p[n])
        h[t, n] = exp(s[t, n] * a[t, n]) * h[t - 1, n] \\
            + (exp(s[t, n] * a[t, n]) - 1) / a[t, n] * Sum(A[n, k] * u[t, k], k) * u[t, n]
        y[t, n] = Sum(C[n, k] * u[t, k], k) * h[t, n] + q[n] * u[t, n]
    '''
)
def selective(x, p, y, h):
    u = linear(x, p["embed"])
    s, a = torch.nn.functional.softplus(linear(u, p["step"], p["width"])), -exp(p["log_a"])
    h = exp(s * a) * h + torch.expm1(s * a) / a * linear(u, p["rate"]) * u
    return linear(u, p["read"]) * h + p["skip"] * u, h


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
    """Strongly typed RNN. Balduzzi & Ghifary 2016, T-RNN."""
    @cell(states="h", forget="V")
    def t_rnn(x, h, W, V, b, z, f):
        z[t, n] = Sum(W[n, j] * x[t, j], j)
        f[t, n] = sigmoid(Sum(V[n, j] * x[t, j], j) + b[n])
        h[t, n] = f[t, n] * h[t - 1, n] + (1 - f[t, n]) * z[t, n]
    '''
)
def t_rnn(x, p, h):
    f = sigmoid(linear(x, p["forget"], p["bias"]))
    return (f * h + (1 - f) * linear(x, p["weight_ih"]),)


@paper(
    '''
    """NARX-like memory of two steps, the step before kept in a state of its own. Lin, Horne, Tino & Giles 1996."""
    @cell(states="h d", taps_1="A", taps_2="C")
    def narx(x, h, d, W, A, C, b):
        d[t, n] = h[t - 1, n]
        h[t, n] = tanh(Sum(W[n, j] * x[t, j], j) + Sum(A[n, k] * h[t - 1, k], k) + Sum(C[n, k] * d[t - 1, k], k) + b[n])
    '''
)
def narx(x, p, h, d):
    return tanh(linear(x, p["weight_ih"], p["bias"]) + linear(h, p["taps_1"]) + linear(d, p["taps_2"])), h
