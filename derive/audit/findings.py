"""What an audit says of an equation: verdicts, and findings that name the term and what is off."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

import sympy as sp

from derive import ir
from derive.audit.terms import Term


class Verdict(str, Enum):
    """What is said of an equation or of one of its terms."""

    EQUAL = "equal"
    PRODUCT = "multiplied where it must add"
    MISSING = "missing term"
    EXTRA = "extra term"
    SIGN = "wrong sign"
    TIME = "wrong time index"
    RANGE = "wrong range of time"
    SYMBOL = "wrong symbol"
    INDEX = "wrong index order"
    FACTOR = "wrong factor"
    SHAPE = "wrong shape"

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True)
class Finding:
    """One difference: the author's term and the derived one, each None where there is none.

    `detail` says in words what is off, with a {} for each expression of `parts`; `ratio` is the author's coefficient over
    the derived one, where that is known.
    """

    verdict: Verdict
    written: Term | None
    derived: Term | None
    detail: str = ""
    parts: tuple[sp.Expr, ...] = ()
    ratio: sp.Expr | None = None

    def text(self, shown: Callable[[sp.Expr], str] = ir.text) -> str:
        """The detail with its expressions, each written by `shown`."""
        return self.detail.format(*map(shown, self.parts))

    @property
    def through(self) -> tuple[str, ...]:
        """The intermediate quantities by which the author's term came in."""
        return self.written.through if self.written is not None else ()
