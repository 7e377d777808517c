"""Ranges of time, such as 1..T-1: where two of them intersect, and where an expression can be other than zero."""

from __future__ import annotations

from functools import reduce

import sympy as sp
from sympy.tensor.indexed import Indexed

from derive.ir.access import offset, time_of
from derive.ir.functions import fma
from derive.ir.program import Tensor, name_of
from derive.ir.symbols import Span, T, span, t


def intersect(a: Span, b: Span) -> Span:
    """The intersection of two ranges whose ends are integers or T plus integers."""
    return _extreme(a[0], b[0], -1), _extreme(a[1], b[1], 1)


def hull(a: Span, b: Span) -> Span:
    """The smallest range that holds two ranges."""
    return _extreme(a[0], b[0], 1), _extreme(a[1], b[1], -1)


def contains(whole: Span, part: Span) -> bool:
    """Whether a range holds another."""
    return intersect(part, whole) == part


def _extreme(a: sp.Expr, b: sp.Expr, sign: int) -> sp.Expr:
    difference = sp.expand(a - b) * sign
    if difference.is_Integer:
        return a if difference <= 0 else b
    # T is large against every constant: 0 < T.
    return a if difference.coeff(T) < 0 else b


def support(expr: sp.Expr, tensors: dict[str, Tensor]) -> Span | None:
    """The range of t outside of which an expression is zero because what it multiplies is; None: no such range.

    d_h[t+1]*o[t+1]  with d_h on 0..T, o on 1..T    ->  0..T-1
    d_h[t]*(1 - o[t])                               ->  0..T: outside of its span o is 0, and 1 - o is not
    """
    if isinstance(expr, span):
        by = offset(expr.args[0])
        return (expr.args[1] - by, expr.args[2] - by) if by is not None else None
    if isinstance(expr, Indexed):
        by, life = offset(time_of(expr, tensors)), tensors[name_of(expr)].time
        return (life[0] - by, life[1] - by) if by is not None and life is not None else None
    if isinstance(expr, sp.Sum):
        return support(expr.function, tensors) if all(symbol != t for symbol, *_ in expr.limits) else None
    if isinstance(expr, sp.Pow) and expr.exp.is_positive:
        return support(expr.base, tensors)
    if isinstance(expr, fma):
        return support(expr.args[0] * expr.args[1] + expr.args[2], tensors)
    if not isinstance(expr, (sp.Mul, sp.Add)):
        return None
    parts = [support(a, tensors) for a in expr.args]
    if isinstance(expr, sp.Mul):
        return reduce(intersect, found) if (found := [p for p in parts if p is not None]) else None
    return None if None in parts else reduce(hull, [p for p in parts if p is not None])


def without_guards(expr: sp.Expr) -> sp.Expr:
    """The expression as it stands where all of its terms live: every span(t, lo, hi) in it is 1."""
    return expr.xreplace({guard: sp.Integer(1) for guard in expr.atoms(span)})
