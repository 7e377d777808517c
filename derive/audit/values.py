"""The author's equations by value: run in the interpreter beside the derived ones, on the same random problem.

The problem hides nothing: initial states are not zero, all weights differ, there is a loss at every step.  `errors` gives
the error of each quantity, by its own equation alone and with all equations of the author; `Problem` has the values and
makes programs of the author's equations.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import reduce
from typing import Any

import numpy as np
import sympy as sp
from sympy.tensor.indexed import Indexed, IndexedBase

from derive import ir
from derive.audit.indices import reads_time
from derive.audit.side import Piece, Shapes, Side
from derive.errors import DeriveError
from derive.ir import Equation, Program, Span, T, Tensor, t
from derive.passes.adjoint import adjoint_name
from derive.verify import interpreter as reference

Array = Any
SIZES = {"I": 3, "H": 4, "O": 2}
TOLERANCE = 1e-9  # the interpreter computes in float64; what is above is no rounding
LONGEST = 6
DRAWS = 5


def errors(
    problem: Problem, claimed: list[str], lengths: tuple[int, ...]
) -> tuple[dict[str, Errors], dict[str, Errors]]:
    """Errors of each claimed quantity: by its own equation alone, and with all of the author's equations."""
    programs = problem.program(claimed, True), problem.program(claimed, False)
    tables: tuple[dict[str, dict[int, float]], ...] = ({n: {} for n in claimed}, {n: {} for n in claimed})
    for length in sorted({*range(1, LONGEST + 1), *lengths}):
        drawn = [problem.derived(length, draw) for draw in range(DRAWS if length in lengths else 1)]
        for program, table in zip(programs, tables, strict=True):
            if program is None:
                table.update({label: {**table[label], length: float("nan")} for label in claimed})
                continue
            runs = [(reference.run(program, {n: v[n] for n in program.inputs}, sizes), v) for v, sizes in drawn]
            for label in claimed:
                table[label][length] = float(np.median([error_of(problem, label, r, v, length) for r, v in runs]))
    alone, together = (
        {
            label: Errors({n: own[n] for n in lengths}, next((n for n, e in own.items() if e > TOLERANCE), None))
            for label, own in table.items()
        }
        for table in tables
    )
    return alone, together


def error_of(problem: Problem, label: str, found: dict[str, Array], values: dict[str, Array], length: int) -> float:
    """The normwise relative error of one quantity, on the times on which its equation is compared."""
    name = f"{label} (written)"
    if name not in found:
        return float("nan")
    adjoint = problem.side.derived.tensors[problem.derivation.claims[label]]
    wanted, value = values[adjoint.name], found[name]
    domain = problem.side.domain(label, adjoint)
    if domain is not None:
        lo = int(domain[0])
        life = problem.life(label)
        assert adjoint.time is not None and life is not None
        wanted = wanted[lo - int(adjoint.time[0]) :]
        begin, end = (int(x.subs(T, length)) for x in life)
        padded = np.zeros_like(wanted)
        for when in range(max(lo, begin), min(length, end) + 1):
            padded[when - lo] = value[when - begin]
        value = padded
    scale = float(np.linalg.norm(wanted))
    off = float(np.linalg.norm(value - wanted))
    return off / scale if scale else (0.0 if off == 0 else float("inf"))


@dataclass(frozen=True)
class Errors:
    """Relative errors of a gradient by the length of the sequence, ||author - derived|| / ||derived||.

    Each is the median of DRAWS random problems.  NaN where there is no value; `first` is the
    smallest length with an error, None for none.
    """

    by_length: Mapping[int, float]
    first: int | None

    @property
    def right(self) -> bool:
        """Whether there are values at all, and none is off."""
        return self.first is None and not any(np.isnan(e) for e in self.by_length.values())

    @property
    def known(self) -> bool:
        return not any(np.isnan(e) for e in self.by_length.values())


class Problem:
    """Random values, and the author's equations as programs; `good` are the quantities that have values at all."""

    def __init__(self, side: Side, shapes: Shapes, seed: int, zero_state: bool) -> None:
        self.side, self.derivation, self.of = side, side.derivation, side.of
        self.known, self.seed, self.zero_state = shapes.known, seed, zero_state
        equations = self.derivation.equations
        labels = list(dict.fromkeys(e.label for e in equations))
        bad = set(shapes.wrong) | {e.label for e in equations if e.when is None and reads_time(e.rhs)}
        bad |= {label for label in labels if any(d is None for d in self.known[label])}
        bad |= {label for label in labels if side.dependence.upstream(label) & bad}
        self.good = [label for label in labels if label not in bad]
        self.obstacle = ""

    # -- values --------------------------------------------------------------------------------------------------------

    def derived(self, length: int, draw: int) -> tuple[dict[str, Array], dict[str, int]]:
        """Everything that the derivation computes on the random problem: forward values, adjoints, gradients, seeds."""
        program, rng = self.of.program, np.random.default_rng([self.seed, draw])
        sizes = {**{str(d): 3 for x in program.tensors.values() for d in x.dims}, **SIZES, "T": length}
        values: dict[str, Array] = {}
        for name in program.inputs:
            tensor = program.tensors[name]
            shape = [sizes[str(d)] for d in tensor.dims]
            if tensor.time is not None:
                shape.insert(0, LONGEST if length <= LONGEST else length)
            drawn = 0.6 * rng.normal(size=shape) + 0.1
            values[name] = drawn[:length] if tensor.time is not None else drawn
            if tensor.role == "initial" and self.zero_state:
                values[name] = np.zeros_like(values[name])
            if tensor.role == "seed" and name != self.of.seed:
                values[name] = np.zeros_like(values[name])
        targets = {}
        if self.of.loss is not None:
            output = self.of.primal.tensors[self.of.primal.facts.output]
            forward = {n: values[n] for n in self.of.primal.inputs}
            out = reference.run(self.of.primal, forward, sizes)[output.name][-length:]
            targets = {n: rng.normal(size=out.shape) for n in self.of.targets}
            found = reference.run(self.of.loss, {output.name: out, **targets}, sizes)
            values[self.of.seed] = found[adjoint_name(output.name)]
        if self.derivation.last:
            values[self.of.seed][:-1] = 0.0
        return {**reference.run(program, values, sizes), **targets}, sizes

    # -- programs ------------------------------------------------------------------------------------------------------

    def program(self, claimed: Iterable[str], alone: bool) -> Program | None:
        """The author's equations; `alone`: claimed quantities that they read are the derived ones.

        None where they have no values because they depend on each other in a circle; then `obstacle` says so.
        """
        claimed = [n for n in claimed if n in self.good]
        inner = [n for n in self.good if n not in self.derivation.claims]
        own = {label: f"{label} (written)" for label in [*inner, *claimed]}
        reads = {n: own[n] for n in (inner if alone else own)}
        tensors = {n: replace(x, role="input") for n, x in self.side.derived.tensors.items()}
        equations: list[Equation] = []
        for label, name in own.items():
            pieces = self.side.pieces(label)
            tensors[name] = self._tensor(label, name, pieces)
        for label, name in own.items():
            for left, right, when in self.side.pieces(label):
                equations.append(self._equation(name, left, self._named(right, reads), when, tensors))
        used = {ir.name_of(a) for e in equations for side in (e.lhs, e.rhs) for a in ir.accesses(side, tensors)}
        kept = {n: x for n, x in tensors.items() if n in used}
        made = Program(f"derivation {self.derivation.name}", kept, tuple(equations), tuple(own.values()))
        try:
            for group in ir.order(made):
                ir.in_step(made, group.tensors)
        except DeriveError as error:
            self.obstacle = str(error).replace(" (written)", "")
            return None
        return made

    def _tensor(self, label: str, name: str, pieces: list[Piece]) -> Tensor:
        dims = tuple(d for d in self.known[label] if d is not None)
        indices, life = getattr(pieces[0][0], "indices", ()), self.life(label)
        return Tensor(name, dims, tuple(indices[1:] if life is not None else indices), "value", life)

    def life(self, label: str) -> Span | None:
        """The range of time on which the author's equations define a quantity."""
        spans = [when for _, _, when in self.side.pieces(label) if when is not None]
        return reduce(ir.hull, spans) if spans else None

    def _named(self, expr: sp.Expr, reads: Mapping[str, str]) -> sp.Expr:
        moves: dict[sp.Expr, sp.Expr] = {}
        for access in expr.atoms(Indexed) | expr.free_symbols:
            label = ir.name_of(access)
            name = reads.get(label) or self.side.name(label)
            if name != label:
                moves[access] = (
                    IndexedBase(name)[access.indices] if isinstance(access, Indexed) else sp.Symbol(name, real=True)
                )
        return expr.xreplace(moves)

    @staticmethod
    def _equation(name: str, left: sp.Expr, right: sp.Expr, when: Span | None, tensors: dict[str, Tensor]) -> Equation:
        indices = getattr(left, "indices", ())
        if when is not None and when[0] == when[1]:
            right, indices, when = right.xreplace({t: when[0]}), (when[0], *indices[1:]), None
        lhs = IndexedBase(name)[indices] if indices else sp.Symbol(name, real=True)
        return Equation(lhs, _limited(right, tensors), name, when)


def _limited(expr: sp.Expr, tensors: dict[str, Tensor]) -> sp.Expr:
    """Sums with the dimensions of their indices, as the tensors have them."""
    if isinstance(expr, Indexed) or not expr.has(sp.Sum):
        return expr
    if isinstance(expr, sp.Sum):
        dims = ir.dims_of(expr.function, tensors)
        limits = [(s, lo, hi if s == t else dims.get(s, hi)) for s, lo, hi in expr.limits]
        return sp.Sum(_limited(expr.function, tensors), *limits)
    return expr.func(*(_limited(a, tensors) for a in expr.args))
