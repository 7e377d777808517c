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
from derive.ir import STEPS, Equation, Program, T, Tensor, span, t

START = sp.Integer(0)


def peel(program: Program) -> Program:
    """Program -> program whose loops and sums over time run over 1..T, wherever that can be."""
    equations: list[Equation] = []
    for equation in program.equations:
        rhs = ir.walk(equation.rhs, lambda node: _shifted(node, program.tensors))
        equations += _apart(replace(equation, rhs=rhs) if rhs != equation.rhs else equation, program.tensors)
    return ir.verify(program.with_equations(equations))


def _apart(equation: Equation, tensors: dict[str, Tensor]) -> list[Equation]:
    """The equation for t = 1..T and, if a copy of an input is all that it is at t = 0, another one for that."""
    if equation.when is None or equation.when[0] != START or not _guards(equation.rhs):
        return [equation]
    at_start = [x for x in ir.terms(equation.rhs) if _lives_at(x, START, tensors)]
    if len(at_start) != 1:
        return [equation]
    value = ir.without_guards(at_start[0])
    if not isinstance(value, Indexed) or tensors[ir.name_of(value)].time is not None:
        return [equation]
    inside = sp.Add(*(x for x in ir.terms(equation.rhs) if not _guards(x)))
    tensor = tensors[equation.target]
    first = Equation(tensor.at(START), value, f"{equation.id}°", None, "initial state")
    return [replace(equation, rhs=inside, when=ir.meet(equation.when, STEPS)), first]


def _guards(expr: sp.Expr) -> list[span]:
    """The guards that leave the step t = 0 alone."""
    return [g for g in expr.atoms(span) if g.args[1:] == (START, START)]


def _lives_at(term: sp.Expr, step: sp.Integer, tensors: dict[str, Tensor]) -> bool:
    """Whether a term can be other than zero at a step."""
    found = ir.reach(term, tensors)
    return found is None or (ir.within((step, step), found))


def _shifted(node: sp.Expr, tensors: dict[str, Tensor]) -> sp.Expr:
    """A sum over time from 0 as one from 1, if its terms live on 0..T-1."""
    if not isinstance(node, sp.Sum):
        return node
    limits = [x for x in node.limits if x[0] == t]
    if not limits or limits[0][1] != START:
        return node
    found = ir.reach(node.function, tensors)
    if found is None:
        return node
    others = [x for x in node.limits if x[0] != t]
    life = ir.meet(found, (limits[0][1], limits[0][2]))
    if ir.within(life, STEPS):
        return sp.Sum(node.function, *others, (t, 1, T))
    if ir.within(life, (START, T - 1)):
        return sp.Sum(node.function.xreplace({t: t - 1}), *others, (t, 1, T))
    return node
