"""Where the rows of a step are in a buffer: one rule, for the C that is written and for the verifier that checks it.

A buffer with time holds `count` steps, of which `origin` is the first: the step t lies `t - origin` steps from its start.
In a chunk of the steps first..first+steps-1 there is room for one more step where a neighbour is read: before the first
in a loop that runs forwards, after the last in one that runs backwards.
"""

from __future__ import annotations

from dataclasses import dataclass

import sympy as sp

from derive.ir import T
from derive.passes.storage import Place

FIRST, STEPS = sp.Symbol("first", integer=True), sp.Symbol("steps", integer=True)


@dataclass(frozen=True)
class Extent:
    """The steps that a buffer holds: `count` of them, from `origin` on."""

    origin: sp.Expr
    count: sp.Expr


def extent(place: Place, direction: int) -> Extent | None:
    """The steps of a place in a kernel whose time runs in a direction; None for a place without steps of its own.

    A double buffer holds two steps, the even and the odd ones.
    """
    if place.kind == "tape" or (place.kind == "arg" and place.timed):
        return Extent(sp.Integer(1), T)
    if place.kind == "chunk":
        room = 1 if place.neighbour else 0
        return Extent(FIRST - (room if direction > 0 else 0), STEPS + room)
    return None


def since(place: Place, direction: int) -> str:
    """C text to put behind a step: the number of steps from the start of the buffer. " - first + 1" for a chunk."""
    found = extent(place, direction)
    assert found is not None
    number = found.origin - FIRST if found.origin.has(FIRST) else found.origin
    text = " - first" if found.origin.has(FIRST) else ""
    return f"{text} {'-' if number > 0 else '+'} {abs(number)}" if number else text
