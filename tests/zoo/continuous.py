"""Steps of derive/cells/continuous/."""

from __future__ import annotations

import torch
from register import gates, split, zoo
from torch import exp, sigmoid, tanh
from torch.nn.functional import linear


def antisymmetric_matrix(m, gamma):
    return m - m.T - gamma * torch.eye(len(m), dtype=m.dtype)


@zoo
def leaky(x, p, h):
    a = sigmoid(p["rate"])
    return ((1 - a) * h + a * tanh(linear(x, p["weight_ih"], p["bias"]) + linear(h, p["weight_hh"])),)


@zoo
def ctrnn(x, p, r, v):
    v = v + 0.25 / (1 + exp(p["tau"])) * (linear(r, p["weight_hh"], p["bias"]) + linear(x, p["weight_ih"]) - v)
    return tanh(v), v


@zoo
def antisymmetric(x, p, h):
    s = linear(h, antisymmetric_matrix(p["inner"], 0.01))
    return (h + 0.1 * tanh(s + linear(x, p["weight_ih"], p["bias"])),)


@zoo
def antisymmetric_gated(x, p, h):
    s = linear(h, antisymmetric_matrix(p["inner"], 0.01))
    g, z = linear(x, p["weight_ih"], p["bias"]).chunk(2, -1)
    return (h + 0.1 * sigmoid(s + z) * tanh(s + g),)


@zoo
def lipschitz(x, p, h):
    def matrix(m):
        """(1 - beta) (M + M') + beta (M - M') - gamma, with beta = 3/4."""
        return 0.25 * (m + m.T) + 0.75 * (m - m.T) - 0.01 * torch.eye(len(m), dtype=m.dtype)

    inner = tanh(linear(h, matrix(p["inner_w"])) + linear(x, p["weight_ih"], p["bias"]))
    return (h + 0.125 * (linear(h, matrix(p["inner_a"])) + inner),)


@zoo
def cornn(x, p, y, z):
    a = tanh(linear(y, p["position"]) + linear(z, p["velocity"]) + linear(x, p["weight_ih"], p["bias"]))
    z = z + 0.1 * (a - y - 2 * z)
    return y + 0.1 * z, z


@zoo
def unicornn(x, p, y, z):
    step = sigmoid(p["speed"]) * 0.125
    z = z - step * (tanh(p["w"] * y + linear(x, p["weight_ih"], p["bias"])) + 2 * y)
    return y + step * z, z


@zoo
def lem(x, p, y, z):
    a, b, c = (linear(x, p[f"weight_ih_{q}"], p[f"bias_{q}"]) + linear(y, p[f"weight_hh_{q}"]) for q in "pqc")
    z = (1 - sigmoid(a)) * z + sigmoid(a) * tanh(c)
    return (1 - sigmoid(b)) * y + sigmoid(b) * tanh(
        linear(z, p["weight_hh_y"]) + linear(x, p["weight_ih_y"], p["bias_y"])
    ), z


@zoo
def taugru(x, p, h, before):
    u, _, g, a = gates(p, x, h, 4)
    w, v, b = (split(p[q], 4)[1] for q in ("weight_ih", "weight_hh", "bias"))
    z = tanh(linear(x, w, b) + linear(before, v))
    return (1 - sigmoid(g)) * h + sigmoid(g) * (tanh(u) + sigmoid(a) * z), h


@zoo
def ltc(x, p, v):
    f = sigmoid(linear(x, p["weight_ih"], p["bias"]) + linear(v, p["weight_hh"]))
    return ((v + 0.25 * f * p["reversal"]) / (1 + 0.25 * (exp(-p["tau"]) + f)),)


@zoo
def cfc(x, p, h, s):
    z = 1.7159 * tanh(0.666 * (linear(x, p["weight_ih"], p["bias"]) + linear(h, p["weight_hh"])))
    f, g, a, c = linear(z, p["head"], p["head_b"]).chunk(4, -1)
    at = sigmoid(a * s[:, None] + c)
    return (tanh(f) * (1 - at) + at * tanh(g),)
