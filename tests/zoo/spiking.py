"""Steps of derive/cells/spiking/: autograd is told the surrogate of the spike."""

from __future__ import annotations

import math

import torch
from register import zoo
from torch.nn.functional import linear


class Spike(torch.autograd.Function):
    """1 above 0; the derivative is 1/(1 + (pi v)^2)."""

    @staticmethod
    def forward(ctx, v):
        ctx.save_for_backward(v)
        return (v > 0).to(v.dtype)

    @staticmethod
    def backward(ctx, d_out):
        (v,) = ctx.saved_tensors
        return d_out / (1 + (math.pi * v) ** 2)


@zoo
def lif(x, p, s, v):
    v = 0.9 * v * (1 - s) + linear(x, p["weight_ih"]) + linear(s, p["weight_hh"])
    return Spike.apply(v - 1), v


@zoo
def adlif(x, p, s, u, w):
    current = linear(x, p["weight_ih"]) + linear(s, p["weight_hh"])
    w, u = (
        p["beta"] * w + (1 - p["beta"]) * p["a"] * u + p["b"] * s,
        p["alpha"] * (u - s) + (1 - p["alpha"]) * (current - w),
    )
    return Spike.apply(u - 1), u, w
