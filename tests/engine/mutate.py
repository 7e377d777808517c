"""Mutants of derived adjoint equations: a term dropped, its sign flipped, a time index moved by one, a gate swapped."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import sympy as sp
from sympy.tensor.indexed import Indexed, IndexedBase

from derive import ir
from derive.ir import Equation, Program, T, span, t
from derive.passes.simplify import adjoints


@dataclass(frozen=True)
class Mutant:
    """A program that differs from the derived one in one place; `kind` is one of drop, sign, time, gate."""

    program: Program
    kind: str
    equation: str
    term: sp.Expr
    access: sp.Expr | None
    changed: sp.Expr

    def __str__(self) -> str:
        return f"{self.equation}, {self.kind}: {ir.text(self.term)} -> {ir.text(self.changed)}"


def mutants(program: Program) -> Iterator[Mutant]:
    """Every mutant of every adjoint equation, in the order of the equations."""
    for equation in adjoints(program):
        parts = _flat(equation.rhs)
        for p, term in enumerate(parts):
            others = parts[:p] + parts[p + 1 :]
            for kind, access, changed in _changes(program, term):
                rhs = sp.Add(*others, changed)
                if rhs != equation.rhs:
                    yield Mutant(_replaced(program, equation, rhs), kind, equation.id, term, access, changed)


def _flat(rhs: sp.Expr) -> list[sp.Expr]:
    """The terms, of sums under a common factor as well: c*(a + b) is c*a + c*b."""
    found = []
    for term in ir.terms(rhs):
        inner = next((f for f in sp.Mul.make_args(term) if isinstance(f, sp.Add) and f.has(sp.Sum)), None)
        found += [term / inner * a for a in inner.args] if inner is not None else [term]
    return found


def _replaced(program: Program, equation: Equation, rhs: sp.Expr) -> Program:
    return program.with_equations([replace(e, rhs=rhs) if e is equation else e for e in program.equations])


def _changes(program: Program, term: sp.Expr) -> Iterator[tuple[str, sp.Expr | None, sp.Expr]]:
    yield "drop", None, sp.Integer(0)
    yield "sign", None, -term
    for guard in ir.ordered(term.atoms(span)):
        if guard.args[1:] == (T, T):
            yield "time", None, term.xreplace({guard: span(t, T - 1, T - 1)})
    for access in ir.accesses(term, program.tensors):
        for other in _moved(access, program):
            yield "time", access, term.xreplace({access: other})
        for other in _swapped(access, program):
            yield "gate", access, term.xreplace({access: other})


def _moved(access: sp.Expr, program: Program) -> Iterator[sp.Expr]:
    """t+1 -> t, t -> t+1, t-1 -> t; 0 -> 1 and T -> T-1 where time is fixed."""
    when = ir.time_of(access, program.tensors)
    if when is None:
        return
    to = {t + 1: t, t: t + 1, t - 1: t, sp.Integer(0): sp.Integer(1), T: T - 1}[when]
    yield IndexedBase(ir.name_of(access))[(to, *access.indices[1:])]


def _swapped(access: sp.Expr, program: Program) -> Iterator[sp.Expr]:
    """The same tensor of the next gate: U_i -> U_f; and i -> f, for the gates' own values."""
    gates = program.facts.gates
    tensor = program.tensors[ir.name_of(access)]
    member = tensor.member or tensor.name
    if not isinstance(access, Indexed) or member not in gates:
        return
    other = gates[(gates.index(member) + 1) % len(gates)]
    label = f"{tensor.family}_{other}" if tensor.family else other
    if label in program.tensors and program.tensors[label].dims == tensor.dims:
        yield IndexedBase(label)[access.indices]
