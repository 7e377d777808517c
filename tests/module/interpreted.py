"""A module whose functions are Python and not C: they read the struct of arguments, ask the equations, and write the results.

So the runtime is tested for cells of any shape without a kernel: shapes, pointers of parts, rows of a batch, lengths.
"""

from __future__ import annotations

import sys
from math import prod
from types import ModuleType, SimpleNamespace
from typing import Any

import cffi
import numpy as np

from derive import registry
from derive.backends.c import emit
from derive.pipeline import model
from derive.rendering import render
from derive.toolchain.compiler import declarations
from derive.verify.oracle import Oracle
from derive.verify.problem import Problem

REALS = {"f32": np.dtype(np.float32), "f64": np.dtype(np.float64)}


def interpreted(cell) -> ModuleType:
    """The generated module of a cell, on the equations."""
    made = model(cell)
    package = f"interpreted_{made.name}_{made.digest}"
    made_of = ModuleType(package)
    made_of.__path__ = []
    sys.modules[package] = made_of
    sys.modules[f"{package}._kernels"] = made_of._kernels = _kernels(made, Oracle(cell, registry.loss("squared_error")))
    exec(render("python/module.py.j2", model=made, code="none"), made_of.__dict__)
    return made_of


def _kernels(made, oracle) -> ModuleType:
    ffi, name = cffi.FFI(), made.name
    ffi.cdef(declarations(emit.c_header(made)))
    lib = {"isa": lambda: 1, "parts": lambda: 0, "error": lambda code: ffi.new("char[]", b"refused")}
    for real, dtype in REALS.items():
        calls = _Calls(made, oracle, ffi, dtype)
        for op in ("infer", "forward", "backward", "loss_and_grad"):
            lib[f"{real}_{op}"] = getattr(calls, op)
        lib[f"{real}_sizes"] = calls.sizes
    found: Any = ModuleType(f"{name}._kernels")
    found.ffi, found.lib = ffi, SimpleNamespace(**{f"{name}_{what}": function for what, function in lib.items()})
    return found


class _Calls:
    """The functions of one scalar type."""

    def __init__(self, made, oracle, ffi, dtype) -> None:
        self.oracle, self.ffi, self.dtype, self.signature = oracle, ffi, dtype, made.signature
        self.dims = list(made.meta["dims"])

    def sizes(self, args, sizes) -> int:
        sizes.tape = args.T * args.B * self.dtype.itemsize
        sizes.infer = sizes.forward = sizes.backward = sizes.loss_and_grad = 64
        return 0

    def infer(self, args) -> int:
        return self._write(args, "", "output", "final")

    def forward(self, args) -> int:
        return self._write(args, "", "output", "final")

    def backward(self, args) -> int:
        return self._write(args, "backward ", "gradient")

    def loss_and_grad(self, args) -> int:
        return self._write(args, "loss ", "gradient")

    def _write(self, args, title: str, *roles: str) -> int:
        problem = self._problem(args, {"backward ": ("seed",), "loss ": ("target",)}.get(title, ()))
        lengths = [self._length(args, row) for row in range(args.B)]
        expected = self.oracle.ragged(problem, lengths) if args.rows else self.oracle.expected(problem)
        if title == "loss ":
            args.loss[0] = float(expected.values["loss"])
        names = {a.name: f"{a.of}0" if a.role == "initial" else a.name for a in self.signature.arguments}
        for argument in self.signature.of_role(*roles):
            result = title + names[argument.of] if argument.role == "gradient" else argument.name
            if (into := self._array(args, argument)) is not None:
                into[...] = expected.values[result]
        return 0

    @staticmethod
    def _length(args, row: int) -> int:
        return sum(args.rows[t] > row for t in range(args.T)) if args.rows else args.T

    def _array(self, args, argument) -> Any:
        """The numbers behind a pointer: of a batch the rows of this call."""
        pointer = getattr(args, argument.name)
        if not pointer:
            return None
        shape = argument.lengths(self._sizes(args))
        whole = (shape[0], args.batch or args.B, *shape[2:]) if argument.timed else shape
        last = prod(whole[1:]) - prod(shape[1:])  # of the last step only the rows of this call are there
        count = prod(whole) - last
        flat = np.frombuffer(self.ffi.buffer(pointer, count * self.dtype.itemsize), self.dtype)
        strides = [prod(whole[k + 1 :]) * self.dtype.itemsize for k in range(len(whole))]
        return np.lib.stride_tricks.as_strided(flat, shape, strides)

    def _sizes(self, args) -> dict[str, int]:
        return {n: int(getattr(args, n)) for n in ("T", "B", *self.dims)}

    def _problem(self, args, roles) -> Problem:
        places, values = self.oracle.places, {}
        for argument in self.signature.of_role("input", "param", "initial", *roles):
            array = self._array(args, argument)
            values[argument.name] = None if array is None else array.astype(np.float64)
            if argument.timed:
                values[argument.name] = np.moveaxis(values[argument.name], 0, 1)
        sizes, program = self._sizes(args), self.oracle.primal
        own = {n: values[public] for n, public in places.inputs.items()}
        for array, names in places.arrays.items():
            own |= dict(zip(names, np.split(values[array], len(names)) if names[1:] else [values[array]], strict=True))
        own |= {initial: values[initial] for initial in places.initial.values()}

        def zeros(tensor, *lead) -> Any:
            return np.zeros((*lead, *(sizes[str(d)] for d in tensor.dims)))

        out, (target,) = program.tensors[self.oracle.output], self.oracle.objective.of_role("target")
        rows, timed = (sizes["B"],), (sizes["B"], sizes["T"])
        states = {s: values.get(f"d_{s}_T") for s in self.oracle.states}
        return Problem(
            sizes,
            own,
            values.get("d_out", zeros(out, *timed)),
            {s: zeros(program.tensors[s], *rows) if d is None else d for s, d in states.items()},
            {target.name: values.get("y", zeros(target, *timed))},
        )
