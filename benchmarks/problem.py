"""One problem to solve: a cell, a shape, a dtype and the arrays; and the comparison of what two contenders make of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from benchmarks.shapes import Shape

Arrays = dict[str, np.ndarray[Any, Any]]
OWN_CELLS = Path(__file__).resolve().parent / "cells"
TOLERANCE = {"float32": 2e-4, "float64": 1e-10}  # of the norm; a swapped gate or a transposed matrix gives about 1


class Unsupported(Exception):
    """A peer cannot solve this problem, for the reason that the message gives."""


@dataclass(frozen=True)
class Contender:
    """`call` is what is timed: it returns when its result is there. `result` names its parts, as NumPy arrays.

    Inference gives "out"; training "loss" and the gradient of every parameter under the parameter's name.
    """

    call: Callable[[], Any]
    result: Callable[[Any], Arrays]
    with_dx: bool = False  # whether training also computes the gradient of x, which no contender is asked for
    keeps: Any = None  # what must live as long as the contender


@dataclass(frozen=True)
class Problem:
    """x (T, B, I), y (T, B, H), params as the cell's init_params makes them; the first state is zero."""

    cell: str
    shape: Shape
    dtype: str
    params: Arrays = field(repr=False)
    x: np.ndarray[Any, Any] = field(repr=False)
    y: np.ndarray[Any, Any] = field(repr=False)

    @property
    def states(self) -> int:
        """How many states the cell has: h, or h and c."""
        return len(module(self.cell).STATES)


def module(cell: str) -> ModuleType:
    """The compiled module of a cell of the package, or of one in a file of benchmarks/cells/."""
    import derive

    own = OWN_CELLS / f"{cell}.py"
    if own.is_file():
        from derive import registry

        if cell not in _built:
            _built[cell] = derive.build(registry.in_file(own))
        return _built[cell]
    return derive.load(cell)


_built: dict[str, ModuleType] = {}


def problem(cell: str, shape: Shape, dtype: str) -> Problem:
    """The same numbers for the same arguments."""
    rng = np.random.default_rng(0)
    params = module(cell).init_params(shape.I, shape.H, dtype=np.dtype(dtype))
    # init_params puts gains at 1 and biases of normalisations at 0: a peer that ignores them must not pass.
    params = {n: a if a.ndim == 2 else a + rng.uniform(-0.1, 0.1, a.shape).astype(dtype) for n, a in params.items()}
    x, y = (rng.normal(size=(shape.T, shape.B, size)).astype(dtype) for size in (shape.I, shape.H))
    return Problem(cell, shape, dtype, params, x, y)


def compare(expected: Mapping[str, Any], found: Mapping[str, Any], dtype: str) -> float:
    """The largest normwise difference of any part, relative; parts that only one side has do not count.

    Raises Unsupported where it exceeds TOLERANCE, naming the part: what is wrong must not be timed.
    """
    common = [name for name in expected if name in found]
    if not common:
        raise Unsupported(f"nothing to compare: {', '.join(expected)} against {', '.join(found)}")
    worst = 0.0
    for name in common:
        want, got = np.asarray(expected[name], np.float64), np.asarray(found[name], np.float64)
        if want.shape != got.shape:
            raise Unsupported(f"wrong: {name} has shape {got.shape} where {want.shape} is expected")
        error = float(np.linalg.norm(got - want) / max(float(np.linalg.norm(want)), 1e-300))
        if not error <= TOLERANCE[dtype]:
            raise Unsupported(f"wrong: {name} differs by {error:.1e} of its norm, {TOLERANCE[dtype]:.0e} is allowed")
        worst = max(worst, error)
    return worst
