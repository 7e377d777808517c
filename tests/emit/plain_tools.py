"""The plain backend's C as a library: compiled, called with NumPy arrays, and compared with the equations."""

from __future__ import annotations

import ctypes
import textwrap
from functools import cache
from pathlib import Path

import numpy as np
from c_tools import run

from derive import registry
from derive.backends import named
from derive.notation import Cell
from derive.pipeline import model
from derive.verify.oracle import Oracle
from derive.verify.problem import RANGES, draw, sizes_of
from tests.cases.right import RIGHT
from tests.cases.spaces import SPACES

STRICT = ("-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Wshadow", "-Wdouble-promotion", "-Werror")
TYPES = {"float": np.float32, "double": np.float64}
HEAD = "import numpy, sympy\nfrom derive.notation import *\nfrom derive.notation import head\n"
# The pointers in the struct of arguments: between the two parts stand inputs, and behind them their gradients.
FIRST, REST = ("weights", "first"), "y out last tape loss d_out d_last d_weights d_first".split()

# Two layers, of which the upper one reads a product of the lower one: two loops with a phase between them.
TWO_LAYERS = """
    @cell(states="b a")
    def two_layers(x, b, a, W, U, P, R):
        a[t, n] = tanh(Sum(W[n, j] * x[t, j], j) + Sum(U[n, k] * a[t - 1, k], k))
        b[t, m] = tanh(Sum(P[m, n] * a[t, n], n) + Sum(R[m, k] * b[t - 1, k], k))
"""


@cache
def cell_of(name: str) -> Cell:
    """A shipped cell, or one of tests/cases/right.py by its title."""
    if name in registry.shipped():
        return registry.cell(name)
    space: dict = {"__name__": "cells"}
    exec(HEAD + textwrap.dedent(OWN.get(name) or SPACES.get(name) or RIGHT[name]), space)
    return [found for found in space.values() if isinstance(found, Cell)][-1]


@cache
def oracle(name: str) -> Oracle:
    return Oracle(cell_of(name), registry.loss("squared_error"))


@cache
def case(name: str, steps: int):
    """Sizes, a problem of one sequence whose numbers are usual ones, and what is right."""
    right, made = oracle(name), model(cell_of(name))
    sizes = sizes_of(list(made.meta["dims"]), (5, 3, 7, 4, 6, 2), {})
    for limits in RANGES:
        problem = draw(right.primal, right.objective, {**sizes, "T": steps, "B": 1}, limits)
        expected = right.expected(problem)
        if expected.usual and all(np.isfinite(a).all() for a in expected.values.values()):
            return sizes, problem, expected
    raise AssertionError(f"{name}: no draw has finite results")


# Two inputs, of which one enters where no product is.
TWO_INPUTS = """
    @cell(states="h", inputs="v")
    def two_inputs(x, v, h, W, U):
        h[t, n] = tanh(Sum(W[n, j] * x[t, j], j) + Sum(U[n, k] * h[t - 1, k], k) + v[t, n]) * v[t, n]
"""
OWN = {"two layers": TWO_LAYERS, "two inputs": TWO_INPUTS}


class Library:
    """The compiled C of a cell; every call returns its results by name, and fails if one was left unwritten."""

    def __init__(self, name: str, real: str, sizes: dict[str, int], T: int, folder: Path, *flags: str) -> None:
        made = model(cell_of(name))
        self.meta, self.real, self.prefix, self.sizes = made.meta, TYPES[real], "cell", sizes
        files = named("plain").files(made, sizes=sizes, T=T, real=real, name=self.prefix)
        folder.mkdir(parents=True, exist_ok=True)
        for file, text in files.items():
            (folder / file).write_text(text)
        flags = (*flags, *(() if any(f.startswith("-O") for f in flags) else ("-O1",)))
        run("gcc", "-std=c99", *STRICT, *flags, "-fPIC", "-shared", folder / "cell.c", "-o", folder / "cell.so", "-lm")
        self.library = ctypes.CDLL(str(folder / "cell.so"))
        self.params = {p: tuple(self._number(d) for d in shape) for p, shape in self.meta["params"].items()}
        self.states = {s: (self._number(d),) for s, d in self.meta["states"].items()}
        self.tape = (
            sum(
                p.slots * (int(p.dim.subs({s: sizes[s.name] for s in p.dim.free_symbols})) if p.dim is not None else 1)
                for p in self._regions(made)
            )
            * T
        )

    @staticmethod
    def _regions(made):
        return {p.array: p for p in made.tape.values()}.values()

    def _number(self, text: str) -> int:
        return int(np.prod([int(f) if f.isdigit() else self.sizes[f] for f in text.replace(" ", "").split("*")]))

    def width(self, which: str) -> int:
        """Of a row of "input", "output" or "target"."""
        return self._number(self.meta["inputs"]["x"] if which == "input" else self.meta[which][1])

    def joined(self, arrays, shapes) -> np.ndarray:
        """The struct of some arrays."""
        return np.concatenate([np.asarray(arrays[n], self.real).reshape(-1) for n in shapes])

    def apart(self, whole: np.ndarray, shapes) -> dict[str, np.ndarray]:
        """The arrays of a struct."""
        ends = np.cumsum([int(np.prod(s)) for s in shapes.values()])
        assert len(whole) == (ends[-1] if len(ends) else 0)
        return {n: a.reshape(s) for (n, s), a in zip(shapes.items(), np.split(whole, ends[:-1]), strict=True)}

    def empty(self, *shape: int) -> np.ndarray:
        """An array of NaN: what is left unwritten shows."""
        return np.full(shape, np.nan, self.real)

    def call(self, function: str, steps: int, **arrays: np.ndarray | None) -> int:
        """Call a function that trains with contiguous arrays; None is NULL."""
        assert all(a is None or (a.flags.c_contiguous and a.dtype == self.real) for a in arrays.values())
        pointers = {n: None if a is None else a.ctypes.data for n, a in arrays.items()}
        inputs = list(self.meta["inputs"])
        order = [*FIRST, *inputs, *REST, *(f"d_{n}" for n in inputs)]
        args = (ctypes.c_size_t * (1 + len(order)))(steps, *(pointers.pop(n, None) or 0 for n in order))
        assert not pointers, f"no argument has the name {', '.join(pointers)}"
        return getattr(self.library, f"{self.prefix}_{function}")(args)

    def infer(self, weights, state, x, one_by_one: bool = False):
        """Outputs and the state after them, which is updated in place."""
        out, state, x = self.empty(len(x), self.width("output")), state.copy(), np.ascontiguousarray(x, self.real)
        calls = range(len(x)) if one_by_one else [slice(None)]
        for at in calls:
            part, more = (x[at], out[at]), () if one_by_one else (ctypes.c_size_t(len(x)),)
            where = [ctypes.c_void_p(a.ctypes.data) for a in (weights, state, *part)]
            getattr(self.library, f"{self.prefix}_{'step' if one_by_one else 'infer'}")(*where, *more)
        return out, state

    def results(self, problem, places) -> dict[str, np.ndarray]:
        """Everything that the oracle knows, by its names, from forward, backward and loss_and_grad."""
        steps = problem.steps
        weights = self.joined(places.gather(problem.values), self.params)
        first = self.joined({s: problem.values[i] for s, i in places.initial.items()}, self.states)
        (y,) = problem.targets.values()
        given = {"weights": weights, "first": first, "y": np.ascontiguousarray(y[0], self.real)}
        given |= {p: np.ascontiguousarray(problem.values[n][0], self.real) for n, p in places.inputs.items()}
        kept = {n: a.copy() for n, a in given.items()}
        found: dict[str, np.ndarray] = {}
        seeds = {
            "d_out": np.ascontiguousarray(problem.d_out[0], self.real),
            "d_last": self.joined(problem.d_state, self.states),
        }
        for title in ("backward", "loss"):
            own = {
                "out": self.empty(steps, self.width("output")),
                "last": self.empty(len(first)),
                "tape": self.empty(max(self.tape, 1)),
                "loss": self.empty(1),
                "d_weights": self.empty(len(weights)),
                "d_first": self.empty(len(first)),
                **{f"d_{p}": self.empty(*given[p].shape) for p in places.inputs.values()},
            }
            if title == "backward":
                assert self.call("forward", steps, **given, **own) == 0
                assert np.isnan(own["d_weights"]).all()
                assert self.call("backward", steps, **given, **own, **seeds) == 0
                own["loss"][:] = 0
            else:
                d_out = self.empty(steps, self.width("output"))
                assert self.call("loss_and_grad", steps, **given, **own, d_out=d_out) == 0
                found["loss"] = own["loss"]
            for name, array in own.items():
                if name != "tape":
                    assert np.isfinite(array).all(), f"{title}: {name} was not written"
            found["out"] = own["out"][:, None]
            found |= {f"{s}_T": a[None] for s, a in self.apart(own["last"], self.states).items()}
            found |= {f"{title} {p}": own[f"d_{p}"][:, None] for p in places.inputs.values()}
            found |= {f"{title} {p}": a for p, a in self.apart(own["d_weights"], self.params).items()}
            found |= {f"{title} {s}0": a[None] for s, a in self.apart(own["d_first"], self.states).items()}
        for name, array in kept.items():
            np.testing.assert_array_equal(given[name], array, err_msg=f"{name} was overwritten")
        return found


def the_input(places) -> str:
    """The tensor of the one input."""
    (name,) = places.inputs
    return name


def compare(found: dict[str, np.ndarray], expected, real: str, skip: tuple[str, ...] = ()) -> None:
    """Every result: to 1e-12 in double and 32 units of the last place in float, or to what rounding does to it."""
    basic = 1e-12 if real == "double" else 32 * float(np.finfo(np.float32).eps)
    for name, value in expected.values.items():
        if name in skip:
            continue
        value = np.asarray(value, np.float64)
        error, scale = np.abs(found[name].reshape(value.shape) - value).max(), max(1.0, np.abs(value).max())
        if not error <= basic * scale:
            rounding = expected.roundings.float64 if real == "double" else expected.roundings.float32
            assert error <= 16 * rounding[name], f"{name}: off by {error:.3g} of {scale:.3g}"
