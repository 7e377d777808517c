"""What a formula may be made of: tensors, numbers, sizes, sums, powers and the functions of derive/ir/functions/."""

from __future__ import annotations

from functools import reduce
from typing import Any

import numpy as np
import sympy as sp
from sympy.logic.boolalg import Boolean
from sympy.tensor.indexed import Indexed

from derive import ir
from derive.errors import DeriveError
from derive.ir import T, t
from derive.ir.functions import IN_CELLS, absolute, floor, indicator, maximum, minimum, record_of, signum

_INSTEAD = {
    "Piecewise": "a choice between two values is where(condition, a, b)",
    "Heaviside": "a step is where(a > 0, 1, 0), or the comparison a > 0 itself",
    "ceiling": "the smallest whole number above a is -floor(-a)",
    "Mod": "a modulo b is a - b*floor(a/b)",
    "atan2": "the angle of a point is made of atan(y/x) and where(condition, a, b)",
    "erfc": "1 - erf(a) is 2*normal_cdf(-sqrt(2)*a), to its last digits",
    "asin": "asin(a) is atan(a/sqrt(1 - a**2))",
    "tan": "tan(a) is sin(a)/cos(a)",
    "sinh": "sinh(a) is (exp(a) - exp(-a))/2",
    "cosh": "cosh(a) is (exp(a) + exp(-a))/2",
    "KroneckerDelta": "the diagonal of a matrix is written as a vector, u[n]",
    "Derivative": "an equation defines a value; its derivatives are what the package finds",
    "Product": "a product of values is written with *",
    "Integral": "a sum over units is Sum(..., n)",
    "conjugate": "tensors are real, so it can be left out",
}
_WHOLE = 2**53  # whole numbers up to it are exact in a double
_LARGEST, _SMALLEST = float(np.finfo(np.float32).max), float(np.finfo(np.float32).tiny)


def exact_exponents(expr: sp.Expr) -> sp.Expr:
    """The expression with exponents such as 2.0 and 0.5 as the fractions that they are."""
    return expr.replace(
        lambda e: isinstance(e, sp.Pow) and e.exp.is_Float and (2 * e.exp) % 1 == 0,
        lambda e: e.base ** sp.Rational(int(2 * e.exp), 2),
    )


def in_doubles(expr: sp.Expr) -> sp.Expr:
    """The expression with fractions of many digits as the decimal numbers that C computes with.

    3**300/2**475 is an ordinary number, and neither half of the fraction is.
    """
    return expr.replace(lambda e: e.is_Rational and e.q > 1 and max(abs(e.p), e.q) > _WHOLE, lambda e: sp.Float(e, 17))


# Functions of SymPy that have another class here, which knows that tensors are real and evaluates nothing by itself.
_OURS: dict[Any, Any] = {
    sp.Abs: absolute,
    sp.sign: signum,
    sp.floor: floor,
    sp.Max: lambda *given: reduce(maximum, given),
    sp.Min: lambda *given: reduce(minimum, given),
}


def in_records(expr: sp.Expr) -> sp.Expr:
    """The expression with functions of SymPy, and comparisons among their arguments, as those that have a record."""
    for theirs, ours in _OURS.items():
        expr = expr.replace(theirs, ours) if expr.has(theirs) else expr
    conditions = [e for e in sp.preorder_traversal(expr) if isinstance(e, Boolean) and not isinstance(e, sp.Expr)]
    if not conditions or expr.has(sp.Piecewise):
        return expr
    return expr.xreplace({e: indicator(e) for e in conditions})


def check_nodes(where: str, expr: sp.Expr, bound: tuple[sp.Symbol, ...]) -> None:
    """Raise for what stands in a formula and has no meaning there: an unknown function, a time or an index as a number."""
    if isinstance(expr, Indexed):
        return
    if isinstance(expr, ir.REDUCTIONS):
        check_nodes(where, expr.function, (*bound, *(limit[0] for limit in expr.limits)))
        return
    if expr.is_number:
        _check_number(where, expr)
    elif isinstance(expr, sp.Pow):
        _check_power(where, expr)
    if expr.is_Symbol and (expr == t or expr in bound):
        raise DeriveError(
            f"{where}, the index {expr} stands outside of any tensor; an index has no value of its own"
            + (f", its number from 0 is position({expr})" if expr != t else "")
        )
    if expr == T:
        raise DeriveError(f"{where}, the number of steps T stands in a formula; a step does not know how many follow")
    if expr.args and not isinstance(expr, (sp.Add, sp.Mul, sp.Pow)) and record_of(expr) is None:
        name = type(expr).__name__
        known = ", ".join(sorted([*IN_CELLS, "abs"]))
        instead = f"; {_INSTEAD[name]}" if name in _INSTEAD else ""
        raise DeriveError(f"{where}, {name} is no function that an equation may call; there are: {known}{instead}")
    if not expr.args and not expr.is_Symbol and not (expr.is_real and expr.is_finite):
        raise DeriveError(f"{where}, {expr} is no real number")
    for argument in expr.args:
        if not isinstance(argument, sp.Expr):
            raise DeriveError(f"{where}, {argument} is no number in {expr}; comparisons and sets have no value here")
        check_nodes(where, argument, bound)


def _check_power(where: str, expr: sp.Pow) -> None:
    """Powers of tensors: whole and half exponents only, for these are products and roots."""
    if not expr.exp.is_number:
        raise DeriveError(
            f"{where}, {ir.text(expr)} has no number as its exponent; write exp(b*log(a)) for a power of tensors"
        )
    if not (2 * expr.exp).is_Integer:
        raise DeriveError(
            f"{where}, {ir.text(expr)} has an exponent that is no multiple of 1/2; give the logarithm an equation of its "
            f"own, l[t, n] = log(a[t, n]), and write exp({_short(expr.exp)}*l[t, n])"
        )


def _check_number(where: str, expr: sp.Expr) -> None:
    """Constants: real, and neither too large nor too small for float32, as every cell is made in both types."""
    for call in (node for node in sp.preorder_traversal(expr) if record_of(node) is not None):
        if call.evalf().has(type(call)) and all(argument.evalf().is_Number for argument in call.args):
            known = record_of(call)
            assert known is not None
            said = float(known.numpy(*(float(argument) for argument in call.args)))
            raise DeriveError(f"{where}, {ir.text(call)} is a constant; write its value, {said!r}")
    value: Any = sp.nan
    try:
        value = expr.evalf(20)
        size = abs(float(value))
    except (TypeError, OverflowError, ValueError):
        size = np.inf if value.is_real and value.is_finite else np.nan
    if np.isnan(size) or (np.isinf(size) and not (value.is_real and value.is_finite)):
        raise DeriveError(f"{where}, {_short(expr)} is no real number")
    if value != 0 and not _SMALLEST <= size <= _LARGEST:
        raise DeriveError(
            f"{where}, {_short(expr)} is no number of float32, whose values go from {_SMALLEST:.2g} to {_LARGEST:.2g}"
        )


def _short(expr: sp.Expr) -> str:
    """A number in few letters."""
    text = repr(float(expr)) if expr.is_Float and 0 < abs(float(expr)) < np.inf else ir.text(expr)
    return text if len(text) < 40 else str(expr.evalf(6))
