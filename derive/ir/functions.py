"""Every function that an equation may call: one record each, and nothing about it anywhere else.

A record holds what each part of the system needs: the SymPy class (with its derivative), NumPy and mpmath evaluation,
the C spelling, LaTeX, and the bound of its error in units in the last place (ulp).  `vector` functions have a kernel in
templates/c/math.h.j2; the others are evaluated lane by lane through the C library, by the name `c` with its suffix for
float.  A cell file imports a function by the name of its class, unless the record says that only passes write it.
CONTRIBUTING.md adds one as an example.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import mpmath
import numpy as np
import sympy as sp


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


class step(sp.Function):  # noqa: N801
    """1 where a > 0, 0 where a <= 0, NaN where a is NaN: the derivative of relu, with the convention step(0) = 0."""

    nargs = 1

    def fdiff(self, argindex: int = 1) -> sp.Expr:
        return sp.Integer(0)


class relu(sp.Function):  # noqa: N801
    """max(a, 0); its derivative at 0 is 0, as in PyTorch."""

    nargs = 1

    def fdiff(self, argindex: int = 1) -> sp.Expr:
        return step(self.args[0])


class signum(sp.Function):  # noqa: N801
    """-1, 0 or 1.  SymPy's own sign and Abs differentiate through re and im, for it does not know tensors to be real."""

    nargs = 1

    def fdiff(self, argindex: int = 1) -> sp.Expr:
        return sp.Integer(0)


class absolute(sp.Function):  # noqa: N801
    """|a|; its derivative at 0 is 0."""

    nargs = 1

    def fdiff(self, argindex: int = 1) -> sp.Expr:
        return signum(self.args[0])


class fma(sp.Function):  # noqa: N801
    """a*b + c with one rounding where the machine has it: fma(a, b, c).  Written by simplify/, not by people."""

    nargs = 3

    def fdiff(self, argindex: int = 1) -> sp.Expr:
        return (self.args[1], self.args[0], sp.Integer(1))[argindex - 1]


@dataclass(frozen=True)
class Record:
    """What the system knows of one function."""

    function: Any
    numpy: Callable[..., Any]
    mpmath: Callable[..., Any]
    c: str
    latex: str
    vector: bool
    transcendental: bool
    ulp: float
    in_cells: bool = True  # False: written by SymPy's derivatives or by passes, and by no person


def _sigmoid(a: Any) -> Any:
    """The logistic function by exp(-|a|): no overflow, small values to their last digit, analytic for the complex step."""
    falling = np.exp(np.where(np.real(a) > 0, -a, a))
    return np.where(np.real(a) > 0, 1, falling) / (1 + falling)


def _below(a: Any, value: float) -> Any:
    """`value` where a function of one piece is constant, and NaN where a is: no comparison may swallow it."""
    return np.where(np.isnan(a), np.nan, value)


def _log(a: Any) -> Any:
    """The real logarithm: NaN below 0, in the complex step too."""
    return np.log(np.where(np.real(a) < 0, np.nan, a))


def _log_mp(a: Any) -> Any:
    return mpmath.nan if mpmath.re(a) < 0 else mpmath.log(a)


def _step_mp(a: Any) -> Any:
    return mpmath.nan if mpmath.isnan(a) else mpmath.mpf(mpmath.re(a) > 0)


def _relu_mp(a: Any) -> Any:
    return a if mpmath.re(a) > 0 or mpmath.isnan(a) else mpmath.mpf(0)


def _signum_mp(a: Any) -> Any:
    return mpmath.nan if mpmath.isnan(a) else mpmath.sign(mpmath.re(a))


def _log1p(a: Any) -> Any:
    """log(1 + a) to its last digits where a is small, for complex numbers too (Kahan): NumPy's own adds first."""
    whole = 1 + a
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(whole == 1, a, np.log(whole) * a / (whole - 1))


def _softplus(a: Any) -> Any:
    if not np.iscomplexobj(a):
        return np.logaddexp(0, a)
    positive = np.real(a) > 0
    return np.where(positive, a, 0) + _log1p(np.exp(np.where(positive, -a, a)))


RECORDS: tuple[Record, ...] = (
    Record(sigmoid, _sigmoid, lambda a: 1 / (1 + mpmath.exp(-a)), "sigmoid", r"\sigma", True, True, 4),
    Record(sp.tanh, np.tanh, mpmath.tanh, "tanh", r"\tanh", True, True, 4),
    Record(sp.exp, np.exp, mpmath.exp, "exp", r"\exp", True, True, 4),
    Record(sp.log, _log, _log_mp, "log", r"\log", False, True, 1),
    Record(sp.sin, np.sin, mpmath.sin, "sin", r"\sin", False, True, 1),
    Record(sp.cos, np.cos, mpmath.cos, "cos", r"\cos", False, True, 1),
    Record(
        softplus,
        _softplus,
        lambda a: mpmath.log1p(mpmath.exp(a)),
        "softplus",
        r"\operatorname{softplus}",
        False,
        True,
        4,
    ),
    Record(
        relu,
        lambda a: np.where(np.real(a) > 0, a, _below(a, 0.0)),
        _relu_mp,
        "relu",
        r"\operatorname{relu}",
        True,
        False,
        0,
    ),
    Record(
        step,
        lambda a: np.where(np.real(a) > 0, 1.0, _below(a, 0.0)),
        _step_mp,
        "step",
        r"\operatorname{step}",
        True,
        False,
        0,
        in_cells=False,
    ),
    Record(
        signum,
        lambda a: np.sign(np.real(a)),
        _signum_mp,
        "signum",
        r"\operatorname{sgn}",
        True,
        False,
        0,
        in_cells=False,
    ),
    Record(
        absolute,
        lambda a: a * np.sign(np.real(a)),
        lambda a: a * _signum_mp(a),
        "absolute",
        r"\operatorname{abs}",
        True,
        False,
        0,
        in_cells=False,
    ),
    Record(
        fma,
        lambda a, b, c: a * b + c,
        lambda a, b, c: a * b + c,
        "fused",
        r"\operatorname{fma}",
        True,
        False,
        0.5,
        in_cells=False,
    ),
)

# What a cell file may import, by name.
IN_CELLS: dict[str, Any] = {record.function.__name__: record.function for record in RECORDS if record.in_cells}
BY_CLASS: dict[Any, Record] = {record.function: record for record in RECORDS}


def record_of(expr: sp.Expr) -> Record | None:
    """The record of a call, or None where the node is no function of this table."""
    return BY_CLASS.get(expr.func)


@dataclass(frozen=True)
class Exponential:
    """exp(x) = 2^k (1 + r + r^2 q(r)), x = k ln 2 + r, |r| <= ln(2)/2: what exp, sigmoid and tanh in C are made of.

    `coefficients` are those of q, lowest first: q interpolates (expm1(r) - r)/r^2 at the zeros of a Chebyshev polynomial,
    with the smallest number of nodes for which `remainder`, a proven bound of the error of r + r^2 q(r) relative to
    expm1(r), is below half an ulp.  ln 2 is split so that k*high is exact.
    """

    coefficients: tuple[sp.Rational, ...]
    log2e: float
    high: float
    low: float
    largest: float
    smallest: float
    normal: float
    remainder: float


def exponential(dtype: type) -> Exponential:
    """The polynomial and constants for a NumPy scalar type."""
    info = np.finfo(dtype)
    nodes = 2
    while (remainder := _remainder(nodes)) > info.eps / 4:
        nodes += 1
    bits = info.nmant - info.nexp - 2
    high = mpmath.floor(mpmath.log(2) * 2**bits) / 2**bits
    with mpmath.workdps(50):
        low = mpmath.log(2) - high
    largest = float(mpmath.log(2) * (2 ** (info.nexp - 1)))
    smallest = float(-mpmath.log(2) * (2 ** (info.nexp - 1) + info.nmant))
    normal = float(-mpmath.log(2) * (2 ** (info.nexp - 1) - 1))
    return Exponential(
        _interpolated(nodes),
        float(1 / mpmath.log(2)),
        float(high),
        float(low),
        largest,
        smallest,
        normal,
        float(remainder),
    )


def _remainder(nodes: int) -> Any:
    """The error of r + r^2 q(r) relative to expm1(r), at most.

    g(r) = (expm1(r) - r)/r^2 = sum of r^k/(k+2)!; at the zeros of a Chebyshev polynomial of degree n on [-a, a] the error
    of interpolation is at most max|g^(n)|/n! a^n/2^(n-1), and g^(n)/n! <= exp(a)/(n+2)!; the factor r^2/expm1(r) is at
    most a exp(a).
    """
    a = mpmath.log(2) / 2
    return mpmath.exp(a) / mpmath.factorial(nodes + 2) * a**nodes / 2 ** (nodes - 1) * a * mpmath.exp(a)


def _interpolated(nodes: int) -> tuple[sp.Rational, ...]:
    """Coefficients of the interpolating polynomial of (expm1(r) - r)/r^2, lowest first, to 40 digits."""
    with mpmath.workdps(60):
        a = mpmath.log(2) / 2
        points = [a * mpmath.cos(mpmath.pi * (2 * k + 1) / (2 * nodes)) for k in range(nodes)]
        values = [mpmath.nsum(lambda j, r=r: r**j / mpmath.factorial(j + 2), [0, 60]) for r in points]
        rows = mpmath.matrix([[r**j for j in range(nodes)] for r in points])
        found = mpmath.lu_solve(rows, mpmath.matrix(values))
        return tuple(sp.Rational(int(mpmath.nint(c * 10**40)), 10**40) for c in found)
