"""Steps of derive/cells/plain/."""

from __future__ import annotations

import torch
from register import zoo
from torch import relu, sigmoid, tanh
from torch.nn.functional import layer_norm, linear


@zoo
def rnn_relu(x, p, h):
    return (relu(linear(x, p["weight_ih"], p["bias"]) + linear(h, p["weight_hh"])),)


@zoo
def indrnn(x, p, h):
    return (relu(linear(x, p["weight_ih"], p["bias"]) + p["u"] * h),)


@zoo
def indrnn_layernorm(x, p, h):
    a = linear(x, p["weight_ih"]) + p["u"] * h
    return (relu(layer_norm(a, a.shape[-1:], p["gain"], p["bias"], 1e-5)),)


@zoo
def rnn_layernorm(x, p, h):
    a = linear(x, p["weight_ih"]) + linear(h, p["weight_hh"])
    return (tanh(layer_norm(a, a.shape[-1:], p["gain"], p["bias"], 1e-5)),)


@zoo
def scrn(x, p, h, s):
    s = 0.05 * linear(x, p["context"]) + 0.95 * s
    return sigmoid(linear(s, p["mix"]) + linear(x, p["hidden"]) + linear(h, p["recurrent"])), s


@zoo
def jordan(x, p, y, s):
    s = 0.5 * s + y
    h = sigmoid(linear(x, p["weight_ih"], p["bias"]) + linear(s, p["weight_hh"]))
    return tanh(linear(h, p["weight_out"], p["shift"])), s


@zoo
def narx(x, p, h, d):
    return tanh(linear(x, p["weight_ih"], p["bias"]) + linear(h, p["taps_1"]) + linear(d, p["taps_2"])), h


@zoo
def mrnn(x, p, h):
    f = linear(x, p["factor_x"]) * linear(h, p["factor_h"])
    return (tanh(linear(f, p["out_factor"]) + linear(x, p["weight_ih"], p["bias"])),)


@zoo
def mi_rnn(x, p, h):
    u, v = linear(x, p["weight_ih"]), linear(h, p["weight_hh"])
    return (tanh(p["mi_alpha"] * u * v + p["mi_h"] * v + p["mi_x"] * u + p["bias"]),)


@zoo
def fastrnn(x, p, h):
    g = tanh(linear(x, p["weight_ih"], p["bias"]) + linear(h, p["weight_hh"]))
    return (sigmoid(p["alpha_"]) * g + sigmoid(p["beta_"]) * h,)


@zoo
def fastgrnn(x, p, h):
    a = linear(x, p["left_in"] @ p["right_in"]) + linear(h, p["left"] @ p["right"])
    bz, bg = torch.chunk(p["bias"], 2)
    z, zeta, nu = sigmoid(a + bz), sigmoid(p["zeta"]), sigmoid(p["nu"])
    return ((zeta * (1 - z) + nu) * tanh(a + bg) + z * h,)


@zoo
def minimal_rnn(x, p, h):
    z = tanh(linear(x, p["latent"], p["latent_b"]))
    u = sigmoid(linear(h, p["weight_hh"]) + linear(z, p["weight_ih"]) + p["bias"])
    return (u * h + (1 - u) * z,)
