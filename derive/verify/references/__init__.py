"""Cells written by hand from their papers: the oracle that the derived code is held against.

Each module here is one cell as matrix equations over a batch, forward and BPTT, in NumPy. None of them imports the
engine, and the engine imports none of them, so that a mistake made in one is not repeated in the other. The same
lines run in float32, float64, complex128 (complex-step differentiation) and 50-digit mpmath; `numerics` picks the
elementary functions by dtype.

Every module has

    PARAMS, STATES                                      names and shapes, as the public surface has them
    forward(x, params, state=None)                      -> out, final state, cache
    backward(cache, d_out, d_state=None)                -> gradients of every parameter, of x and of the initial state
    magnitudes(cache, d_out, d_state=None)              -> for each gradient, the sum of |delta| |operand| behind it
    loss_and_grad(x, y, params, state=None)             -> L = sum over t and batch of ||out(t) - y(t)||^2, gradients

with x (T, B, I), out and y (T, B, H) (or (T, B, O)), and every state (B, H).
"""

from __future__ import annotations

import importlib
import importlib.util
from types import ModuleType

__all__ = ["get"]


def get(name: str) -> ModuleType | None:
    """The reference module of the cell `name`, or None where none is written."""
    path = f"{__name__}.{name}"
    if not name.isidentifier() or importlib.util.find_spec(path) is None:
        return None
    module = importlib.import_module(path)
    return module if hasattr(module, "forward") else None
