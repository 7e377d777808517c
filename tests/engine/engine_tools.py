"""What the tests of the symbolic layers share: drawn values, the complex step, and the error of derived gradients."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

import numpy as np

from derive import ir, registry
from derive.ir import Program
from derive.passes.adjoint import vjp
from derive.verify import interpreter as reference

# Odd, all different, and small: a transposed matrix or a gate of the wrong size cannot pass for the right one.
SIZES = {"T": 3, "I": 2, "H": 3, "O": 1, "B": 3}

FIVE = ("rnn", "lstm", "gru", "lstm_peephole", "lstm_layernorm")
CELLS = (*FIVE, "lstm_toy", "lstm_readout")

# The truncation error of a complex step is of the order of its square: far below rounding for any size like this one.
STEP = 1e-40

Values = dict[str, Any]


@cache
def primal(cell: str) -> Program:
    return registry.cell(cell).program()


@cache
def derived(cell: str) -> Program:
    return vjp(primal(cell))


def shape_of(program: Program, name: str, sizes: Mapping[str, int]) -> tuple[int, ...]:
    tensor = program.tensors[name]
    dims = tuple(sizes[str(d)] for d in tensor.dims)
    if tensor.time is None:
        return dims
    lo, hi = (int(end.subs(ir.T, sizes["T"])) for end in tensor.time)
    return (hi - lo + 1, *dims)


def draw(program: Program, sizes: Mapping[str, int], seed: int = 0, scale: float = 0.6) -> Values:
    """A value for every input: all weights different, no state zero, seeds on every output at every step."""
    random = np.random.default_rng(seed)
    return {name: scale * random.normal(size=shape_of(program, name, sizes)) for name in program.inputs}


def seeds_of(program: Program) -> dict[str, str | None]:
    """The seed of each output of the primal of a vjp; None where the seed is 1, as it is for a scalar loss."""
    source = program.primal
    assert source is not None
    order = 1
    while source.primal is not None:
        source, order = source.primal, order + 1
    assert program.primal is not None
    found: dict[str, str | None] = {}
    for name in program.primal.outputs:
        own = f"d_{name}" if order == 1 else f"d{order}_{name}"
        candidates = [n for n in (f"{'seed' * order}_{name}", own) if n in program.inputs]
        found[name] = candidates[0] if candidates else None
    return found


def objective(program: Program, values: Values, result: Values) -> Any:
    """The scalar whose gradient the adjoint program computes, for each slice of a sweep: outputs times seeds, summed."""
    assert program.primal is not None
    total: Any = 0
    for name, seed in seeds_of(program).items():
        value = result[name]
        if seed is None:  # either a loss, or nothing that depends on what is differentiated
            total = total + value if program.primal.tensors[name].rank == 0 else total
            continue
        weights = values[seed]
        if np.ndim(weights) and value.shape[1] > len(weights):
            value = value[:, 1:]  # a state at t = 0 is no output
        total = total + (value * weights).reshape(len(value), -1).sum(axis=1)
    return total


def complex_step(program: Program, values: Values, sizes: Mapping[str, int], wrt: Iterable[str]) -> Values:
    """d objective / d each element of each tensor of `wrt`, from the primal program alone."""
    source = program.primal
    assert source is not None
    inputs = {n: np.asarray(values[n], dtype=complex) for n in source.inputs}
    found = {}
    for name in wrt:
        count = inputs[name].size
        moved = np.broadcast_to(inputs[name], (count, *inputs[name].shape)).copy()
        moved.reshape(count, -1)[np.arange(count), np.arange(count)] += 1j * STEP
        result = reference.run(source, {**inputs, name: moved}, sizes)
        total = np.imag(objective(program, values, result)) / STEP
        found[name] = np.broadcast_to(total, (count,)).reshape(inputs[name].shape)
    return found


def relative(found: Any, expected: Any) -> float:
    """Largest difference, relative to the largest element: small elements may be differences of large ones."""
    found, expected = np.asarray(found), np.asarray(expected)
    assert found.shape == expected.shape, f"shapes {found.shape} and {expected.shape}"
    if not found.size:
        return 0.0
    error = float(np.abs(found - expected).max()) / max(float(np.abs(expected).max()), np.finfo(float).tiny)
    return error if np.isfinite(error) else np.inf


def gradients(program: Program) -> dict[str, str]:
    """Gradient tensor -> what it is the gradient of."""
    return {name: program.tensors[name].primal for name in program.outputs}
