"""The toy problem of nicodjimenez/lstm, number for number: that code, written by hand, is the witness.

A cell with 100 units and 50 random inputs learns to show -0.5, 0.2, 0.1, -0.5 on its first unit. Its author's program
prints a loss of 7.535e-01 first and 2.611e-06 after 100 steps of plain gradient descent at rate 0.1; its equations are
those of `lstm_toy` (h = o c), and every number below starts where that program starts.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from derive.demo.training import Arrays, descend

TARGETS = (-0.5, 0.2, 0.1, -0.5)
UNITS, INPUTS, RATE = 100, 50, 0.1
WITNESS = (7.535e-01, 2.611e-06)


def beginning() -> tuple[Arrays, np.ndarray]:
    """Return the parameters and the input (4, 1, 50) that the original program starts from.

    It seeds its random numbers anew for every array, so all four gates start equal, and its inputs are drawn after the
    last bias. Its weights act on the concatenation [x, h(t-1)].
    """
    weight = np.random.RandomState(0).random_sample((UNITS, INPUTS + UNITS)) * 0.2 - 0.1
    random = np.random.RandomState(0)
    bias = random.random_sample(UNITS) * 0.2 - 0.1
    x = random.random_sample((len(TARGETS), 1, INPUTS))
    weight, bias = np.tile(weight, (4, 1)), np.tile(bias, 4)
    params = {
        "weight_ih": np.ascontiguousarray(weight[:, :INPUTS]),
        "weight_hh": np.ascontiguousarray(weight[:, INPUTS:]),
        "bias": bias,
    }
    return params, x


def learn(cell: Any, steps: int = 100, progress: Callable[[float], None] | None = None) -> list[float]:
    """Run the toy on `cell` (the module `lstm_toy`) and return the loss before each of the steps."""
    params, x = beginning()
    losses = []
    for _ in range(steps):
        out, _state, tape = cell.forward(x, params)
        error = out[:, 0, 0] - np.asarray(TARGETS)
        d_out = np.zeros_like(out)
        d_out[:, 0, 0] = 2 * error
        descend(params, cell.backward(tape, d_out), RATE)
        losses.append(float(error @ error))
        if progress is not None:
            progress(losses[-1])
    return losses
