"""Functions with a derivative everywhere: classes where SymPy has none, NumPy and mpmath forms, and their records."""

from __future__ import annotations

import math
from typing import Any

import mpmath
import numpy as np
import sympy as sp

from derive.ir.functions import polynomials
from derive.ir.functions.record import Record, directed


class sigmoid(sp.Function):  # noqa: N801
    """The logistic function 1/(1+exp(-a)), opaque: SymPy's own derivative of the quotient overflows at a = -800."""

    nargs = 1

    def fdiff(self, argindex: int = 1) -> sp.Expr:
        return self * (1 - self)


class softplus(sp.Function):  # noqa: N801
    """log(1 + exp(a)), without overflow."""

    nargs = 1

    def fdiff(self, argindex: int = 1) -> sp.Expr:
        return sigmoid(self.args[0])


class expm1(sp.Function):  # noqa: N801
    """exp(a) - 1, to its last digits where a is small."""

    nargs = 1

    def fdiff(self, argindex: int = 1) -> sp.Expr:
        return self + 1


class normal_cdf(sp.Function):  # noqa: N801
    """The distribution function of the standard normal distribution, (1 + erf(a/sqrt(2)))/2, to its last digits in the tail."""

    nargs = 1

    def fdiff(self, argindex: int = 1) -> sp.Expr:
        return sp.exp(-(self.args[0] ** 2) / 2) / sp.sqrt(2 * sp.pi)


def _sigmoid(a: Any) -> Any:
    """The logistic function by exp(-|a|): no overflow, small values to their last digit, analytic for the complex step."""
    falling = np.exp(np.where(np.real(a) > 0, -a, a))
    return np.where(np.real(a) > 0, 1, falling) / (1 + falling)


def _log(a: Any) -> Any:
    """The real logarithm: NaN below 0, in the complex step too."""
    return np.log(np.where(np.real(a) < 0, np.nan, a))


def _log_mp(a: Any) -> Any:
    return mpmath.nan if mpmath.re(a) < 0 else mpmath.log(a)


def _log1p(a: Any) -> Any:
    """log(1 + a) to its last digits where a is small, for complex numbers too (Kahan): NumPy's own adds first.

    Below 1e-5 it is its series: the quotient would divide by the smallest numbers that there are.
    """
    whole = 1 + a
    with np.errstate(all="ignore"):
        series = a * (1 - a * (0.5 - a * (1 / 3 - a / 4)))
        return np.where(np.abs(a) < 1e-5, series, np.log(whole) * a / (whole - 1))


def _softplus(a: Any) -> Any:
    if not np.iscomplexobj(a):
        return np.logaddexp(0, a)
    positive = np.real(a) > 0
    return np.where(positive, a, 0) + _log1p(np.exp(np.where(positive, -a, a)))


def _bell(a: Any) -> Any:
    """exp(-a^2): the square in two parts, for its rounding would be that of the result, times a^2."""
    high, low = _square(a)
    return np.exp(-high) * np.exp(-low)


def _square(a: Any) -> tuple[Any, Any]:
    """a^2 as the sum of a number and of what its rounding left (Dekker); no more than 1e8 counts."""
    a = np.clip(np.asarray(a, dtype=float), -1e8, 1e8)
    high = a * (2.0**27 + 1)
    high = high - (high - a)
    low = a - high
    whole = a * a
    return whole, low * low - ((whole - high * high) - 2 * high * low)


_every_erf = np.vectorize(math.erf, otypes=[float])  # NumPy has none
_every_erfc = np.vectorize(math.erfc, otypes=[float])


def _normal_cdf(a: Any) -> Any:
    """erfc(-a/sqrt(2))/2, with what the rounding of its argument z changes: exp(-a^2/2) is exp(-z^2) times exp(z^2 - a^2/2)."""
    a = np.asarray(a, dtype=float)
    z = -a * math.sqrt(0.5)
    (whole, rest), (own, left) = _square(a), _square(z)
    correction = np.where((z > 1) & (z < 60), (own - whole / 2) + (left - rest / 2), 0.0)
    return _every_erfc(z) / 2 * np.exp(correction)


def _normal_cdf_mp(a: Any) -> Any:
    if mpmath.re(a) < -1e6:  # beyond the powers that mpmath's erfc takes; nothing in any number of digits
        return a * 0 if mpmath.isfinite(a) else mpmath.mpf(0)
    return mpmath.erfc(-a / mpmath.sqrt(2)) / 2


def _atan_mp(a: Any) -> Any:
    return mpmath.sign(mpmath.re(a)) * mpmath.pi / 2 if mpmath.isinf(a) else mpmath.atan(a)


def _expm1_mp(a: Any) -> Any:
    return mpmath.mpf(-1) if a == mpmath.ninf else mpmath.expm1(a)


def _exp_slots(more: int) -> Any:
    """exp, a multiplication for each coefficient of its polynomial and four to reduce its argument, and more of one's own."""
    return lambda dtype: len(polynomials.exponential(dtype).coefficients) + 4 + more


RECORDS = (
    Record(
        sigmoid,
        _sigmoid,
        lambda a: 1 / (1 + mpmath.exp(-a)),
        "sigmoid",
        r"\sigma",
        vector=True,
        transcendental=True,
        ulp=4,
    ),
    Record(sp.tanh, np.tanh, mpmath.tanh, "tanh", r"\tanh", vector=True, transcendental=True, ulp=4),
    Record(
        sp.exp,
        np.exp,
        mpmath.exp,
        "exp",
        r"\exp",
        vector=True,
        transcendental=True,
        ulp=4,
        slots=_exp_slots(0),
    ),
    Record(
        expm1,
        np.expm1,
        _expm1_mp,
        "expm1",
        r"\operatorname{expm1}",
        vector=True,
        transcendental=True,
        ulp=2,
    ),
    Record(
        sp.log,
        _log,
        _log_mp,
        "log",
        r"\log",
        vector=True,
        transcendental=True,
        ulp=1,
        slots=lambda dtype: len(polynomials.log_rest(dtype).coefficients) + 8,
    ),
    Record(sp.sin, np.sin, mpmath.sin, "sin", r"\sin", transcendental=True, ulp=1),
    Record(sp.cos, np.cos, mpmath.cos, "cos", r"\cos", transcendental=True, ulp=1),
    Record(
        sp.atan,
        np.arctan,
        _atan_mp,
        "atan",
        r"\arctan",
        vector=True,
        transcendental=True,
        ulp=2,
        slots=lambda dtype: len(polynomials.atan_rest(dtype).coefficients) + 4,
    ),
    Record(
        softplus,
        _softplus,
        lambda a: mpmath.log1p(mpmath.exp(a)),
        "softplus",
        r"\operatorname{softplus}",
        vector=True,
        transcendental=True,
        ulp=2,
        slots=lambda dtype: _exp_slots(len(polynomials.log_rest(dtype).coefficients) + 5)(dtype),
    ),
    Record(
        sp.erf,
        directed(_every_erf, lambda a: _bell(a) * (2 / math.sqrt(math.pi))),
        mpmath.erf,
        "erf",
        r"\operatorname{erf}",
        vector=True,
        transcendental=True,
        ulp=2,
        slots=lambda dtype: _exp_slots(
            len(polynomials.erf_rest(dtype).coefficients) + len(polynomials.normal_tail(dtype).coefficients) + 9
        )(dtype),
    ),
    Record(
        normal_cdf,
        directed(_normal_cdf, lambda a: _bell(np.asarray(a) * math.sqrt(0.5)) / math.sqrt(2 * math.pi)),
        _normal_cdf_mp,
        "normal_cdf",
        r"\Phi",
        vector=True,
        transcendental=True,
        ulp=6,
        slots=lambda dtype: _exp_slots(len(polynomials.normal_tail(dtype).coefficients) + 8)(dtype),
    ),
)
