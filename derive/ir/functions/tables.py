"""The table of functions that have C of their own, and how the record of a call is found."""

from __future__ import annotations

from typing import Any

import sympy as sp

from derive.ir.functions import pieces, smooth
from derive.ir.functions.record import Record


class fma(sp.Function):  # noqa: N801
    """a*b + c with one rounding where the machine has it: fma(a, b, c).  Written by simplify/, not by people."""

    nargs = 3

    def fdiff(self, argindex: int = 1) -> sp.Expr:
        return (self.args[1], self.args[0], sp.Integer(1))[argindex - 1]


def _fma(a: Any, b: Any, c: Any) -> Any:
    return a * b + c


FMA = Record(
    fma, _fma, _fma, "fused", r"\operatorname{fma}", vector=True, ulp=0.5, arguments=("a", "b", "c"), in_cells=False
)
RECORDS: tuple[Record, ...] = (*smooth.RECORDS, *pieces.RECORDS, FMA)
BY_CLASS: dict[Any, Record] = {record.function: record for record in RECORDS}


def record_of(expr: sp.Basic) -> Record | None:
    """The record of a call, or None where the node is no function that an equation may call."""
    return record_for(expr.func)


def record_for(function: Any) -> Record | None:
    """The record of a class of calls."""
    return BY_CLASS.get(function) or getattr(function, "record", None)
