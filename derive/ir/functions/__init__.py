"""Every function that an equation may call: one record each, and nothing about it anywhere else.

A record holds what each part of the system needs: the SymPy class (with its derivative), NumPy and mpmath evaluation,
the C spelling, LaTeX, cost, and the bound of its error in units in the last place (ulp).  `vector` functions have a kernel
in templates/c/math.h.j2; the others are evaluated lane by lane through the C library, by the name `c` with its suffix for
float.  A cell file imports a function by the name of its class, unless the record says that only passes write it.
CONTRIBUTING.md adds one as an example.

record.py says what a record is; smooth.py and pieces.py have the functions with C of their own, polynomials.py what that
C is made of; defined.py makes functions out of an expression in others, composed.py those that are there.
"""

from __future__ import annotations

from typing import Any

from derive.ir.functions.composed import DEFINED, FORMULAS
from derive.ir.functions.defined import Defined, define, expanded, slots
from derive.ir.functions.pieces import (
    absolute,
    at_most,
    clip,
    floor,
    indicator,
    less,
    maximum,
    minimum,
    relu,
    signum,
    step,
    where,
)
from derive.ir.functions.polynomials import Exponential, exponential, polynomials_of
from derive.ir.functions.record import Record
from derive.ir.functions.smooth import expm1, normal_cdf, sigmoid, softplus
from derive.ir.functions.tables import BY_CLASS, RECORDS, fma, record_for, record_of

__all__ = [
    "BY_CLASS",
    "DEFINED",
    "FORMULAS",
    "IN_CELLS",
    "PIECES",
    "RECORDS",
    "Defined",
    "Exponential",
    "Record",
    "absolute",
    "at_most",
    "clip",
    "define",
    "expanded",
    "expm1",
    "exponential",
    "floor",
    "fma",
    "indicator",
    "less",
    "maximum",
    "minimum",
    "normal_cdf",
    "polynomials_of",
    "record_for",
    "record_of",
    "relu",
    "sigmoid",
    "signum",
    "slots",
    "softplus",
    "step",
    "where",
]

# Functions with a kink or a jump.
PIECES: tuple[Any, ...] = (absolute, at_most, clip, floor, less, maximum, minimum, relu, signum, step, where)
# What a cell file may import, by name.
IN_CELLS: dict[str, Any] = {
    **{record.spelled: record.function for record in RECORDS if record.in_cells},
    **{function.__name__: function for function in (*DEFINED, *FORMULAS)},
}
