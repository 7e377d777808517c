"""Cells with odd names and spellings, and those that messages suggest, compiled and compared with their equations."""

from __future__ import annotations

import textwrap

import numpy as np
import pytest
from right import RIGHT

import derive
from derive import notation, verify
from derive.notation import Cell
from derive.toolchain import compiler
from tests.campaign import quick

HEAD = "import numpy, sympy\nfrom derive.notation import *\nfrom derive.notation import head\n"


def cell_of(text):
    space: dict = {"__name__": "cells"}
    exec(HEAD + textwrap.dedent(text), space)
    return [found for found in space.values() if isinstance(found, Cell)][-1]


@pytest.mark.parametrize("case", RIGHT)
def test_it_is_right(case, tmp_path):
    """Every output, state, gradient and tape by the interpreter; see derive/verify."""
    mine = cell_of(RIGHT[case])
    assert verify.validate(quick.build(mine, None, tmp_path), mine) == []


LOSSES = {
    "one sum in another": (
        "L[()] = Sum(Sum((h[t, n] - y[t, n]) ** 2, n), t)",
        lambda h, y: ((h - y) ** 2).sum(),
    ),
    "one sum over both": (
        "L[()] = Sum((h[t, n] - y[t, n]) ** 4, n, t) / 2",
        lambda h, y: ((h - y) ** 4).sum() / 2,
    ),
    "a mean under the sum": (
        "L[()] = Sum(Sum((h[t, n] - y[t, n]) ** 2, n) / H, t)",
        lambda h, y: ((h - y) ** 2).mean(axis=-1).sum(),
    ),
    "a function of two row sums": (
        "L[()] = 3 * Sum(sqrt(1 + Sum(y[t, n] ** 2, n)) - Sum(h[t, n] * y[t, n], n), t)",
        lambda h, y: 3 * (np.sqrt(1 + (y**2).sum(axis=-1)) - (h * y).sum(axis=-1)).sum(),
    ),
    "cross entropy": (
        "L[()] = Sum(log(Sum(exp(h[t, n]), n)) - Sum(y[t, n] * h[t, n], n), t)",
        lambda h, y: (np.log(np.exp(h).sum(axis=-1)) - (y * h).sum(axis=-1)).sum(),
    ),
}


@pytest.mark.parametrize("case", LOSSES)
def test_a_loss_is_right(case, tmp_path):
    """Its number by NumPy, as the formula is read; its gradients, for which the formula is split, by validation."""
    text, expected = LOSSES[case]
    space = dict(vars(notation))
    exec(f"@loss\ndef objective(h, y, L):\n    {text}\n", space)
    mine = cell_of(RIGHT["the output is called y"])
    module = quick.build(mine, space["objective"], tmp_path)
    rng = np.random.default_rng(7)
    x, y = rng.normal(size=(4, 3, 5)), rng.normal(size=(4, 3, 6))
    params = module.init_params(input_size=5, hidden_size=6, dtype=np.float64)
    found, _ = module.loss_and_grad(x, y, params)
    out, _ = module.infer(x, params)
    assert abs(found - expected(out, y)) < 1e-13 * abs(found)
    assert verify.validate(module, mine, space["objective"]) == []


def test_a_cell_called_features_can_be_built(tmp_path, monkeypatch):
    """features.h is a header of the C library, which other headers include."""
    monkeypatch.setenv("DERIVE_CACHE", str(tmp_path))
    monkeypatch.setattr(compiler, "FLAGS", ("-O0", *(f for f in compiler.FLAGS if f != "-O3")))
    space = dict(vars(notation))
    text = """
        @cell(states="h")
        def features(x, h, W, λ):
            h[t, n] = tanh(Sum(W[n, j] * x[t, j], j) + λ[n] * h[t - 1, n])
    """
    exec(textwrap.dedent(text), space)
    module = derive.build(space["features"])
    params = module.init_params(input_size=3, hidden_size=4)
    assert list(params) == ["weight_ih", "lambda_"]
    x, y = np.ones((2, 3), np.float32), np.zeros((2, 4), np.float32)
    grads = module.loss_and_grad(x, y, params)[1]
    assert list(grads) == ["x", "weight_ih", "lambda_", "h0"]
