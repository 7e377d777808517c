"""Comparisons of a cell file as numbers: (x[t, n] > 0) * y[t, n] is y where x is positive, and 0 elsewhere.

SymPy makes a comparison a condition without arithmetic, and so Python would say that * has no meaning for it.  Here
conditions get the operations that they lack, and nothing else: a comparison is the number 1 where it holds and 0 where it
does not, (a < b) & (c < d) the product of two, ~(a < b) is a >= b.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import sympy as sp
from sympy.core.relational import Relational
from sympy.logic.boolalg import Boolean, BooleanAtom, BooleanFunction

from derive.ir.functions import indicator

_OPERATIONS = "add radd sub rsub mul rmul truediv rtruediv pow rpow neg pos abs".split()


def is_condition(value: Any) -> bool:
    """Whether a value is a condition of SymPy and no expression."""
    return isinstance(value, (Boolean, bool)) and not isinstance(value, sp.Expr)


def as_number(value: Any) -> Any:
    """A condition as the number that it is; anything else as it stands."""
    return indicator(value) if is_condition(value) else value


def _operation(name: str) -> Callable[..., Any]:
    def operate(self: Any, *others: Any) -> Any:
        return getattr(indicator(self), name)(*(as_number(sp.sympify(other)) for other in others))

    return operate


# x < x is SymPy's false at once, whose operations are there only to raise.
for _kind in (Relational, BooleanFunction, BooleanAtom):
    for _name in _OPERATIONS:
        if _kind is BooleanAtom or not hasattr(_kind, f"__{_name}__"):
            setattr(_kind, f"__{_name}__", _operation(f"__{_name}__"))
