"""Sizes, strides and offsets as expressions: printed as C, evaluated as numbers, bounded from above.

They are SymPy's expressions over T, B and dimensions, with a few functions that C has and mathematics writes otherwise:

    RoundUp(H, V)*(H + I)     C          round_up(H, V) * (H + I)
                              number     for H = 5, I = 3, V = 4: 64
                              bound      (H + V)*(H + I)
                              saturated  times(plus(H, V), plus(H, I))

All are unsigned in C and may be computed in any order: differences such as T - t are never below zero where they are used.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import sympy as sp

from derive import ir
from derive.errors import DeriveError

STEPS = sp.Symbol("steps", integer=True)  # of a chunk
FIRST = sp.Symbol("first", integer=True)  # the first of them
Names = str | Mapping[str, str]


class Function(sp.Function):
    """A function of sizes.  `c`: its text, whose arguments stand as factors if it is `tight`; `number`: its value;
    `most`: an expression that is never less.
    """

    c: ClassVar[str]
    tight: ClassVar[bool] = False
    number: ClassVar[Callable[..., int]]
    is_integer = True

    @classmethod
    def most(cls, *args: sp.Expr) -> sp.Expr:
        return cls(*args)


class RoundUp(Function):
    """RoundUp(n, to): the least multiple of `to` from n on."""

    nargs, c, number = 2, "round_up({}, {})", staticmethod(lambda n, to: -(-n // to) * to)

    @classmethod
    def most(cls, n: sp.Expr, to: sp.Expr) -> sp.Expr:
        return n + to


class Blocks(Function):
    """Blocks(n, of): how many blocks of `of` hold n."""

    nargs, c, number = 2, "({0} / {1} + ({0} % {1} != 0))", staticmethod(lambda n, of: -(-n // of))
    tight = True


class Quotient(Function):
    """Quotient(n, by), without its rest."""

    nargs, c, number = 2, "{} / {}", staticmethod(lambda n, by: n // by)
    tight = True


class Least(Function):
    """Least(bound, n): the smaller one; the first is what bounds it."""

    nargs, c, number = 2, "least({}, {})", staticmethod(min)

    @classmethod
    def most(cls, bound: sp.Expr, n: sp.Expr) -> sp.Expr:
        return bound


class When(Function):
    """When(condition, n, otherwise): a choice; the condition is a relation or a symbol."""

    nargs, c, number = 3, "({} ? {} : {})", staticmethod(lambda holds, n, otherwise: n if holds else otherwise)

    @classmethod
    def most(cls, condition: sp.Expr, n: sp.Expr, otherwise: sp.Expr) -> sp.Expr:
        return n if otherwise == 0 else cls(condition, n, otherwise)


class Parity(Function):
    """Parity(t): 0 for even steps, 1 for odd ones."""

    nargs, c, number = 1, "({} & 1)", staticmethod(lambda n: n & 1)
    tight = True

    @classmethod
    def eval(cls, step: sp.Expr) -> sp.Expr | None:
        return step % 2 if step.is_Integer else None


def size(expr: sp.Expr | int, names: Names = "") -> str:
    """C for an expression; `names`: a prefix of its symbols, or a text for some of them."""
    return _Text(names).spelled(sp.sympify(expr))


def factor(expr: sp.Expr | int, names: Names = "") -> str:
    """The same as a factor: in parentheses if it is a sum."""
    return f"({size(expr, names)})" if isinstance(expr, sp.Add) else size(expr, names)


def atom(expr: sp.Expr | int, names: Names = "") -> str:
    """The same as one thing: in parentheses if it is a sum or a product."""
    return f"({size(expr, names)})" if isinstance(expr, (sp.Add, sp.Mul)) else size(expr, names)


def saturated(expr: sp.Expr | int, names: Names = "") -> str:
    """C by calls of `plus` and `times`, which cannot wrap around.  Raises DeriveError for all but sums and products."""
    expr = sp.sympify(expr)
    if expr.is_Symbol or expr.is_Integer:
        return size(expr, names)
    if not isinstance(expr, (sp.Add, sp.Mul, sp.Pow)) or any(a.is_negative for a in expr.args):
        raise DeriveError(f"{expr} is no size that can be added up: only sums and products are")
    call = "plus" if expr.is_Add else "times"
    first, *others = (saturated(a, names) for a in (expr.args if expr.is_Add else _factors(expr)))
    for other in others:
        first = f"{call}({first}, {other})"
    return first


def number(expr: sp.Expr | int, sizes: Mapping[str, Any]) -> int:
    """The value of an expression; `sizes`: that of each symbol, by its name."""
    expr = sp.sympify(expr)
    if expr.is_Symbol:
        return sizes[expr.name]
    if isinstance(expr, (Function, sp.Rel, sp.And)):
        values = [number(a, sizes) for a in expr.args]
        return expr.number(*values) if isinstance(expr, Function) else bool(expr.func(*values))
    return int(expr.func(*(number(a, sizes) for a in expr.args))) if expr.args else int(expr)


def bound(expr: sp.Expr | int) -> sp.Expr:
    """An expression that is never less, of sums and products alone, for any chunk of steps."""
    expr = sp.sympify(expr)
    if expr == STEPS:
        return ir.T
    args = [bound(a) for a in expr.args]
    return expr.most(*args) if isinstance(expr, Function) else expr.func(*args) if args else expr


_TIME = {FIRST, STEPS, ir.t, ir.T}
_ROWS = ("S", "B", "row", "unit", "n", "v", "block", "before", "after", "live")  # variables that count rows and units


def _ordered(factors: Sequence[sp.Expr]) -> list[sp.Expr]:
    """The factors of a product: steps, rows of a step, values of a row."""

    def key(factor: sp.Expr) -> int:
        if factor.free_symbols & _TIME or (factor.is_Symbol and not factor.name.isidentifier()):
            return 0
        if factor.is_Symbol and factor.name in _ROWS:
            return 1
        return 2 if factor.is_Integer else 4 if factor.is_Symbol and factor.name == "V" else 3

    return sorted(factors, key=key)


def _factors(expr: sp.Expr) -> list[sp.Expr]:
    """The factors of a product, powers written out."""
    return _ordered([b for a in sp.Mul.make_args(expr) for b in ([a.base] * int(a.exp) if a.is_Pow else [a])])


class _Text:
    """The printer of sizes."""

    def __init__(self, names: Names) -> None:
        self.names = names

    def spelled(self, expr: sp.Expr) -> str:
        if expr.is_Integer:
            return str(expr)
        if expr.is_Symbol:
            return self.names + expr.name if isinstance(self.names, str) else self.names.get(expr.name, expr.name)
        if isinstance(expr, sp.Add):
            return self._sum(expr)
        if isinstance(expr, (sp.Mul, sp.Pow)) and all(
            not a.is_Pow or (a.exp.is_positive and a.exp.is_Integer) for a in sp.Mul.make_args(expr)
        ):
            return " * ".join(self._factor(a) for a in _factors(expr))
        if isinstance(expr, Function):
            return expr.c.format(*(self._factor(a) if expr.tight else self.spelled(a) for a in expr.args))
        if isinstance(expr, sp.Rel):
            return f"{self.spelled(expr.args[0])} {expr.rel_op} {self.spelled(expr.args[1])}"
        if isinstance(expr, sp.And):
            return " && ".join(self.spelled(a) for a in sorted(expr.args, key=str))
        raise DeriveError(f"{expr} is no size")

    def _sum(self, expr: sp.Add) -> str:
        terms = sorted(
            expr.args, key=lambda a: (a.could_extract_minus_sign(), a.is_Integer, not a.free_symbols & _TIME)
        )
        text = ""
        for term in terms:
            minus = term.could_extract_minus_sign()
            text += (" - " if minus else " + " if text else "") + self._factor(-term if minus else term, sums_only=True)
        return text

    def _factor(self, expr: sp.Expr, sums_only: bool = False) -> str:
        text = self.spelled(expr)
        return f"({text})" if isinstance(expr, (sp.Add, *(() if sums_only else (sp.Mul,)))) else text
