"""Run in an environment where only the wheel is installed: compiled modules work, and without SymPy or a compiler."""

from __future__ import annotations

import os
import sys

os.environ["PATH"] = ""  # no compiler can be found

import numpy as np

from derive.generated import gru, lstm, rnn

for cell in (rnn, gru, lstm):
    params = cell.init_params(3, 5, dtype=np.float64, seed=0)
    x = np.random.default_rng(0).normal(size=(4, 2, 3))
    loss, grads = cell.loss_and_grad(x, np.zeros((4, 2, 5)), params)
    name = "weight_ih"
    step = 1e-6 * np.sign(grads[name])
    moved = {**params, name: params[name] + step}
    slope = (cell.loss_and_grad(x, np.zeros((4, 2, 5)), moved)[0] - loss) / 1e-6
    assert abs(slope - np.abs(grads[name]).sum()) < 1e-4 * slope, (cell.__name__, slope)

unwanted = {"sympy", "jinja2", "mpmath"} & set(sys.modules)
assert not unwanted, f"a compiled module imported {unwanted}"
assert "site-packages" in lstm.__file__, lstm.__file__
print("rnn, gru and lstm run from the wheel, without SymPy and without a compiler")
