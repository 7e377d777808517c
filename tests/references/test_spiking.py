"""A spiking cell with a surrogate gradient against PyTorch, where the same rule is an autograd function."""

from __future__ import annotations

import math

import numpy as np
import pytest

from derive.notation import Sum, cell, function, j, k, n, pi, sigmoid, t, where
from tests.campaign import quick

torch = pytest.importorskip("torch")

spike = function("spike", lambda v: where(v > 0, 1, 0), derivative=lambda v: 1 / (1 + (pi * v) ** 2))


@cell(states="s v a")
def adlif(x, s, v, a, W, U, b, r, q):
    """Leaky integrate-and-fire with an adaptive threshold (Bellec et al. 2018), arctangent surrogate (Fang et al. 2021)."""
    a[t, n] = sigmoid(r[n]) * a[t - 1, n] + s[t - 1, n]
    q[t, n] = Sum(W[n, j] * x[t, j], j) + Sum(U[n, k] * s[t - 1, k], k)
    v[t, n] = sigmoid(b[n]) * v[t - 1, n] * (1 - s[t - 1, n]) + q[t, n]
    s[t, n] = spike(v[t, n] - 0.25 - 0.125 * a[t, n])


class Spike(torch.autograd.Function):
    """Values of a step, with the declared slope."""

    @staticmethod
    def forward(context, v):
        context.save_for_backward(v)
        return (v > 0).to(v.dtype)

    @staticmethod
    def backward(context, grad):
        (v,) = context.saved_tensors
        return grad / (1 + (math.pi * v) ** 2)


def test_outputs_and_gradients_are_those_of_autograd(tmp_path):
    module = quick.build(adlif, None, tmp_path)
    rng = np.random.default_rng(8)
    steps, batch, inputs, units = 7, 3, 5, 4
    shapes = {name: [{"I": inputs, "H": units}[d] for d in shape] for name, shape in module.PARAMS.items()}
    params = {name: rng.normal(size=shape) for name, shape in shapes.items()}
    x, y = rng.normal(size=(steps, batch, inputs)), rng.normal(size=(steps, batch, units))
    state = tuple(rng.uniform(0, 0.5, size=(batch, units)) for _ in module.STATES)
    loss, grads = module.loss_and_grad(x, y, params, state)

    leaves = {name: torch.tensor(a, requires_grad=True) for name, a in {**params, "x": x}.items()}
    first = [torch.tensor(a, requires_grad=True) for a in state]
    (s, v, a), total, fired = first, 0.0, 0.0
    w, u, beta, rho = (leaves[n] for n in ("weight_ih", "weight_hh", "bias", "r"))
    for step in range(steps):
        a = torch.sigmoid(rho) * a + s
        v = torch.sigmoid(beta) * v * (1 - s) + leaves["x"][step] @ w.T + s @ u.T
        s = Spike.apply(v - 0.25 - 0.125 * a)
        total, fired = total + ((s - torch.tensor(y[step])) ** 2).sum(), fired + float(s.sum())
    assert 0 < fired < steps * batch * units, "some spike and some do not"
    total.backward()
    np.testing.assert_allclose(loss, total.item(), rtol=1e-12)
    leaves |= dict(zip([f"{name}0" for name in module.STATES], first, strict=True))
    for name, leaf in leaves.items():
        np.testing.assert_allclose(grads[name], leaf.grad, rtol=1e-12, atol=1e-13, err_msg=name)
