"""The worked example: two units, one input, three steps, nothing zero; every gradient by three ways that share no code.

    derived    the equations of the document, evaluated in 50 digits by the interpreter
    difference a central difference of the loss in 50 digits: nothing but the forward equations
    compiled   the generated C in float64

All but the compiled value are exact to far more digits than are shown, on any machine.  Numbers that are drawn are
multiples of 1/128, so that they are the same in every arithmetic and can be typed into a calculator.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import mpmath
import numpy as np

from derive import check, ir
from derive.document.derivation import Derivation
from derive.flow.measure import compiled
from derive.pipeline import Model
from derive.verify.interpreter import run
from derive.verify.references import numerics

STEPS, UNITS, INPUTS = 3, 2, 1
DENOMINATOR = 128
_DIGITS = 50


@dataclass(frozen=True)
class Entry:
    """One entry of one gradient: the public array, its index, and its value by each way."""

    array: str
    index: tuple[int, ...]
    derived: Any
    difference: Any
    compiled: float


@dataclass(frozen=True)
class Worked:
    """The problem and all that was computed of it."""

    inputs: dict[str, Any]
    targets: dict[str, Any]
    loss: Any
    compiled_loss: float
    entries: tuple[Entry, ...]
    values: dict[str, Any]
    agreement: int


def drawn(made: Model) -> check.Problem:
    """The inputs: multiples of 1/128 between -0.82 and 0.82; the powers of 17 modulo 211 repeat after 210 numbers."""
    state = 7

    def array(*shape: int) -> Any:
        nonlocal state
        flat = []
        for _ in range(int(np.prod(shape))):
            state = state * 17 % 211
            flat.append((state - 105) / DENOMINATOR)
        return np.array(flat).reshape(shape)

    sizes = {**{d: UNITS for d in made.meta["dims"]}, "I": INPUTS, "T": STEPS, "B": 1}

    def given(role: str) -> dict[str, Any]:
        return {a.name: array(*a.lengths(sizes)) for a in made.signature.of_role(role)}

    params, inputs, targets = given("param"), given("input"), given("target")
    for name, values in targets.items():
        if name in made.signature.classes:
            targets[name] = np.abs(values) * DENOMINATOR % sizes[made.signature.classes[name]]
        elif name != "y":  # weights and variances are positive
            targets[name] = np.abs(values) + 0.25
    weights = {n: np.abs(values) + 0.25 for n, values in given("weight").items()}
    return check.Problem(inputs, targets | weights, params, tuple(given("initial").values()))


@cache
def work(d: Derivation) -> Worked:
    """Compute the example; the cell must be compiled, or it is compiled now."""
    made, problem = d.made, drawn(d.made)
    with mpmath.workdps(_DIGITS):
        values = {n: numerics.to_mp(a) for n, a in check.inputs_of(made, problem, 0).items()}
        targets = {n: numerics.to_mp(a) for n, a in check.targets_of(d.objective, problem, 0).items()}
        sizes = {**{dim: UNITS for dim in made.meta["dims"]}, "I": INPUTS, "T": STEPS}
        loss, forward, grads = _derived(d, values, targets, sizes)
        step = mpmath.mpf(10) ** -17
        moved = {n: _differences(d, values, targets, sizes, n, step) for n in values}
        derived, differences = _public(made, problem, grads), _public(made, problem, moved)
        worst = max(_distance(derived[n], differences[n]) for n in derived)
        agreement = int(mpmath.floor(-mpmath.log10(worst + mpmath.mpf(10) ** -60)))
    own_loss, own = _compiled(d, problem)
    entries = tuple(
        Entry(n, index, derived[n][index], differences[n][index], float(own[n][index]))
        for n in derived
        for index in np.ndindex(*derived[n].shape)
    )
    return Worked(values, targets, loss, own_loss, entries, forward, agreement)


def certified(d: Derivation) -> dict[str, float]:
    """Of each type the largest normwise error of a compiled gradient against 50 digits, in units of its limit.

    These are the rows of `derive check` that need nothing but the cell: check.py draws the problem and sets the limit.
    """
    rows = check.compiled(
        d.made, compiled(d.cell, d.loss), "mpmath", check.SMALL, lambda q: check.fifty_digits(d.made, q)
    )
    return {t: max(r.error / r.limit for r in rows if r.dtype == t) for t in ("float64", "float32")}


def _derived(
    d: Derivation, values: Mapping[str, Any], targets: Mapping[str, Any], sizes: Mapping[str, int]
) -> tuple[Any, dict[str, Any], dict[str, Any]]:
    """Loss, values of the forward pass and gradients by the derived equations: first the loss's, then the cell's."""
    output = d.primal.facts.output
    before = run(d.primal, values, sizes)
    out = _steps(d, before[output])
    of_loss = run(d.objective, {_role(d.objective, "input"): out, **targets}, sizes)
    program = d.made.adjoint
    seeds: dict[str, Any] = {}
    for name in program.inputs:
        tensor = program.tensors[name]
        if name in values:
            continue
        seeds[name] = numerics.to_mp(
            np.zeros([STEPS] * (tensor.time is not None) + [sizes[str(x)] for x in tensor.dims])
        )
    error = f"seed_{output}" if f"seed_{output}" in seeds else f"d_{output}"
    seeds[error] = of_loss[f"d_{output}"]
    found = run(program, {**values, **seeds}, sizes)
    grads = {n: found[f"d_{n}"] for n in values}
    loss = of_loss[d.objective.of_role("loss")[0].name]
    return loss[()], {**before, **found}, grads


def _role(program: ir.Program, role: str) -> str:
    return next(x.name for x in program.tensors.values() if x.role == role)


def _steps(d: Derivation, out: Any) -> Any:
    time = d.primal.tensors[d.primal.facts.output].time
    return out[1:] if time is not None and time[0] == 0 else out


def _differences(
    d: Derivation, values: Mapping[str, Any], targets: Mapping[str, Any], sizes: Mapping[str, int], name: str, step: Any
) -> Any:
    """(L(v + step) - L(v - step)) / (2 step) for every entry of one input, all entries in one sweep."""
    value, objective = values[name], d.objective.primal
    assert objective is not None, "the loss was differentiated, so it knows what it was"
    losses = []
    for sign in (1, -1):
        swept = np.broadcast_to(value, (value.size, *value.shape)).copy()
        flat = swept.reshape(value.size, -1)
        for k in range(value.size):
            flat[k, k] = flat[k, k] + sign * step
        losses.append(check.loss_of(d.primal, objective, {**values, name: swept}, targets, sizes))
    return np.array([(a - b) / (2 * step) for a, b in zip(*losses, strict=True)], dtype=object).reshape(value.shape)


def _public(made: Model, problem: check.Problem, grads: Mapping[str, Any]) -> dict[str, Any]:
    """Gradients of tensors as gradients of the public arrays."""
    found: dict[str, Any] = {}
    for name, value in grads.items():
        check.collect(made, found, name, value, 0, problem)
    return found


def _distance(a: Any, b: Any) -> Any:
    return max(abs(x - y) for x, y in zip(np.ravel(a), np.ravel(b), strict=True))


def _compiled(d: Derivation, problem: check.Problem) -> tuple[float, dict[str, Any]]:
    others = dict([*list(problem.inputs.items())[1:], *list(problem.targets.items())[1:]])
    loss, grads = compiled(d.cell, d.loss).loss_and_grad(problem.x, problem.y, problem.params, problem.state, **others)
    return float(loss), grads


def shown(value: Any) -> str:
    """Six digits after the point, the sign always; what rounds to zero is zero."""
    found = mpmath.nstr(mpmath.mpf(value), 12)
    text = f"{float(found):+.6f}"
    return text.replace("-0.000000", "+0.000000").replace("-", "-")
