"""Spaces: the units over which an equation runs, of one dimension or of several, in the order in which memory holds them.

p[t,row,n,d] = ...                 a value for every unit of the space (N, D); D is innermost
s[t,row,n] = Sum_d p[t,row,n,d]    runs over (N, D), and leaves a value for every unit of (N)
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import sympy as sp

from derive.errors import DeriveError
from derive.ir.access import accesses, indices_of
from derive.ir.line import text
from derive.ir.program import Equation, Tensor, name_of
from derive.ir.symbols import ROW, B

Space = tuple[sp.Symbol, ...]


def units(tensor: Tensor) -> Space:
    """The dimensions of the values of one row, none where a row has one number."""
    return tuple(d for d in tensor.dims if d != B)


def width(tensor: Tensor) -> sp.Expr | None:
    """How many values a row has; None where it has one number and no units."""
    own = units(tensor)
    return sp.Mul(*own) if own else None


def unit_indices(access: sp.Expr, tensors: dict[str, Tensor]) -> tuple[sp.Expr, ...]:
    """The indices of an access other than time and row."""
    return tuple(i for i in indices_of(access, tensors) if i != ROW)


def axes(equation: Equation, tensors: dict[str, Tensor]) -> dict[sp.Expr, sp.Symbol]:
    """The unit indices of an equation, those that it sums over included, with their dimensions; outermost first.

    The order is one in which every access has its indices.  Raises DeriveError where there is none: an equation that reads
    A[i,j] and A[j,i] walks through memory in two orders.
    """
    return ordered_axes([equation.lhs, *accesses(equation.rhs, tensors)], tensors)


def ordered_axes(
    reads: Sequence[sp.Expr], tensors: dict[str, Tensor], preferred: Sequence[sp.Expr] = ()
) -> dict[sp.Expr, sp.Symbol]:
    """The unit indices of some accesses in an order that all of them have; where that leaves a choice, in that of `preferred`.

    Raises DeriveError as `axes` does.
    """
    dims: dict[sp.Expr, sp.Symbol] = {}
    before: dict[sp.Expr, set[sp.Expr]] = {}
    for access in reads:
        own = unit_indices(access, tensors)
        for index, dim in zip(own, units(tensors[name_of(access)]), strict=True):
            dims.setdefault(index, dim)
            before.setdefault(index, set())
        for first, second in pairwise(own):
            before[second].add(first)
    found: dict[sp.Expr, sp.Symbol] = {}
    while len(found) < len(dims):
        ready = [i for i in dims if i not in found and before[i] <= set(found)]
        ready.sort(key=lambda i: list(preferred).index(i) if i in preferred else len(preferred))
        if not ready:
            left = [i for i in dims if i not in found]
            both = [a for a in reads if len(set(left) & set(unit_indices(a, tensors))) > 1]
            shown = " and ".join(dict.fromkeys(text(a) for a in both))
            raise DeriveError(
                f"{shown} have their indices {', '.join(map(str, left))} in different orders; let them have one, as memory has: "
                f"a transposed matrix is a value of its own, with its indices in that order where it is made"
            )
        found[ready[0]] = dims[ready[0]]
    return found


def space(equation: Equation, tensors: dict[str, Tensor]) -> Space:
    """The dimensions over which an equation runs, those of its sums over units included."""
    return tuple(axes(equation, tensors).values())
