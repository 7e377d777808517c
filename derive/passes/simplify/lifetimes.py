"""On which range of time a term matters: rules may put one value for another only where both are what they seem.

Outside of its span a tensor is zero, and what a rule would put in its place may not be.
"""

from __future__ import annotations

import sympy as sp

from derive import ir
from derive.ir import Equation, Tensor, t


def living(term: sp.Expr, equation: Equation, tensors: dict[str, Tensor]) -> ir.Span | None:
    """The range of t on which a term of an equation may be other than zero; None where time is fixed or absent."""
    limits = [(lo, hi) for total in term.atoms(sp.Sum) for symbol, lo, hi in total.limits if symbol == t]
    life = limits[0] if limits else equation.when
    body = term.xreplace({total: total.function for total in term.atoms(sp.Sum)}) if limits else term
    confined = ir.support(body, tensors)
    return ir.intersect(life, confined) if life and confined else life


def lifetime(expr: sp.Expr, tensors: dict[str, Tensor]) -> ir.Span:
    """Where no access of an expression is outside of its span.

    Terms of adjoints read nothing outside of its span on the range on which they live, so that this range holds it.
    """
    life: ir.Span | None = None
    for access in ir.accesses(expr, tensors):
        own = ir.support(access, tensors)
        if own is not None:
            life = own if life is None else ir.intersect(life, own)
    assert life is not None
    return life
