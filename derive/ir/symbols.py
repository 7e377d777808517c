"""The symbols that all programs share: time, its length, the row of a batch; dimensions, indices, ranges of time.

Tensors and equations over them: program.py.
"""

from __future__ import annotations

import sympy as sp

t = sp.Symbol("t", integer=True)
T = sp.Symbol("T", integer=True, positive=True)
ROW = sp.Symbol("row", integer=True)
B = sp.Symbol("B", integer=True, positive=True)


class span(sp.Function):  # noqa: N801  (a function of mathematics, spelled like one)
    """Indicator of a range of time: span(t, lo, hi) is 1 for lo <= t <= hi and 0 elsewhere."""

    nargs = 3

    def fdiff(self, argindex: int = 1) -> sp.Expr:
        return sp.Integer(0)


def dimension(name: str) -> sp.Symbol:
    """The symbol of a tensor dimension, such as H."""
    return sp.Symbol(name, integer=True, positive=True)


def index(name: str) -> sp.Symbol:
    """The symbol of an index, such as n."""
    return sp.Symbol(name, integer=True)


Span = tuple[sp.Expr, sp.Expr]
STEPS: Span = (sp.Integer(1), T)
