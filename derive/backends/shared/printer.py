"""C expressions: strict, typed, with nothing that the compiler must be trusted to undo.

SymPy's own printer writes x**2 as pow(x, 2), leaks double constants into float code and prints what it does not know as
Python text.  This one knows the few nodes that a scheduled equation may contain and raises on all others.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import sympy as sp
from sympy.tensor.indexed import Indexed

from derive.errors import DeriveError
from derive.ir.functions import record_of
from derive.passes.normalize import is_constant

Namer = Callable[[sp.Expr], str]
IsVector = Callable[[sp.Expr], bool]
Literal = Callable[[float], str]
FLOAT_MAX = float(np.finfo(np.float32).max)


@dataclass(frozen=True)
class Real:
    """A C scalar type: its name, the suffix of its literals, the shortest exact decimal of a number."""

    c: str
    tag: str
    suffix: str
    dtype: type

    def literal(self, value: float) -> str:
        text = np.format_float_positional(self.dtype(value), unique=True, trim="0")
        if len(text) > 20:
            text = np.format_float_scientific(self.dtype(value), unique=True, trim="0")
        return text + self.suffix


F32 = Real("float", "f32", "f", np.float32)
F64 = Real("double", "f64", "", np.float64)


def literal(value: float) -> str:
    """A number in C that serves both scalar types: REAL(0.5).

    The digits are those of double.  Where float would round them to another number than the double itself, as halfway
    between two floats it may, each type has its own: REAL2(1.0, 1.0000000596046448).  Raises DeriveError for a number that
    float cannot hold.
    """
    with np.errstate(over="ignore"):
        single = np.float32(value)
        beside = [float(np.nextafter(single, np.float32(to))) for to in (-np.inf, np.inf)]
    if not np.isfinite(single):
        raise DeriveError(f"the constant {value!r} is too large for float32, whose largest number is {FLOAT_MAX:.8g}")
    digits = F64.literal(value)
    away = abs(Fraction(digits) - Fraction(float(single)))
    nearest = all(away < abs(Fraction(digits) - Fraction(b)) for b in beside if np.isfinite(b))
    vanishes = single == 0 and value != 0
    return f"REAL({digits})" if nearest and not vanishes else f"REAL2({F32.literal(value)[:-1]}, {digits})"


class Expression:
    """Prints one right-hand side; `name` spells accesses, `is_vector` tells values of units from numbers of a row.

    `last` are accesses whose terms are added after all others; `literal` writes numbers.
    """

    def __init__(
        self, name: Namer, is_vector: IsVector, last: Collection[sp.Expr] = (), literal: Literal = literal
    ) -> None:
        self.name, self.is_vector, self.last, self.literal = name, is_vector, last, literal

    def print(self, expr: sp.Expr) -> str:
        if isinstance(expr, Indexed) or (expr.is_Symbol and not expr.is_integer):
            return self.name(expr)
        if is_constant(expr):
            return self._constant(expr)
        if isinstance(expr, sp.Add):
            return self._add(expr)
        if isinstance(expr, sp.Mul):
            return self._mul(expr)
        if isinstance(expr, sp.Pow):
            return self._pow(expr.base, expr.exp)
        record = record_of(expr)
        if record is None:
            raise DeriveError(f"no C for {type(expr).__name__} in {expr}; add a record to derive/ir/functions/")
        if record.definition is not None:
            return self._closed(record.definition(*expr.args))
        if not self._vector(expr):
            return f"scalar_{record.c}({', '.join(self.print(a) for a in expr.args)})"
        # A function of several arguments takes vectors only.
        parts = [self.print(a) if self._vector(a) else f"splat({self.print(a)})" for a in expr.args]
        return f"vec_{record.c}({', '.join(parts)})"

    def _closed(self, expr: sp.Expr) -> str:
        """An expression that stands for one name."""
        text = self.print(expr)
        return f"({text})" if isinstance(expr, (sp.Add, sp.Mul)) else text

    def _vector(self, expr: sp.Expr) -> bool:
        return any(self.is_vector(a) for a in expr.atoms(Indexed))

    def _constant(self, expr: sp.Expr) -> str:
        if expr.is_number:
            return self.literal(float(expr))
        numerator, denominator = expr.as_numer_denom()
        above, below = (self._cast(e) for e in (numerator, denominator))
        return above if denominator == 1 else f"({above} / ({below}))"

    def _cast(self, expr: sp.Expr) -> str:
        if expr.is_number:
            return self.literal(float(expr))
        if expr.is_Symbol:
            return f"(real){expr}"
        if isinstance(expr, sp.Pow):
            return self._raised(self._cast(expr.base), expr.exp, "scalar_")
        parts = [self._cast(a) for a in expr.args]
        if isinstance(expr, sp.Mul):
            return " * ".join(parts)
        if isinstance(expr, sp.Add):
            return f"({' + '.join(parts)})"
        if (record := record_of(expr)) is not None and record.definition is not None:
            return f"({self._cast(record.definition(*expr.args))})"
        if record is not None:
            return f"scalar_{record.c}({', '.join(parts)})"
        raise DeriveError(f"no C for the constant {expr}")

    def _add(self, expr: sp.Add) -> str:
        scale, rest = expr.primitive()
        if scale not in (1, -1) and isinstance(rest, sp.Add):
            return f"{self.literal(float(scale))} * ({self._add(rest)})"
        # Positive terms first: 1 - s, not -s + 1.
        ordered = sorted(
            expr.as_ordered_terms(),
            key=lambda a: (any(x in self.last for x in a.atoms(Indexed)), a.could_extract_minus_sign()),
        )
        products = [a for a in ordered if self._is_product(a)]
        plain = [a for a in ordered if a not in products] or [products.pop(0)]
        parts = []
        for number, term in enumerate(plain):
            negative = term.could_extract_minus_sign()
            body = self.print(-term if negative else term)
            if negative and isinstance(-term, sp.Add):
                body = f"({body})"
            parts.append((("-" if negative else "") if not number else (" - " if negative else " + ")) + body)
        text = "".join(parts)
        # Each further product is added by one fused operation: which terms are rounded is written here, not left to the
        # compiler, so that every kernel, compiler and instruction set with such an operation gives the same bits.
        vector = any(self._vector(a) for a in ordered)
        if vector and not any(self._vector(a) for a in plain):
            text = f"splat({text})"
        for product in products:
            text = f"{'vec' if vector else 'scalar'}_fused({self._halves(product, vector)}, {text})"
        return text

    @staticmethod
    def _is_product(term: sp.Expr) -> bool:
        """Whether a term of a sum is a product of values."""
        values = [a for a in sp.Mul.make_args(term) if not is_constant(a)]
        return len(values) > 1

    def _halves(self, product: sp.Expr, vector: bool) -> str:
        """The factors of a product as two arguments: all but the last, and the last."""
        negative = product.could_extract_minus_sign()
        *rest, last = self._factors(-product if negative else product)
        left = " * ".join(text for text, _ in rest)
        if vector and not any(is_vector for _, is_vector in rest):
            left = f"splat({left})"
        return f"{'-' if negative else ''}{left}, {f'splat({last[0]})' if vector and not last[1] else last[0]}"

    def _mul(self, expr: sp.Mul) -> str:
        if expr.could_extract_minus_sign():
            inner = -expr
            text = self.print(inner)
            return f"-({text})" if isinstance(inner, sp.Add) else f"-{text}"
        return " * ".join(text for text, _ in self._factors(expr))

    def _factors(self, expr: sp.Expr) -> list[tuple[str, bool]]:
        """The factors of a product in the order of their multiplication, each with whether it is a vector."""
        arguments = sp.Mul.make_args(expr)
        scale = sp.Mul(*(a for a in arguments if is_constant(a)))
        factors = [a for a in arguments if not is_constant(a)]
        # Numbers of a row are multiplied first: one vector multiplication fewer for each.
        factors.sort(key=lambda a: (self._vector(a), sp.default_sort_key(a)))
        parts = [] if scale == 1 else [(self._constant(scale), False)]
        for factor in factors:
            text = self.print(factor)
            parts.append((f"({text})" if isinstance(factor, sp.Add) else text, self._vector(factor)))
        return parts

    def _pow(self, base: sp.Expr, power: sp.Expr) -> str:
        kind = "vec_" if self._vector(base) else "scalar_"
        if not (2 * power).is_Integer:
            raise DeriveError(f"no C for the power {base}**{power}: only multiples of 1/2 have one")
        text = self.print(base)
        rooted = -power == sp.Rational(1, 2) or power == sp.Rational(1, 2)
        return self._raised(text if rooted else self._atom(base, text), power, kind)

    def _raised(self, text: str, power: sp.Expr, kind: str) -> str:
        """A base, as an atom, to a multiple of one half."""
        if power.is_negative:
            return f"({self.literal(1.0)} / {self._raised(text, -power, kind)})"
        if power == sp.Rational(1, 2):
            return f"{kind}root({text})"
        if power.is_Integer:
            return self._power(text, int(power), kind)
        whole = self._power(text, int(power - sp.Rational(1, 2)), kind)
        return f"({whole} * {kind}root({text}))"

    @staticmethod
    def _atom(base: sp.Expr, text: str) -> str:
        return f"({text})" if isinstance(base, (sp.Add, sp.Mul)) else text

    @staticmethod
    def _power(text: str, power: int, kind: str) -> str:
        """x^n by squaring."""
        if power == 1:
            return text
        half = Expression._power(f"{kind}square({text})", power // 2, kind)
        return half if power % 2 == 0 else f"({half} * {text})"
