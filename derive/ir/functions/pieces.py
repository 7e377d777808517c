"""Functions made of pieces, and comparisons: each says what its derivative is where two pieces meet.

a < b, a <= b       1 or 0, as numbers; 0 if one is NaN, as IEEE 754 and NumPy have it; no derivative
where(c, a, b)      a where c is not 0, b where it is; the derivative goes to the one that is taken, and none to c
maximum, minimum    of two or more; NaN if one is NaN; where both are equal each has half of the derivative, as in PyTorch
clip(x, low, high)  minimum(maximum(x, low), high); 1 by x on the closed interval, as in PyTorch
relu                0 at 0, as in PyTorch
absolute, signum    0 at 0; floor and signum have the derivative 0 everywhere
"""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from typing import Any

import mpmath
import numpy as np
import sympy as sp
from sympy.core.relational import Equality, GreaterThan, LessThan, Relational, StrictGreaterThan, StrictLessThan
from sympy.core.relational import Unequality as Inequality
from sympy.logic.boolalg import And, Boolean, Not, Or

from derive.errors import DeriveError
from derive.ir.functions.record import Record, directed, directed_mp


class Flat(sp.Function):
    """A function that is constant between its jumps; its derivative is 0."""

    def fdiff(self, argindex: int = 1) -> sp.Expr:
        return sp.Integer(0)


class Chosen(sp.Function):
    """One of two arguments; of three or more: one of two, and that with the next."""

    nargs = 2

    def __new__(cls, *given: Any, **options: Any) -> Any:
        return (
            reduce(lambda a, b: cls(a, b, **options), given)
            if len(given) > 2
            else super().__new__(cls, *given, **options)
        )


class step(Flat):  # noqa: N801
    """1 where a > 0, 0 where a <= 0, NaN where a is NaN: the derivative of relu, with the convention step(0) = 0."""

    nargs = 1


class relu(sp.Function):  # noqa: N801
    """max(a, 0); its derivative at 0 is 0, as in PyTorch."""

    nargs = 1

    def fdiff(self, argindex: int = 1) -> sp.Expr:
        return step(self.args[0])


class signum(Flat):  # noqa: N801
    """-1, 0 or 1.  SymPy's own sign and Abs differentiate through re and im, for it does not know tensors to be real."""

    nargs = 1


class absolute(sp.Function):  # noqa: N801
    """|a|; its derivative at 0 is 0, as in PyTorch."""

    nargs = 1

    def fdiff(self, argindex: int = 1) -> sp.Expr:
        return signum(self.args[0])


class floor(Flat):  # noqa: N801
    """The largest whole number that is not above a; its derivative is 0.  SymPy's own takes whole numbers out of sums."""

    nargs = 1


class less(Flat):  # noqa: N801
    """1 where a < b, else 0; its derivative is 0.  A cell file writes a < b or b > a."""

    nargs = 2


class at_most(Flat):  # noqa: N801
    """1 where a <= b, else 0; its derivative is 0.  A cell file writes a <= b or b >= a."""

    nargs = 2


class maximum(Chosen):  # noqa: N801
    """The larger of two; where they are equal, each has half of the derivative.

    SymPy's Max sorts its arguments, drops some, and differentiates into Heaviside functions.
    """

    def fdiff(self, argindex: int = 1) -> sp.Expr:
        one, other = self.args if argindex == 1 else self.args[::-1]
        return (less(other, one) + at_most(other, one)) / 2


class minimum(Chosen):  # noqa: N801
    """The smaller of two; where they are equal, each has half of the derivative."""

    def fdiff(self, argindex: int = 1) -> sp.Expr:
        one, other = self.args if argindex == 1 else self.args[::-1]
        return (less(one, other) + at_most(one, other)) / 2


class where(sp.Function):  # noqa: N801
    """a where the condition is not 0, else b: where(condition, a, b).  The condition has no derivative."""

    nargs = 3

    @classmethod
    def eval(cls, condition: Any, a: Any, b: Any) -> Any:
        if isinstance(condition, Boolean) and not isinstance(condition, sp.Expr):
            return cls(indicator(condition), a, b)
        if condition.is_Number:
            return b if condition == 0 else a
        return None

    def fdiff(self, argindex: int = 1) -> sp.Expr:
        condition = self.args[0]
        return (sp.Integer(0), where(condition, 1, 0), where(condition, 0, 1))[argindex - 1]


class clip(sp.Function):  # noqa: N801
    """minimum(maximum(x, low), high): clip(x, low, high).  The derivative by x is 1 where low <= x <= high, 0 elsewhere.

    That by a bound is 1 where it is the value, and 0 where x is equal to it, as in PyTorch.
    """

    nargs = 3

    def fdiff(self, argindex: int = 1) -> sp.Expr:
        x, low, high = self.args
        return (
            at_most(low, x) * at_most(x, high),
            less(x, low) * less(low, high),
            less(high, maximum(x, low)),
        )[argindex - 1]


_SIDES: dict[type, Callable[[sp.Expr, sp.Expr], sp.Expr]] = {
    StrictLessThan: less,
    LessThan: at_most,
    StrictGreaterThan: lambda a, b: less(b, a),
    GreaterThan: lambda a, b: at_most(b, a),
    Equality: lambda a, b: at_most(a, b) * at_most(b, a),
    Inequality: lambda a, b: 1 - at_most(a, b) * at_most(b, a),
}


def indicator(condition: Any) -> sp.Expr:
    """A condition of SymPy as the number 1 where it holds and 0 elsewhere.

    Raises DeriveError for a condition that is no comparison and not made of them by &, | and ~.
    """
    if condition in (True, False):
        return sp.Integer(int(bool(condition)))
    if isinstance(condition, Relational) and type(condition) in _SIDES:
        return _SIDES[type(condition)](*condition.args)
    if isinstance(condition, And):
        return sp.Mul(*(indicator(a) for a in condition.args))
    if isinstance(condition, Or):
        return 1 - sp.Mul(*(1 - indicator(a) for a in condition.args))
    if isinstance(condition, Not):
        return 1 - indicator(condition.args[0])
    raise DeriveError(f"{condition} is no condition on numbers; comparisons are <, <=, > and >=, joined by & and |")


def _below(a: Any, value: float) -> Any:
    """`value` where a function of one piece is constant, and NaN where a is: no comparison may swallow it."""
    return np.where(np.isnan(a), np.nan, value)


def _step_mp(a: Any) -> Any:
    return mpmath.nan if mpmath.isnan(a) else mpmath.mpf(mpmath.re(a) > 0)


def _relu_mp(a: Any) -> Any:
    return a if mpmath.re(a) > 0 or mpmath.isnan(a) else mpmath.mpf(0)


def _signum_mp(a: Any) -> Any:
    return mpmath.nan if mpmath.isnan(a) else mpmath.sign(mpmath.re(a))


def _floor_mp(a: Any) -> Any:
    return a if mpmath.isnan(a) or mpmath.isinf(a) else mpmath.floor(a)


def _one(condition: Any) -> Any:
    """A comparison of arrays or of numbers of mpmath as 1 or 0."""
    return condition * 1.0


def _half(larger: Callable[[Any, Any], Any], equal: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    return lambda a, b: (_one(larger(a, b)) + _one(equal(a, b))) / 2


def _greater(a: Any, b: Any) -> Any:
    return a > b


def _at_least(a: Any, b: Any) -> Any:
    return a >= b


def _maximum_mp(a: Any, b: Any) -> Any:
    return a if a >= b or mpmath.isnan(a) else b


def _minimum_mp(a: Any, b: Any) -> Any:
    return a if a <= b or mpmath.isnan(a) else b


def _nothing(*_: Any) -> Any:
    return 0.0


# value by NumPy, value by mpmath, slopes that both take
_LESS = (lambda a, b: np.where(a < b, 1.0, 0.0), lambda a, b: mpmath.mpf(a < b), (_nothing, _nothing))
_AT_MOST = (lambda a, b: np.where(a <= b, 1.0, 0.0), lambda a, b: mpmath.mpf(a <= b), (_nothing, _nothing))
_MAXIMUM = (
    np.maximum,
    _maximum_mp,
    (_half(_greater, _at_least), lambda a, b: _half(_greater, _at_least)(b, a)),
)
_MINIMUM = (
    np.minimum,
    _minimum_mp,
    (lambda a, b: _half(_greater, _at_least)(b, a), _half(_greater, _at_least)),
)
_WHERE = (
    lambda c, a, b: np.where(c != 0, a, b),
    lambda c, a, b: a if c != 0 else b,
    (_nothing, lambda c, a, b: _one(c != 0), lambda c, a, b: _one(c == 0)),
)
_CLIP = (
    lambda x, low, high: np.minimum(np.maximum(x, low), high),
    lambda x, low, high: _minimum_mp(_maximum_mp(x, low), high),
    (
        lambda x, low, high: _one(low <= x) * _one(x <= high),
        lambda x, low, high: _one(x < low) * _one(low < high),
        lambda x, low, high: _one(x > high) + _one(low > high) * _one(x <= high),
    ),
)


def _both(of: tuple[Any, Any, tuple[Any, ...]]) -> tuple[Any, Any]:
    value, digits, slopes = of
    return directed(value, *slopes), directed_mp(digits, *slopes)


RECORDS = (
    Record(
        relu,
        lambda a: np.where(np.real(a) > 0, a, _below(a, 0.0)),
        _relu_mp,
        "relu",
        r"\operatorname{relu}",
        vector=True,
    ),
    Record(maximum, *_both(_MAXIMUM), "maximum", r"\max", vector=True, arguments=("a", "b")),
    Record(minimum, *_both(_MINIMUM), "minimum", r"\min", vector=True, arguments=("a", "b")),
    Record(where, *_both(_WHERE), "where", r"\operatorname{where}", vector=True, arguments=("condition", "a", "b")),
    Record(clip, *_both(_CLIP), "clip", r"\operatorname{clip}", vector=True, arguments=("x", "low", "high")),
    Record(
        floor,
        lambda a: np.floor(np.real(a)),
        lambda a: _floor_mp(mpmath.re(a)),
        "floor",
        r"\lfloor {0} \rfloor",
        vector=True,
    ),
    Record(
        signum,
        lambda a: np.sign(np.real(a)),
        _signum_mp,
        "signum",
        r"\operatorname{sgn}",
        vector=True,
        name="sign",
    ),
    Record(
        step,
        lambda a: np.where(np.real(a) > 0, 1.0, _below(a, 0.0)),
        _step_mp,
        "step",
        r"\operatorname{step}",
        vector=True,
        in_cells=False,
    ),
    Record(
        absolute,
        lambda a: a * np.sign(np.real(a)),
        lambda a: a * _signum_mp(a),
        "absolute",
        r"\operatorname{abs}",
        vector=True,
        name="abs",
        in_cells=False,  # abs is Python's own
    ),
    Record(less, *_both(_LESS), "less", r"[\,{0} < {1}\,]", vector=True, arguments=("a", "b"), in_cells=False),
    Record(at_most, *_both(_AT_MOST), "at_most", r"[\,{0} \le {1}\,]", vector=True, arguments=("a", "b"), in_cells=False),
)  # fmt: skip
