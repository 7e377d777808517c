"""What the two scalar types differ in, and no more: the words and numbers that templates/c/type.h.j2 puts into one text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import sympy as sp

from derive.backends.shared.printer import F32, Real


@dataclass(frozen=True)
class Scalar:
    """A scalar type of C.

    bits, mantissa: its size, and that of its fraction.  suffix: what a macro puts behind a literal or a function of the C
    library.  chosen: which of two literals it takes.  x86: how instructions on it end.  evaluated: values of FLT_EVAL_METHOD
    with which expressions of it are computed in it.  saturated: from where on sigmoid(x) is 1, and tanh(x/2).
    limits: how the names of its limits begin.  low_half: bits without which the square of a number is exact.
    """

    real: Real
    bits: int
    mantissa: int
    suffix: str
    chosen: str
    x86: str
    evaluated: tuple[int, ...]
    saturated: float
    limits: str
    low_half: str

    def pairs(self, coefficients: Sequence[sp.Rational]) -> list[tuple[int, list[str]]]:
        """The coefficients of an even power and of the odd one above it, where there is one, each with their number."""
        found = [self.real.literal(float(c)) for c in coefficients]
        return [(n // 2, found[n : n + 2]) for n in range(0, len(found), 2)]


def scalar(real: Real) -> Scalar:
    """The type of a real number."""
    if real == F32:
        return Scalar(real, 32, 23, "##f", "single##f", "_ps", (0, 16, 32), 24.0, "FLT", "0xfff")
    return Scalar(real, 64, 52, "", "twice", "_pd", (0, 1, 16, 32, 64), 48.0, "DBL", "0x7ffffff")
