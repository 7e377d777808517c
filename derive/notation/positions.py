"""Numbers of units as values: the position of a unit, and the unit that a whole number names."""

from __future__ import annotations

from typing import Any

import sympy as sp
from sympy.tensor.indexed import Indexed

from derive import ir
from derive.errors import DeriveError
from derive.ir import t
from derive.ir.functions.composed import equal
from derive.notation.symbols import canonical, check_index
from derive.notation.writer import running


def position(index: sp.Symbol) -> Any:
    """The position of a unit, 0 for the first: position(n) is a value with the index n, which no step computes again."""
    writer = running(f"position({index})")
    check_index(f"{writer.where}: position({index})", index)
    if index == t:
        raise DeriveError(
            f"{writer.where}: position(t) is the number of a step; a step does not know it, give it as an input"
        )
    index = canonical(index)
    made = writer.value("position")
    writer.place(made, index)
    return made[index]


def one_hot(number: Any, index: sp.Symbol) -> Any:
    """1 for the unit at the position that `number` says, 0 for the others: one_hot(y[t], n), y of whole numbers from 0.

    A number that is no position of a unit gives zeros.  It has no derivative.
    """
    writer = running(f"one_hot({number}, {index})")
    if not isinstance(number, Indexed) or number.indices != (t,):
        raise DeriveError(
            f"{writer.where}: one_hot({number}, {index}) names a unit by a number of each step; write one_hot(y[t], {index})"
        )
    place = position(index)
    writer.classes[ir.name_of(number)] = ir.name_of(place)
    return equal(place, number)
