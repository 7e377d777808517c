"""An expression on one line, as dumps, terminals and comments of generated code show it.

The first file of the house: it knows SymPy's expressions, and the engine's own functions by their names only.
"""

from __future__ import annotations

import re
from typing import Any

import sympy as sp
from sympy.printing.str import StrPrinter
from sympy.tensor.indexed import Indexed


def text(expr: sp.Expr, ascii: bool = False) -> str:
    """An expression on one line, for dumps, terminals and comments."""
    return _Line(ascii).line(expr)


class _Line(StrPrinter):
    """One line of Unicode: Σ_j W_i[n,j]·x[t,j]; with `ascii`, of ASCII: Sum_j W_i[n,j]*x[t,j]."""

    def __init__(self, ascii: bool) -> None:
        super().__init__()
        self.sigma, self.delta, self.total, self.dot = (
            ("sigmoid", "delta", "Sum", "*") if ascii else ("σ", "δ", "Σ", "·")
        )
        self.squares = {} if ascii else {"**2": "²", "**3": "³"}

    def line(self, expr: sp.Expr) -> str:
        found = str(self.doprint(expr))
        for power, mark in self.squares.items():
            found = re.sub(re.escape(power) + r"(?![0-9])", mark, found)
        return found.replace("**", "^").replace("*", self.dot)

    def _print_Add(self, expr: sp.Add, order: Any = None) -> str:  # noqa: N802
        scale, rest = expr.primitive()
        if scale == 1 or not isinstance(rest, sp.Add):
            return str(super()._print_Add(expr, order))
        return f"{self._print(scale)}*({super()._print_Add(rest, order)})"

    def _print_Sum(self, expr: sp.Sum) -> str:  # noqa: N802
        body = self._print(expr.function)
        body = f"({body})" if isinstance(expr.function, sp.Add) else body
        return f"{self.total}_{{{','.join(str(s) for s, *_ in expr.limits)}}} {body}".replace(
            "_{" + str(expr.limits[0][0]) + "}", f"_{expr.limits[0][0]}"
        )

    def _print_Largest(self, expr: sp.Expr) -> str:  # noqa: N802
        return f"max_{','.join(str(s) for s, *_ in expr.limits)} {self._print(expr.function)}"

    def _print_Indexed(self, expr: Indexed) -> str:  # noqa: N802
        return f"{expr.base.label}[{','.join(self._print(i).replace(' ', '') for i in expr.indices)}]"

    def _print_sigmoid(self, expr: sp.Expr) -> str:
        return f"{self.sigma}({self._print(expr.args[0])})"

    def _print_less(self, expr: sp.Expr) -> str:
        return f"[{' < '.join(self._print(a) for a in expr.args)}]"

    def _print_at_most(self, expr: sp.Expr) -> str:
        return f"[{' <= '.join(self._print(a) for a in expr.args)}]"

    def _print_equal(self, expr: sp.Expr) -> str:
        return f"[{' = '.join(self._print(a) for a in expr.args)}]"

    def _print_KroneckerDelta(self, expr: sp.Expr) -> str:  # noqa: N802
        return f"{self.delta}({', '.join(self._print(a) for a in expr.args)})"

    def _print_span(self, expr: sp.Expr) -> str:
        _, lo, hi = expr.args
        return f"[t={lo}]" if lo == hi else f"[{lo}<=t<={hi}]"

    def _print_fma(self, expr: sp.Expr) -> str:
        a, b, c = expr.args
        return f"({self._print(c)} {'-' if a.could_extract_minus_sign() else '+'} {self._print(_without_sign(a) * b)})"


def _without_sign(expr: sp.Expr) -> sp.Expr:
    """The expression without its leading minus sign."""
    return -expr if expr.could_extract_minus_sign() else expr
