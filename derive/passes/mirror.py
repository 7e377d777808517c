"""A program with time turned round: what it makes at the step t is what the other makes at T+1-t.

    h[t] reads h[t-1], h[0] = h_0, h_T = h[T]     <->     h[t] reads h[t+1], h[T+1] = h_0, h_T = h[1]

The layer that reads a sequence from its end is the mirror image of one that reads it from its beginning.
"""

from __future__ import annotations

from dataclasses import replace

import sympy as sp
from sympy.tensor.indexed import Indexed

from derive import ir
from derive.ir import Equation, Program, Span, T, Tensor, span, t


def mirror(program: Program) -> Program:
    """The mirror image of a program; that of the mirror image is the program."""
    tensors = {n: x if x.time is None else replace(x, time=_turned(x.time)) for n, x in program.tensors.items()}

    def side(expr: sp.Expr) -> sp.Expr:
        return ir.walk(expr, lambda node: _node(node, program.tensors))

    equations = [
        replace(e, lhs=side(e.lhs), rhs=side(e.rhs), when=None if e.when is None else _turned(e.when))
        for e in program.equations
    ]
    return ir.verify(program.with_equations(equations, tensors))


def is_mirrored(equations: list[Equation], tensors: dict[str, Tensor]) -> bool:
    """Whether the ends of time that equations speak of lie at T+1, as those of a mirror image do, and not at 0."""
    lives = [life for e in equations if (life := tensors[e.target].time) is not None]
    return any((life[1] - T).is_positive for life in lives)


def _node(node: sp.Expr, tensors: dict[str, Tensor]) -> sp.Expr:
    if isinstance(node, Indexed) and ir.name_of(node) in tensors and tensors[ir.name_of(node)].time is not None:
        when, *rest = node.indices
        return node.base[(_step(when), *rest)]
    if isinstance(node, span):
        when, low, high = node.args
        return span(_step(when), *_turned((low, high)))
    if isinstance(node, sp.Sum):
        return sp.Sum(node.function, *((s, *_turned((lo, hi))) if s == t else (s, lo, hi) for s, lo, hi in node.limits))
    return node


def _step(when: sp.Expr) -> sp.Expr:
    """The index of a step: t+k stands k steps ahead in a loop that runs the other way; a fixed step is turned itself."""
    by = ir.offset(when)
    return t - by if by is not None else sp.expand(T + 1 - when)


def _turned(life: Span) -> Span:
    return sp.expand(T + 1 - life[1]), sp.expand(T + 1 - life[0])
