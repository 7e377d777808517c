"""The polynomials that the C of the functions is made of, each with a proven bound of its error.

A polynomial interpolates at the zeros of a Chebyshev polynomial, with the smallest number of nodes for which the bound is
below half an ulp.  The bound of g interpolated at n nodes on an interval of length l is max|g^(n)|/n! (l/2)^n/2^(n-1)
where the derivatives of g are known from its power series; `normal_tail` says how it is bounded.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import mpmath
import numpy as np
import sympy as sp


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


@cache
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
    with mpmath.workdps(60):
        half = mpmath.log(2) / 2
        coefficients = _interpolated(_expm1_rest, -half, half, nodes)
    return Exponential(
        coefficients,
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


def _expm1_rest(r: Any) -> Any:
    return mpmath.nsum(lambda j: r**j / mpmath.factorial(j + 2), [0, 60])


@dataclass(frozen=True)
class Polynomial:
    """Coefficients, lowest first, and a proven bound of the error of the function, relative to it."""

    coefficients: tuple[sp.Rational, ...]
    remainder: float


@cache
def log_rest(dtype: type) -> Polynomial:
    """p(w) with log((1+s)/(1-s)) = 2 s + s w p(w), w = s^2, |s| <= (sqrt(2)-1)/(sqrt(2)+1): log from 1/sqrt(2) to sqrt(2).

    p = sum of 2 w^k/(2k+3): p^(n)/n! <= 2/(2n+3)/(1-w)^(n+1), and s w p is w p/2 of the whole at most.
    """
    w = (mpmath.sqrt(2) - 1) ** 4 * (1 + mpmath.mpf(2) ** -20)  # and what rounding adds at the ends
    return _smallest(
        dtype,
        lambda u: mpmath.nsum(lambda k: 2 * u**k / (2 * k + 3), [0, 60]),
        w,
        lambda n: 2 / mpmath.mpf(2 * n + 3) / (1 - w) ** (n + 1) * w / 2,
    )


@cache
def atan_rest(dtype: type) -> Polynomial:
    """p(u) with atan(x) = x + x u p(u), u = x^2, for |x| <= tan(pi/8).

    p = sum of (-1)^(k+1) u^k/(2k+3) = -integral of y^2/(1 + u y^2) over 0..1: |p^(n)|/n! <= 1/(2n+3); x u p is
    u/atan(x)*x of the whole at most, and x/atan(x) is below 1.06.
    """
    u = mpmath.tan(mpmath.pi / 8) ** 2 * (1 + mpmath.mpf(2) ** -20)
    return _smallest(
        dtype,
        lambda v: mpmath.nsum(lambda k: (-1) ** (int(k) + 1) * v**k / (2 * k + 3), [0, 80]),
        u,
        lambda n: u * mpmath.mpf("1.06") / (2 * n + 3),
    )


@cache
def erf_rest(dtype: type) -> Polynomial:
    """p(u) with erf(x) = x + x p(u), u = x^2, for |x| <= 1.

    1 + p = 2/sqrt(pi) sum of (-u)^k/(k!(2k+1)) = 2/sqrt(pi) integral of exp(-u y^2) over 0..1: |p^(n)|/n! <= 2/sqrt(pi)/(n!(2n+1)),
    and 1 + p >= erf(1).
    """
    return _smallest(
        dtype,
        lambda u: 2 / mpmath.sqrt(mpmath.pi) * mpmath.nsum(lambda k: (-u) ** k / mpmath.factorial(k) / (2 * k + 1), [0, 60]) - 1,
        mpmath.mpf(1),
        lambda n: 2 / mpmath.sqrt(mpmath.pi) / mpmath.factorial(n) / (2 * n + 1) / mpmath.erf(1),
    )  # fmt: skip


def _smallest(dtype: type, g: Callable[[Any], Any], end: Any, factor: Callable[[int], Any]) -> Polynomial:
    """The interpolation of g on 0..end with the smallest number of nodes; `factor` times (end/2)^n/2^(n-1) bounds its error."""
    limit, nodes = np.finfo(dtype).eps / 4, 2
    while (remainder := factor(nodes) * (end / 2) ** nodes / 2 ** (nodes - 1)) > limit:
        nodes += 1
    with mpmath.workdps(60):
        return Polynomial(_interpolated(g, mpmath.mpf(0), end, nodes), float(remainder))


def _interpolated(g: Callable[[Any], Any], low: Any, high: Any, nodes: int) -> tuple[sp.Rational, ...]:
    """Coefficients of the polynomial that interpolates g at the zeros of a Chebyshev polynomial, lowest first, to 40 digits."""
    middle, half = (low + high) / 2, (high - low) / 2
    points = [middle + half * mpmath.cos(mpmath.pi * (2 * k + 1) / (2 * nodes)) for k in range(nodes)]
    rows = mpmath.matrix([[r**j for j in range(nodes)] for r in points])
    found = mpmath.lu_solve(rows, mpmath.matrix([g(r) for r in points]))
    return tuple(_rational(c) for c in found)


def _rational(value: Any) -> sp.Rational:
    return sp.Rational(int(mpmath.nint(value * 10**40)), 10**40)


def polynomials_of(dtype: type) -> dict[str, Any]:
    """All that the C of the functions reads for a type, by the names that templates have for it."""
    with mpmath.workdps(50):
        high = float(dtype(mpmath.pi / 2))
        half_pi = high, float(mpmath.pi / 2 - high)
    return {
        "polynomial": exponential(dtype),
        "log": log_rest(dtype),
        "atan": atan_rest(dtype),
        "erf": erf_rest(dtype),
        "tail": normal_tail(dtype),
        "half_pi": half_pi,
    }


# -- the tail of the normal distribution -------------------------------------------------------------------------------

CENTRE = 5  # where t is 0: what needs the fewest coefficients


@dataclass(frozen=True)
class Tail:
    """Phi(-y) = exp(-y^2/2) p(t)/(y + 5), t = (y - 5)/(y + 5), for 0 <= y <= `end`; at `end` exp(-y^2/2) is no normal number."""

    coefficients: tuple[sp.Rational, ...]
    remainder: float
    end: float


@cache
def normal_tail(dtype: type) -> Tail:
    """The polynomial of the tail, from the Chebyshev series of F(t) = (y + 5) G(y), G(y) = exp(y^2/2) Phi(-y).

    The series is that of the interpolation at NODES points, whose own error Bernstein's theorem bounds (`_bernstein`); what
    is left out of it is at most the sum of its coefficients.  F >= 1/sqrt(2 pi), as G(y) >= 2/(y + sqrt(y^2 + 4))/sqrt(2 pi).
    """
    info = np.finfo(dtype)
    end = float(mpmath.sqrt(2 * mpmath.log(2) * (2 ** (info.nexp - 1) - 1)))
    last = (mpmath.mpf(end) - CENTRE) / (end + CENTRE) * (1 + mpmath.mpf(2) ** -20)
    with mpmath.workdps(60):
        series = _chebyshev(last)
        least = 1 / mpmath.sqrt(2 * mpmath.pi)
        left = [mpmath.fsum(abs(c) for c in series[n:]) for n in range(NODES)]
        whole = _bernstein(last)
        degree = next(n for n in range(2, NODES) if (left[n] + whole) / least < info.eps / 4)
        return Tail(_monomials(series[:degree], last), float((left[degree] + whole) / least), end)


NODES = 84


def _tail_ratio(t: Any) -> Any:
    y = CENTRE * (1 + t) / (1 - t)
    return (y + CENTRE) * mpmath.exp(y * y / 2) * mpmath.erfc(y / mpmath.sqrt(2)) / 2


def _chebyshev(last: Any) -> list[Any]:
    """Coefficients of the Chebyshev polynomials of the interpolation of F on -1..last."""
    angles = [mpmath.pi * (2 * k + 1) / (2 * NODES) for k in range(NODES)]
    values = [_tail_ratio((last - 1) / 2 + (last + 1) / 2 * mpmath.cos(a)) for a in angles]
    cosines = [mpmath.cos(mpmath.pi * k / (2 * NODES)) for k in range(4 * NODES)]
    found = [
        2 * mpmath.fsum(v * cosines[m * (2 * k + 1) % (4 * NODES)] for k, v in enumerate(values)) / NODES
        for m in range(NODES)
    ]
    return [found[0] / 2, *found[1:]]


def _bernstein(last: Any) -> Any:
    """The error of the interpolation at NODES points, at most: 4 M rho^(1-NODES)/(rho - 1), for an ellipse on which |F| <= M.

    The ellipse of the sum of half-axes rho has its foci at -1 and `last`; rho is such that it stays clear of t = 1.  Its
    vertex nearest to 1 is the point that is nearest to 1, so |y + 5| = 10/|1 - t| is largest there.  |G(y)| <= G(Re y), as G
    is the integral of exp(-s^2/2 - y s)/sqrt(2 pi) over s > 0, and falls; Re y >= -c is a disc of t that touches 1 and -(5 +
    c)/(5 - c), and holds an ellipse with the same axis as soon as it holds its vertices: Re y is least at the other vertex.
    """
    middle, half = (last - 1) / 2, (last + 1) / 2
    bounds = []
    for step in range(5, 400, 5):
        rho = 1 + mpmath.mpf(step) / 100
        axis = half * (rho + 1 / rho) / 2
        if middle + axis >= 1:
            break
        left = middle - axis
        least = CENTRE * (1 + left) / (1 - left)
        size = 2 * CENTRE / (1 - middle - axis) * mpmath.exp(least**2 / 2) * mpmath.ncdf(-least)
        bounds.append(4 * size * rho ** (1 - NODES) / (rho - 1))
    return min(bounds)


def _monomials(series: list[Any], last: Any) -> tuple[sp.Rational, ...]:
    """A Chebyshev series on -1..last as a polynomial in t, lowest coefficient first."""
    scale, shift = 2 / (last + 1), (1 - last) / (last + 1)  # u = scale*t + shift runs over -1..1
    before, now = [mpmath.mpf(1)], [shift, scale]
    total = [mpmath.mpf(0)] * len(series)
    for number, coefficient in enumerate(series):
        for power, value in enumerate(before):
            total[power] += coefficient * value
        if number + 1 < len(series):
            after = [mpmath.mpf(0)] * (len(now) + 1)
            for power, value in enumerate(now):
                after[power] += 2 * shift * value
                after[power + 1] += 2 * scale * value
            for power, value in enumerate(before):
                after[power] -= value
            before, now = now, after
    return tuple(_rational(c) for c in total)
