"""What the two scalar types differ in, and no more: the words and numbers that templates/c/type.h.j2 puts into one text."""

from __future__ import annotations

from dataclasses import dataclass

from derive.backends.shared.printer import F32, Real
from derive.ir import functions
from derive.ir.functions import Exponential


@dataclass(frozen=True)
class Scalar:
    """A scalar type of C.

    bits, mantissa: its size, and that of its fraction.  suffix: what a macro puts behind a literal or a function of the C
    library.  chosen: which of two literals it takes.  x86: how instructions on it end.  evaluated: values of FLT_EVAL_METHOD
    with which expressions of it are computed in it.  saturated: from where on sigmoid(x) is 1, and tanh(x/2).
    """

    real: Real
    bits: int
    mantissa: int
    suffix: str
    chosen: str
    x86: str
    evaluated: tuple[int, ...]
    saturated: float

    @property
    def polynomial(self) -> Exponential:
        """The polynomial of exp."""
        return functions.exponential(self.real.dtype)

    @property
    def pairs(self) -> list[tuple[int, list[str]]]:
        """The coefficients of an even power and of the odd one above it, where there is one, each with their number."""
        found = [self.real.literal(float(c)) for c in self.polynomial.coefficients]
        return [(n // 2, found[n : n + 2]) for n in range(0, len(found), 2)]


def scalar(real: Real) -> Scalar:
    """The type of a real number."""
    if real == F32:
        return Scalar(real, 32, 23, "##f", "single##f", "_ps", (0, 16, 32), 24.0)
    return Scalar(real, 64, 52, "", "twice", "_pd", (0, 1, 16, 32, 64), 48.0)
