"""The symbols that all programs share: time, its length, the row of a batch; dimensions, indices, ranges of time.

Tensors and equations over them: program.py.
"""

from __future__ import annotations

import sympy as sp
from sympy.concrete.expr_with_limits import ExprWithLimits

t = sp.Symbol("t", integer=True)
T = sp.Symbol("T", integer=True, positive=True)
ROW = sp.Symbol("row", integer=True)
B = sp.Symbol("B", integer=True, positive=True)


class span(sp.Function):  # noqa: N801  (a function of mathematics, spelled like one)
    """Indicator of a range of time: span(t, lo, hi) is 1 for lo <= t <= hi and 0 elsewhere."""

    nargs = 3

    def fdiff(self, argindex: int = 1) -> sp.Expr:
        return sp.Integer(0)


class Largest(ExprWithLimits):
    """The largest of the values of an expression over indices: Largest(a[t, n], (n, 1, H)); NaN may be lost.

    Its derivative is 0: it is there to shift exponentials, whose quotients and sums of logarithms do not depend on the shift.
    """

    def _eval_derivative(self, _: sp.Expr) -> sp.Expr:
        return sp.Integer(0)


def dimension(name: str) -> sp.Symbol:
    """The symbol of a tensor dimension, such as H."""
    return sp.Symbol(name, integer=True, positive=True)


def index(name: str) -> sp.Symbol:
    """The symbol of an index, such as n."""
    return sp.Symbol(name, integer=True)


REDUCTIONS = (sp.Sum, Largest)  # what runs over all values of an index
Span = tuple[sp.Expr, sp.Expr]
STEPS: Span = (sp.Integer(1), T)
