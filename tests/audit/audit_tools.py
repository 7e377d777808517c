"""Derivations for the tests of the audit: the derived equations themselves, as if an author had written them, and mutants."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import sympy as sp
from sympy.tensor.indexed import Indexed, IndexedBase

from derive import ir, registry
from derive.audit import Audit, Derivation, Finding, audit, in_file
from derive.audit.reference import Reference, reference
from derive.audit.side import Shapes, Side
from derive.audit.values import SIZES, Problem, error_of
from derive.audit.verdict import judged
from derive.audit.written import Written
from derive.ir import span
from derive.verify import interpreter

EXAMPLES = Path(__file__).resolve().parents[2] / "examples" / "audit"
DIRECT = "e"


@cache
def example(name: str, zero_state: bool = False) -> Audit:
    """The audit of the one derivation in a file of examples/audit/."""
    (found,) = in_file(EXAMPLES / f"{name}.py")
    return audit(found, zero_state=zero_state)


def label_of(adjoint: str) -> str:
    """The author's name for an adjoint: d_h is called delta_h."""
    return f"delta_{adjoint.removeprefix('d_')}"


@cache
def derived(cell: str) -> Derivation:
    """The derived equations of a cell in the names of an author who claims every adjoint."""
    of = reference(registry.cell(cell))
    claims = {label_of(e.target): e.target for e in of.program.equations if e.target.startswith("d_")}
    equations = []
    for number, equation in enumerate(of.program.equations):
        if equation.target in claims.values():
            lhs = renamed(equation.lhs, of.seed)
            equations.append(Written(label_of(equation.target), lhs, renamed(equation.rhs, of.seed), number + 1))
    return Derivation(f"derived_{cell}", "", of, tuple(equations), claims, {}, DIRECT, False)


def renamed(expr: sp.Expr, seed: str) -> sp.Expr:
    """A derived expression in the author's names, without the seeds of the last states."""
    moves: dict[sp.Expr, sp.Expr] = {s: sp.Integer(0) for s in expr.atoms(span)}
    for access in expr.atoms(Indexed):
        name = ir.name_of(access)
        if name == seed:
            moves[access] = IndexedBase(DIRECT)[access.indices]
        elif name.startswith("d_"):
            moves[access] = IndexedBase(label_of(name))[access.indices]
    return expr.xreplace(moves)


def with_rhs(derivation: Derivation, label: str, rhs: sp.Expr) -> Derivation:
    """The derivation with another right-hand side in one equation."""
    equations = [replace(e, rhs=rhs) if e.label == label else e for e in derivation.equations]
    return replace(derivation, equations=tuple(equations))


def rhs_of(derivation: Derivation, label: str) -> sp.Expr:
    return next(e.rhs for e in derivation.equations if e.label == label)


def findings(derivation: Derivation, label: str) -> tuple[Finding, ...]:
    """What is said of one equation, from the terms alone."""
    side = Side(derivation)
    return judged(side, Shapes(side), label, False)


def problem_of(derivation: Derivation) -> Problem:
    side = Side(derivation)
    return Problem(side, Shapes(side), 0, False)


def own_error(derivation: Derivation, label: str) -> float:
    """The error of one equation by value at T = 4, the rest being right."""
    problem = problem_of(derivation)
    program, values = problem.program([label], True), _values(derivation.reference)
    assert program is not None
    found = interpreter.run(program, {n: values[n] for n in program.inputs}, {**SIZES, "T": 4})
    return error_of(problem, label, found, values, 4)


@cache
def _values(of: Reference) -> dict[str, Any]:
    """All that is derived for one random problem; it does not depend on what an author wrote."""
    plain = Derivation("values", "", of, (), {}, {}, None, False)
    values, _ = problem_of(plain).derived(4, 0)
    return values
