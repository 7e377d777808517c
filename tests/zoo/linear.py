"""Steps of derive/cells/linear/."""

from __future__ import annotations

import torch
from register import positive, zoo
from torch import exp, sigmoid, tanh
from torch.nn.functional import linear, silu, softplus


@zoo
def mingru(x, p, h):
    z, g = linear(x, p["weight_ih"], p["bias"]).chunk(2, -1)
    return (h + sigmoid(z) * (g - h),)


@zoo
def minlstm(x, p, h):
    f, i, g = linear(x, p["weight_ih"], p["bias"]).chunk(3, -1)
    f, i = sigmoid(f), sigmoid(i)
    return (f / (f + i) * h + i / (f + i) * g,)


@zoo
def sru(x, p, h, c):
    vf, vr = p["decay"].chunk(2)
    f, r = linear(x, p["weight_ih"], p["bias"]).chunk(2, -1)
    f, r = sigmoid(f + vf * c), sigmoid(r + vr * c)
    c = f * c + (1 - f) * linear(x, p["content"])
    return r * c + (1 - r) * x, c


@zoo
def qrnn(x, p, h, c, last):
    z, f, o = (linear(last, p["weight_before"]) + linear(x, p["weight_ih"])).chunk(3, -1)
    c = sigmoid(f) * c + (1 - sigmoid(f)) * tanh(z)
    return sigmoid(o) * c, c, x


@zoo
def trnn(x, p, h):
    f = sigmoid(linear(x, p["forget"], p["bias"]))
    return (f * h + (1 - f) * linear(x, p["weight_ih"]),)


@zoo
def tgru(x, p, h, last):
    z, f, o = (linear(last, p["weight_before"]) + linear(x, p["weight_ih"], p["bias"])).chunk(3, -1)
    return sigmoid(f) * h + z * tanh(o), x


@zoo
def tlstm(x, p, h, c, last):
    z, f, o = (linear(last, p["weight_before"]) + linear(x, p["weight_ih"], p["bias"])).chunk(3, -1)
    c = sigmoid(f) * c + (1 - sigmoid(f)) * z
    return c * tanh(o), c, x


@zoo
def hgrn(x, p, y, h):
    f, g, i = linear(x, p["weight_ih"], p["bias"]).chunk(3, -1)
    low = sigmoid(p["bound"])
    f = low + (1 - low) * sigmoid(f)
    h = f * h + (1 - f) * silu(i)
    return h * sigmoid(g), h


@zoo
def rg_lru(x, p, h):
    r, i = sigmoid(linear(x, p["weight_ih"], p["bias"])).chunk(2, -1)
    a = exp(-8 * softplus(p["lambda_"]) * r)
    return (a * h + torch.sqrt(1 - a * a) * (i * linear(x, p["embed"])),)


@zoo
def lru(x, p, y, u, v):
    lam = torch.exp(torch.complex(-exp(p["nu"]), p["theta"]))
    gamma = torch.sqrt(1 - lam.abs() ** 2)
    s = lam * torch.complex(u, v) + gamma * torch.complex(linear(x, p["in_re"]), linear(x, p["in_im"]))
    y = (s @ torch.complex(p["out_re"], p["out_im"]).T).real + linear(x, p["skip"])
    return y, s.real, s.imag


@zoo
def mamba(x, p, y, h):
    u = linear(x, p["embed"])
    s, a = softplus(linear(u, p["step"], p["width"])), -exp(p["log_a"])
    h = exp(s * a) * h + torch.expm1(s * a) / a * linear(u, p["rate"]) * u
    return linear(u, p["read"]) * h + p["skip"] * u, h


@positive("d")
def rwkv4(x, p, y, a, d):
    r, k, v = linear(x, p["weight_ih"]).chunk(3, -1)
    now, decay = exp(p["u"] + k), exp(-exp(p["w"]))
    y = sigmoid(r) * ((a + now * v) / (d + now))
    return y, decay * a + exp(k) * v, decay * d + exp(k)
