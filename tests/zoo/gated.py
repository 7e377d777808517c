"""Steps of derive/cells/gated/."""

from __future__ import annotations

import torch
from register import gates, split, zoo
from torch import exp, relu, sigmoid, tanh
from torch.nn.functional import layer_norm, linear


def candidate(p, x, h, r, count):
    """tanh(W x + U (r h) + b) with the last of the stacked matrices."""
    w, u, b = (split(p[q], count)[-1] for q in ("weight_ih", "weight_hh", "bias"))
    return tanh(linear(x, w, b) + linear(r * h, u))


@zoo
def gru_reset_before(x, p, h):
    r, z, _ = gates(p, x, h, 3)
    z = sigmoid(z)
    return (z * h + (1 - z) * candidate(p, x, h, sigmoid(r), 3),)


@zoo
def gru1(x, p, h):
    r, z = sigmoid(linear(h, p["gate_hh"], p["bias"])).chunk(2, -1)
    return ((1 - z) * h + z * tanh(linear(x, p["weight_ih"]) + linear(r * h, p["weight_hh"]) + p["shift"]),)


@zoo
def gru_layernorm(x, p, h):
    size = h.shape[-1]

    def normalised(v, gain, bias):
        """The gates r and z share their statistics, n has its own."""
        parts = zip((v[..., : 2 * size], v[..., 2 * size :]), (gain[: 2 * size], gain[2 * size :]),
                    (bias[: 2 * size], bias[2 * size :]), strict=True)  # fmt: skip
        return torch.cat([layer_norm(a, a.shape[-1:], g, b, 1e-5) for a, g, b in parts], -1)

    xr, xz, xn = normalised(linear(x, p["weight_ih"]), p["gain_ih"], p["bias_ih"]).chunk(3, -1)
    hr, hz, hn = normalised(linear(h, p["weight_hh"]), p["gain_hh"], p["bias_hh"]).chunk(3, -1)
    z = sigmoid(xz + hz)
    return (z * tanh(xn + sigmoid(xr + hr) * hn) + (1 - z) * h,)


@zoo
def augru(x, p, h, a):
    r, u, _ = gates(p, x, h, 3)
    u = a[:, None] * sigmoid(u)
    return ((1 - u) * h + u * candidate(p, x, h, sigmoid(r), 3),)


@zoo
def gru_d(x, p, h, last, m, delta):
    gamma_x = exp(-relu(p["decay_x"] * delta + p["decay_x_b"]))
    gamma_h = exp(-relu(linear(delta, p["decay_h"], p["decay_h_b"])))
    x_hat = m * x + (1 - m) * (gamma_x * last + (1 - gamma_x) * p["mean"])
    h = gamma_h * h
    (wr, wz, wg), (ur, uz, ug), (vr, vz, vg), (br, bz, bg) = (
        split(p[q], 3) for q in ("weight_ih", "weight_hh", "weight_mask", "bias")
    )
    r = sigmoid(linear(x_hat, wr, br) + linear(h, ur) + linear(m, vr))
    z = sigmoid(linear(x_hat, wz, bz) + linear(h, uz) + linear(m, vz))
    g = tanh(linear(x_hat, wg, bg) + linear(r * h, ug) + linear(m, vg))
    return (1 - z) * h + z * g, m * x + (1 - m) * last


@zoo
def mgu(x, p, h):
    f = sigmoid(gates(p, x, h, 2)[0])
    return ((1 - f) * h + f * candidate(p, x, h, f, 2),)


@zoo
def mgu2(x, p, h):
    f = sigmoid(linear(h, p["gate_hh"]))
    return ((1 - f) * h + f * tanh(linear(x, p["weight_ih"], p["bias"]) + linear(f * h, p["weight_hh"])),)


@zoo
def mgu3(x, p, h):
    f = sigmoid(p["gate_bias"])
    return ((1 - f) * h + f * tanh(linear(x, p["weight_ih"], p["bias"]) + linear(f * h, p["weight_hh"])),)


@zoo
def mut1(x, p, h):
    z = sigmoid(linear(x, p["update"], p["bz"]))
    r = sigmoid(linear(x, p["reset"]) + linear(h, p["reset_h"]) + p["br"])
    return (tanh(linear(r * h, p["cand"]) + tanh(linear(x, p["embed"])) + p["bh"]) * z + h * (1 - z),)


@zoo
def mut2(x, p, h):
    uz, ur = split(p["weight_hh"], 2)
    bz, br = split(p["bias"], 2)
    z, r = sigmoid(linear(x, p["weight_ih"]) + linear(h, uz) + bz), sigmoid(linear(x, p["embed"]) + linear(h, ur) + br)
    return (tanh(linear(r * h, p["cand_h"]) + linear(x, p["cand_x"]) + p["bh"]) * z + h * (1 - z),)


@zoo
def mut3(x, p, h):
    (wz, wr, wg), (uz, ur, ug), (bz, br, bg) = (split(p[q], 3) for q in ("weight_ih", "weight_hh", "bias"))
    z, r = sigmoid(linear(x, wz, bz) + linear(tanh(h), uz)), sigmoid(linear(x, wr, br) + linear(h, ur))
    return (tanh(linear(r * h, ug) + linear(x, wg, bg)) * z + h * (1 - z),)


@zoo
def ugrnn(x, p, h):
    c, g = gates(p, x, h, 2)
    return (sigmoid(g) * h + (1 - sigmoid(g)) * tanh(c),)


@zoo
def cfn(x, p, h):
    theta, eta = sigmoid(torch.cat(gates(p, x, h, 2), -1)).chunk(2, -1)
    return (theta * tanh(h) + eta * tanh(linear(x, p["content"])),)


@zoo
def atr(x, p, h):
    a, b = linear(x, p["weight_ih"]), linear(h, p["weight_hh"])
    return (sigmoid(a + b) * a + sigmoid(a - b) * h,)


@zoo
def brc(x, p, h):
    a, c, g = linear(x, p["weight_ih"]).chunk(3, -1)
    a, c = 1 + tanh(a + p["w_a"] * h), sigmoid(c + p["w_c"] * h)
    return (c * h + (1 - c) * tanh(g + a * h),)


@zoo
def nbrc(x, p, h):
    a, c = (linear(x, p["weight_ih"]) + linear(h, p["weight_hh"])).chunk(2, -1)
    a, c = 1 + tanh(a), sigmoid(c)
    return (c * h + (1 - c) * tanh(linear(x, p["cand"]) + a * h),)


@zoo
def star(x, p, h):
    z, k = linear(x, p["weight_ih"], p["bias"]).chunk(2, -1)
    k = sigmoid(k + linear(h, p["weight_hh"]))
    return (tanh((1 - k) * h + k * tanh(z)),)


@zoo
def ligru(x, p, h):
    z, a = (linear(x, p["weight_ih"]) + linear(h, p["weight_hh"])).chunk(2, -1)
    return (sigmoid(z) * h + (1 - sigmoid(z)) * relu(a),)


@zoo
def lightru(x, p, h):
    f, g = linear(x, p["weight_ih"]).chunk(2, -1)
    f = sigmoid(f + linear(h, p["weight_hh"], p["bias"]))
    return ((1 - f) * h + f * tanh(g),)


@zoo
def delta_rnn(x, p, h):
    u, v = linear(x, p["weight_ih"]), linear(h, p["weight_hh"])
    z = tanh(p["alpha_"] * u * v + p["beta_1"] * v + p["beta_2"] * u + p["bias"])
    r = sigmoid(u + p["gate_bias"])
    return (tanh((1 - r) * z + r * h),)


@zoo
def rhn(x, p, h):
    for depth in (1, 2, 3):
        g, q = linear(h, p[f"depth_{depth}"], p[f"bias_{depth}"]).chunk(2, -1)
        if depth == 1:
            more_g, more_q = linear(x, p["weight_ih"]).chunk(2, -1)
            g, q = g + more_g, q + more_q
        h = tanh(g) * sigmoid(q) + h * (1 - sigmoid(q))
    return (h,)
