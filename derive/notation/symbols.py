"""What equations are written with: indices, the number of units, roots, and sums over the range of an index."""

from __future__ import annotations

from typing import Any

import sympy as sp

from derive import ir
from derive.errors import DeriveError
from derive.ir import T, t
from derive.ir.functions import IN_CELLS
from derive.notation.conditions import as_number

__all__ = ["H", "Rational", "Sum", "i", "j", "k", "m", "mean", "n", "o", "pi", "sqrt", "t"]
WORDS = (*__all__, *IN_CELLS)  # what a cell file may import beside the decorators

Rational, pi, sqrt = sp.Rational, sp.pi, sp.sqrt
i, j, k, m, n, o = (ir.index(name) for name in "ijkmno")
H = ir.dimension("H")


def Sum(expr: sp.Expr, *indices: sp.Symbol) -> sp.Expr:  # noqa: N802  (as SymPy spells it)
    """SymPy's Sum over the whole range of each index; the range is found from the tensors that carry the index."""
    if not indices:
        raise DeriveError(f"Sum({expr}) names no index; write Sum(..., j), or Sum(..., j, k) for two")
    expr = as_number(expr)
    limits = []
    for symbol in indices:
        if not isinstance(symbol, sp.Symbol):
            raise DeriveError(
                f"Sum(..., {symbol}): the second argument must be an index such as j, found {symbol!r}; a sum goes over "
                f"all of its index"
            )
        check_index(f"Sum(..., {symbol})", symbol)
        symbol = canonical(symbol)
        limits.append((symbol, 1, T) if symbol == t else (symbol, 1, whole(symbol)))
    return sp.Sum(expr, *limits)


def mean(expr: sp.Expr, *indices: sp.Symbol) -> sp.Expr:
    """The mean over the whole range of each index: a sum, divided by the number of its terms.

    Over time, in a loss: divided by the number of steps that count, those of all sequences together.
    """
    checked = Sum(expr, *indices)
    units = sp.Mul(*(limit[2] for limit in checked.limits if limit[0] != t))
    over_time = any(limit[0] == t for limit in checked.limits)
    return checked.func(as_number(expr) / units, *checked.limits) / (whole(t) if over_time else 1)


def whole(symbol: sp.Symbol) -> sp.Symbol:
    """What stands for the last value of an index until its range is found; of t, for the number of steps that count."""
    return sp.Symbol(f"|{symbol}|")


def canonical(expr: sp.Expr) -> sp.Expr:
    """An index with the assumptions that ours have: `sp.Symbol("p")` is the index p, whatever SymPy was told of it."""
    return expr.xreplace({s: ir.index(s.name) for s in expr.free_symbols if type(s) is sp.Symbol and s != T})


def check_index(where: str, symbol: Any) -> None:
    """Raise for what looks like an index and is none: a name of SymPy that C cannot hold, or that means time."""
    if symbol in (t, T):
        return
    if type(symbol) is not sp.Symbol:
        raise DeriveError(
            f"{where} has {symbol!r} as an index, {_kind(symbol)} of SymPy; take one of i, j, k, m, n, o, "
            f'or a plain sympy.Symbol("p")'
        )
    name = symbol.name
    if name in ("T", "B", "row") or (name == "t" and symbol != t):
        raise DeriveError(
            f"{where} has an index called {name}, which has a meaning of its own; time is the t of derive.notation, other "
            f"indices have other names"
        )
    if not (name.isascii() and name.isidentifier()) or name.startswith("_"):
        raise DeriveError(f"{where} has {name!r} as an index; an index is named by Latin letters, such as p")


def _kind(symbol: Any) -> str:
    name = type(symbol).__name__
    return f"{'an' if name[0] in 'AEIOU' else 'a'} {name}"
