"""Cells with odd names and spellings, and those that messages suggest, compiled and compared with their equations."""

from __future__ import annotations

import textwrap

import numpy as np
import pytest
from right import RIGHT

import derive
from derive import compiler, notation, verify
from derive.notation import Cell
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
