"""Equations entry by entry: SymPy expressions to LaTeX, in the order in which a person writes terms and factors.

SymPy sorts sums and products by name.  Here products of a matrix and a vector come first, biases last; what is summed
at the next step follows what is there at this one; in a product the adjoint stands in front and 1 - s at the end.
"""

from __future__ import annotations

from typing import Any

import sympy as sp
from sympy.functions.special.tensor_functions import KroneckerDelta
from sympy.printing.latex import LatexPrinter
from sympy.tensor.indexed import Indexed

from derive import ir
from derive.document.names import Names
from derive.ir import Equation, Tensor, span, t
from derive.ir.functions import fma, record_of
from derive.passes.normalize import is_constant


class Order:
    """Ranks of tensors, by the order in which a program introduces them, and what follows for terms and factors."""

    def __init__(self, tensors: dict[str, Tensor]) -> None:
        self.tensors = tensors
        self.rank = {name: p for p, name in enumerate(tensors)}
        self.known: dict[sp.Expr, list[sp.Expr]] = {}

    def reads(self, expr: sp.Expr) -> list[sp.Expr]:
        """The accesses in an expression; the same expressions come again and again."""
        if expr not in self.known:
            self.known[expr] = ir.accesses(expr, self.tensors)
        return self.known[expr]

    def _is_adjoint(self, access: sp.Expr) -> bool:
        return self.tensors[ir.name_of(access)].role in ("adjoint", "gradient", "seed")

    def factors(self, product: sp.Expr) -> list[sp.Expr]:
        """The factors of a product: numbers, adjoints, parameters, values, what stands in parentheses, sums."""
        parts = list(sp.Mul.make_args(product))
        backward = any(self._is_adjoint(a) for f in parts for a in self.reads(f))
        bare = {f for f in parts if not isinstance(f, sp.Add)}

        def key(factor: sp.Expr) -> tuple[Any, ...]:
            reads = self.reads(factor)
            if isinstance(factor, sp.Sum):
                kind = 6.0
            elif isinstance(factor, KroneckerDelta):
                kind = 7.0
            elif isinstance(factor, span):
                kind = 0.5
            elif not reads:
                kind = 0.25 * isinstance(factor, sp.Add)
            elif isinstance(factor, Indexed) and self.tensors[ir.name_of(factor)].role == "param":
                kind = 1.0
            elif isinstance(factor, Indexed):
                kind = 2.0 if self._is_adjoint(factor) else 4.0
            else:
                own = any(factor.has(f) for f in bare)
                kind = 4.0 if not isinstance(factor, sp.Add) else 5.0 if backward or own else 3.0
            return (kind, [self.rank[ir.name_of(a)] for a in reads], sp.default_sort_key(factor))

        return sorted(parts, key=key)

    def terms(self, total: sp.Expr) -> list[sp.Expr]:
        """The summands of an expression in the order of print."""

        def key(term: sp.Expr) -> tuple[Any, ...]:
            reads = self.reads(term)
            roles = [self.tensors[ir.name_of(a)].role for a in reads]
            later = any(ir.offset(ir.time_of(a, self.tensors)) == 1 for a in reads)
            sign = term.could_extract_minus_sign()
            kind: float
            if term.has(span):
                kind = 9
            elif not reads:
                kind = 4 if sign else 0
            elif "seed" in roles and not term.has(sp.Sum):
                kind = 1 if all(self.tensors[ir.name_of(a)].time is not None for a in reads) else 8.5
            elif "input" in roles and term.has(sp.Sum):
                kind = 2
            elif term.has(sp.Sum):
                kind = 6 if later else 3
            elif set(roles) <= {"param"}:
                kind = 8
            else:
                kind = 7 if later else 4
                kind -= 0.5 * any(ir.offset(ir.time_of(a, self.tensors)) == -1 for a in reads)
            return (kind, sign, [self.rank[ir.name_of(a)] for a in reads], sp.default_sort_key(term))

        return sorted(ir.terms(spread(total)), key=key)


class Formula(LatexPrinter):
    """SymPy's LaTeX with tensors as W_{f,nj} and h_{n}(t-1), and with the functions of derive/ir/functions/."""

    def __init__(self, tensors: dict[str, Tensor], names: Names) -> None:
        super().__init__({"mul_symbol": r"\,", "fold_short_frac": False, "root_notation": True})
        self.tensors, self.names, self.sequence = tensors, names, Order(tensors)

    def _print_Indexed(self, expr: Indexed) -> str:  # noqa: N802
        when = ir.time_of(expr, self.tensors)
        indices = [str(self._print(i)) for i in ir.indices_of(expr, self.tensors)]
        return self.names.letters[ir.name_of(expr)].latex(indices, "" if when is None else str(self._print(when)))

    def _print_Symbol(self, expr: sp.Symbol, style: str = "plain") -> str:  # noqa: N802
        tensor = self.tensors.get(str(expr))
        return self.names.plain(tensor.name) if tensor is not None and tensor.rank == 0 else str(expr)

    def _print_Add(self, expr: sp.Add, order: Any = None) -> str:  # noqa: N802
        if not expr.has(Indexed) and expr.has(t):
            return str(super()._print_Add(expr, order))
        scale, rest = expr.primitive()
        if scale.is_Integer and scale != 1 and isinstance(rest, sp.Add):
            return rf"{self._print(scale)}\,\bigl({self._print_Add(rest)}\bigr)"
        return joined(self.parts(expr))

    def _print_Mul(self, expr: sp.Mul) -> str:  # noqa: N802
        expr = _lifted(expr)
        coefficient, rest = expr.as_coeff_Mul()
        if not isinstance(coefficient, sp.Rational) or (expr.has(sp.Pow) and sp.fraction(expr)[1] != 1):
            if expr.could_extract_minus_sign():
                return "-" + str(self._print(-expr))
            top, bottom = sp.fraction(expr)
            if bottom != 1:
                return rf"\frac{{{self._print(top)}}}{{{self._print(bottom)}}}"
        if coefficient == -1:
            return f"-{self._factors(rest)}"
        if coefficient != 1:
            return rf"{self._print(coefficient)}\,{self._factors(rest)}"
        return self._factors(expr)

    def _factors(self, product: sp.Expr) -> str:
        found = [self._wrapped(f) for f in self.sequence.factors(product)]
        return r"\,".join(found)

    def _wrapped(self, factor: sp.Expr) -> str:
        inside = str(self._print(factor))
        return rf"\bigl({inside}\bigr)" if isinstance(factor, (sp.Add, fma)) else inside

    def _print_Pow(self, expr: sp.Pow) -> str:  # noqa: N802
        if expr.exp.is_Rational and expr.exp.is_positive and isinstance(expr.base, (sp.Add, fma)):
            return rf"\bigl({self._print(expr.base)}\bigr)^{{{self._print(expr.exp)}}}"
        return str(super()._print_Pow(expr))

    def _print_Sum(self, expr: sp.Sum) -> str:  # noqa: N802
        below = ",".join(str(self._print(symbol)) for symbol, *_ in expr.limits)
        number, inside = constant_factor(_lifted(expr.function))
        body = self._print(inside)
        opened = rf"\bigl({body}\bigr)" if isinstance(inside, sp.Add) else body
        sign = "" if number == 1 else "-" if number == -1 else rf"{self._print(number)}\,"
        return rf"{sign}\sum_{{{below}}} {opened}"

    def _print_Largest(self, expr: sp.Expr) -> str:  # noqa: N802
        below = ",".join(str(self._print(symbol)) for symbol, *_ in expr.limits)
        return rf"\max_{{{below}}} {self._wrapped(expr.function)}"

    def _print_Rational(self, expr: sp.Rational) -> str:  # noqa: N802
        power = len(str(expr.q)) - 1
        if expr.q == 10**power and power > 2:
            return ("" if expr.p == 1 else rf"{expr.p} \cdot ") + f"10^{{-{power}}}"
        return str(super()._print_Rational(expr))

    def _print_KroneckerDelta(self, expr: sp.Expr, exp: Any = None) -> str:  # noqa: N802
        return rf"\delta_{{{', '.join(str(self._print(a)) for a in expr.args)}}}".replace(" ", r"\,")

    def _print_span(self, expr: sp.Expr) -> str:
        _, lo, hi = expr.args
        inside = f"t = {self._print(lo)}" if lo == hi else rf"{self._print(lo)} \le t \le {self._print(hi)}"
        return rf"[\,{inside}\,]"

    def _print_fma(self, expr: sp.Expr) -> str:
        a, b, c = expr.args
        return str(self._print(sp.Add(c, sp.Mul(a, b))))

    def _print_Function(self, expr: sp.Expr, exp: Any = None) -> str:  # noqa: N802
        record = record_of(expr)
        if record is None:
            return str(super()._print_Function(expr, exp))
        power = f"^{{{exp}}}" if exp else ""
        inside = [str(self._print(a)) for a in expr.args]
        if "{0}" in record.latex:
            return called(record.latex, inside) + power
        return rf"{record.latex}{power}\bigl({joined_arguments(inside)}\bigr)"

    _print_tanh = _print_exp = _print_log = _print_sin = _print_cos = _print_erf = _print_atan = _print_Function

    def parts(self, rhs: sp.Expr) -> list[str]:
        """The summands of a right-hand side, each with its sign: what a line may be broken at."""
        return [str(self._print(term)) for term in self.sequence.terms(rhs)]

    def when(self, equation: Equation) -> str:
        """The range of t on which an equation holds."""
        return self.range(equation.when) if equation.when is not None and equation.lhs.has(t) else ""

    def range(self, when: ir.Span) -> str:
        lo, hi = (str(self._print(x)) for x in when)
        return f"t = {lo}" if lo == hi else rf"t = {lo},\dots,{hi}"


def called(latex: str, arguments: list[str]) -> str:
    """A form of LaTeX such as [{0} < {1}] with arguments in their places."""
    for place, argument in enumerate(arguments):
        latex = latex.replace(f"{{{place}}}", argument)
    return latex


def joined_arguments(arguments: list[str]) -> str:
    """Several arguments side by side."""
    return r",\; ".join(arguments)


def spread(expr: sp.Expr) -> sp.Expr:
    """A constant or a sum over a sum of sums, term by term: (a + b)/4 with sums in a and b is a/4 + b/4."""
    if isinstance(expr, sp.Add):
        return sp.Add(*(spread(a) for a in expr.args))
    number, rest = constant_factor(expr)
    if isinstance(rest, sp.Add) and rest.has(sp.Sum):
        return sp.Add(*(number * a for a in rest.args))
    if isinstance(rest, sp.Sum):
        factors = sp.Mul.make_args(rest.function)
        inner = [f for f in factors if isinstance(f, sp.Add) and f.has(sp.Sum, KroneckerDelta)]
        if len(inner) == 1:
            others = sp.Mul(*(f for f in factors if f is not inner[0]))
            return sp.Add(*(number * sp.Sum(others * a, *rest.limits) for a in inner[0].args))
    return expr


def _lifted(product: sp.Expr) -> sp.Expr:
    """A product with the constants that stand under its sums in front of all."""
    factors = []
    for factor in sp.Mul.make_args(product):
        number, body = constant_factor(factor.function) if isinstance(factor, sp.Sum) else (sp.Integer(1), factor)
        factors += [factor] if number == 1 else [number, sp.Sum(body, *factor.limits)]
    return sp.Mul(*factors)


def constant_factor(expr: sp.Expr) -> tuple[sp.Expr, sp.Expr]:
    """An expression as a constant (numbers and dimensions) times the rest."""
    factors = sp.Mul.make_args(expr)
    numbers = [f for f in factors if is_constant(f) and not f.has(KroneckerDelta)]
    return sp.Mul(*numbers), sp.Mul(*(f for f in factors if f not in numbers))


def joined(parts: list[str]) -> str:
    """Summands with signs, in one line."""
    found = parts[0]
    for part in parts[1:]:
        found += f" - {part[1:].lstrip()}" if part.startswith("-") else f" + {part}"
    return found
