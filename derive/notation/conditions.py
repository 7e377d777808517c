"""Comparisons of a cell file as numbers: (x[t, n] > 0) * y[t, n] is y where x is positive, and 0 elsewhere.

SymPy makes a comparison a condition without arithmetic, and so Python would say that * has no meaning for it.  Here
conditions get the operations that they lack, as long as a function of equations runs: a comparison is the number 1 where it
holds and 0 where it does not, (a < b) & (c < d) the product of two, ~(a < b) is a >= b.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Lock
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


@contextmanager
def conditions_are_numbers() -> Iterator[None]:
    """While a function of equations runs, conditions have arithmetic; SymPy is as it was before and afterwards."""
    global _inside
    with _LOCK:
        _inside += 1
        if _inside == 1:
            for kind, name in _LACKING:
                setattr(kind, name, _operation(name))
    try:
        yield
    finally:
        with _LOCK:
            _inside -= 1
            if not _inside:
                for (kind, name), before in _LACKING.items():
                    if before is None:
                        delattr(kind, name)
                    else:
                        setattr(kind, name, before)


_LOCK, _inside = Lock(), 0
# x < x is SymPy's false at once, a BooleanAtom, whose operations are there only to raise.
_LACKING = {
    (kind, f"__{name}__"): vars(kind).get(f"__{name}__")
    for kind in (Relational, BooleanFunction, BooleanAtom)
    for name in _OPERATIONS
    if kind is BooleanAtom or not hasattr(kind, f"__{name}__")
}
