"""What equations are written with: indices, the number of units, functions, and sums over the range of an index."""

from __future__ import annotations

import sympy as sp

from derive import ir
from derive.errors import DeriveError
from derive.functions import relu, sigmoid, softplus
from derive.ir import T, t

__all__ = ["H", "Rational", "Sum", "exp", "i", "j", "k", "log", "m", "n", "o", "relu", "sigmoid", "softplus", "sqrt",
           "t", "tanh"]  # fmt: skip

exp, log, sqrt, tanh = sp.exp, sp.log, sp.sqrt, sp.tanh
Rational = sp.Rational
i, j, k, m, n, o = (ir.index(name) for name in "ijkmno")
H = ir.dimension("H")


def Sum(expr: sp.Expr, *indices: sp.Symbol) -> sp.Expr:  # noqa: N802  (as SymPy spells it)
    """SymPy's Sum over the whole range of each index; the range is found from the tensors that carry the index."""
    if not indices:
        raise DeriveError(f"Sum({expr}) names no index; write Sum(..., j), or Sum(..., j, k) for two")
    limits = []
    for symbol in indices:
        if not isinstance(symbol, sp.Symbol):
            raise DeriveError(f"Sum(..., {symbol}): the second argument must be an index such as j, found {symbol!r}")
        limits.append((symbol, 1, T) if symbol == t else (symbol, 1, sp.Symbol(f"|{symbol}|")))
    return sp.Sum(expr, *limits)
