"""The steps outside of 1..T apart from the loop: what happens at one end of time is an equation of its own there.

    d2_c[t] = [t=0]*d2_c_0 + ... , t = 0..T     ->   d2_c[t] = ... , t = 1..T   and   d2_c[0] = d2_c_0
    Sum_{t=0..T} d2_h[t]*d_z[t+1]               ->   Sum_{t=1..T} d2_h[t-1]*d_z[t]

The second line has an initial value where the first had a guard, as the states of a cell do; derivatives of derivatives
make such equations.  What lives at t = 0 and is no copy of an input, as the adjoint of an initial state, stays as it is.
"""

from __future__ import annotations

from dataclasses import replace

import sympy as sp
from sympy.tensor.indexed import Indexed

from derive import ir
from derive.ir import STEPS, Equation, Origin, Program, T, Tensor, span, t

ENDS = (sp.Integer(0), T + 1)  # the steps next to 1..T


def peel(program: Program) -> Program:
    """Program -> program whose loops and sums over time run over 1..T, wherever that can be."""
    equations: list[Equation] = []
    for equation in program.equations:
        rhs = ir.walk(equation.rhs, lambda node: _shifted(node, program.tensors))
        equations += _apart(replace(equation, rhs=rhs) if rhs != equation.rhs else equation, program.tensors)
    return ir.verify(program.with_equations(equations))


def _apart(equation: Equation, tensors: dict[str, Tensor]) -> list[Equation]:
    """The equation for t = 1..T and, if a copy of an input is all that it is at one end, another one for that."""
    for end in ENDS:
        if equation.when is None or end not in equation.when or not _guards(equation.rhs, end):
            continue
        at_end = [x for x in ir.terms(equation.rhs) if _lives_at(x, end, tensors)]
        value = ir.without_guards(at_end[0]) if len(at_end) == 1 else None
        if not isinstance(value, Indexed) or tensors[ir.name_of(value)].time is not None:
            continue
        inside = sp.Add(*(x for x in ir.terms(equation.rhs) if not _guards(x, end)))
        first = Equation(tensors[equation.target].at(end), value, f"{equation.id}.0", origin=Origin.INITIAL_STATE)
        return [replace(equation, rhs=inside, when=ir.intersect(equation.when, STEPS)), first]
    return [equation]


def _guards(expr: sp.Expr, end: sp.Expr) -> list[span]:
    """The guards that leave one end of time alone."""
    return [g for g in expr.atoms(span) if g.args[1:] == (end, end)]


def _lives_at(term: sp.Expr, step: sp.Integer, tensors: dict[str, Tensor]) -> bool:
    """Whether a term can be other than zero at a step."""
    found = ir.support(term, tensors)
    return found is None or (ir.contains(found, (step, step)))


def _shifted(node: sp.Expr, tensors: dict[str, Tensor]) -> sp.Expr:
    """A sum over other steps as one over 1..T, if its terms live on as many."""
    if not isinstance(node, sp.Sum):
        return node
    limits = [x for x in node.limits if x[0] == t]
    if not limits or limits[0][1:] == STEPS:
        return node
    found = ir.support(node.function, tensors)
    if found is None:
        return node
    others = [x for x in node.limits if x[0] != t]
    life = ir.intersect(found, (limits[0][1], limits[0][2]))
    if ir.contains(STEPS, life):
        return sp.Sum(node.function, *others, (t, 1, T))
    for by in (-1, 1):  # terms on 0..T-1 a step later, those on 2..T+1 a step earlier
        if ir.contains(STEPS, (life[0] - by, life[1] - by)):
            return sp.Sum(node.function.xreplace({t: t + by}), *others, (t, 1, T))
    return node
