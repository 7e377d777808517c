"""Where the rows of a step are: one record, from which the C is spelled and whose bounds kernel_verifier.py proves.

Value n of row r at step t is at

    base + since(t)*step + inner + r*ld + n

A buffer with time holds `count` steps, and since(t) says how many of them come before t: t - 1 in an array of all steps, T - t
where a kernel runs through mirrored time, t - first in a chunk of the steps first..first+steps-1.  A chunk has room for one step
more where a neighbour is read: before the first in a loop that runs forwards, after the last in one that runs backwards.
"""

from __future__ import annotations

from dataclasses import dataclass

import sympy as sp

from derive.backends.c.kernel import Field
from derive.backends.c.target import WHOLE
from derive.backends.shared.sizes import FIRST, STEPS, Parity, atom, size
from derive.ir import B, T, t
from derive.passes.storage import Place, Region


@dataclass(frozen=True)
class Rows:
    """The rows of a place.  `base`: C for the pointer to its buffer; all else in values, for `ld` see the module.

    `count` is None where there is nothing to prove: one step, or two in turns.  `initial` are the rows that stand in for the
    step before the first; None where there is no such step in another array.
    """

    base: str
    inner: sp.Expr
    ld: sp.Expr
    since: sp.Expr = sp.S.Zero
    step: sp.Expr = sp.S.Zero
    count: sp.Expr | None = None
    initial: Rows | None = None

    def offset(self, when: sp.Expr | int) -> sp.Expr:
        """Values from the base to row 0 at a step.  What is added to all rows of a place is added here."""
        return self.since.subs(t, when) * self.step + self.inner

    def at(self, when: sp.Expr | int, row: sp.Expr | int = 0) -> str:
        """C for the address of a row at a step."""
        return located(self.base, self.offset(when) + row * self.ld)

    def read(self, when: sp.Expr, by: int, row: sp.Expr | int = 0) -> tuple[str, str]:
        """C for the address of a row `by` steps from a step, and for the stride of its rows."""
        if by >= 0 or self.initial is None:
            return self.at(when + by, row), self.stride
        if when.is_Integer:  # t = 0
            return self.initial.at(0, row), self.initial.stride
        here = f"{size(when)} > 1 ? "
        same = self.ld == self.initial.ld
        stride = self.stride if same else f"{here}{self.stride} : {self.initial.stride}"
        address = f"{here}{self.at(when + by)} : {self.initial.at(0)}"
        return f"({address}) + {size(row)} * {atom(self.ld) if same else f'({stride})'}" if row else address, stride

    @property
    def lowest(self) -> sp.Expr:
        """The first step for which the buffer has room."""
        return t - self.since if self._slope > 0 else self.highest - self.count + 1

    @property
    def highest(self) -> sp.Expr:
        """The last one."""
        return self.lowest + self.count - 1 if self._slope > 0 else t + self.since

    @property
    def _slope(self) -> int:
        return int(self.since.coeff(t))

    @property
    def towards(self) -> str:
        """C for the distance from one step to the next: back to the one before where time is mirrored."""
        sign = "-" if self._slope < 0 else ""
        return f"{sign}(ptrdiff_t){atom(self.step)}"

    @property
    def stride(self) -> str:
        """C for the distance from one row to the next."""
        return size(self.ld)


def located(base: str, offset: sp.Expr | int) -> str:
    """C for an address."""
    return f"{base} + {size(offset)}" if offset else base


def rows(place: Place, direction: int, mirrored: bool = False) -> Rows:
    """The rows of a place in a kernel whose time runs in a direction, or through mirrored time.

    A double buffer holds two steps, the even and the odd one.
    """
    dim = place.dim if place.dim is not None else sp.Integer(1)
    inner, width = place.slot * dim, place.slots * dim
    outside = T - t if mirrored else t - 1  # of what outlives the kernel
    initial = Rows(f"a->{place.initial}", sp.Integer(0), dim) if place.initial else None
    if place.kind == "arg" and place.timed:
        return Rows(f"a->{place.array}", sp.Integer(0), dim, outside, WHOLE * dim, T, initial)
    if place.kind == "arg":
        return Rows(f"a->{place.array}", inner, dim)
    if place.kind == "tape":
        return Rows(place.array, inner, width, outside, B * width, T, initial)
    if place.kind == "chunk":
        room = int(place.neighbour)
        since = t - FIRST + (room if direction > 0 else 0)
        return Rows(f"w.{place.array}", inner, width, since, B * width, STEPS + room)
    if place.kind == "swap":
        return Rows(f"w.{place.array}", inner, width, Parity(t), B * width)
    return Rows(f"w.{place.array}", inner, width)


def neighbour(region: Region, direction: int) -> Rows:
    """The rows of a whole region with a step that a neighbour reads."""
    return rows(Place(region.kind, region.name, 0, region.slots, region.dim, neighbour=region.neighbour), direction)


def pointer(field: Field, found: Rows, when: sp.Expr | int) -> str:
    """C for what a field of a step points to."""
    if field.place.kind == "total":
        return f"w.total_{field.c}"
    if field.only_end:  # a row that ends at this step sees its seed, all others zeros
        return f"a->rows ? w.end_{field.c} : {size(when)} == T ? {found.at(when)} : w.zeros"
    address, _ = found.read(when, field.offset)
    return f"{found.base} ? {address} : NULL" if field.optional else address


def stride(field: Field, found: Rows) -> sp.Expr:
    """The distance from one row of a field to the next: a member of its own where the initial state differs in it."""
    return sp.Symbol(f"at->{field.c}_ld") if varies(field, found) else found.ld


def varies(field: Field, found: Rows) -> bool:
    """Whether the stride differs at the first step, where the initial state stands in."""
    return field.offset < 0 and found.initial is not None and found.initial.ld != found.ld


@dataclass(frozen=True)
class Steps:
    """C for the members of `struct steps`: the rows of an operand in the steps of a chunk, those before the first included."""

    at: str
    step: str
    ld: str
    initial: str = "NULL"
    initial_ld: str = "0"


def steps(found: Rows, by: int) -> Steps:
    """The rows of an operand `by` steps from those of a chunk."""
    if by >= 0 or found.initial is None:
        return Steps(found.at(FIRST + by), found.towards, found.stride)
    at = f"first > 1 ? {found.at(FIRST + by)} : {found.at(FIRST)}"
    return Steps(at, found.towards, found.stride, f"first > 1 ? NULL : {found.initial.at(0)}", found.initial.stride)
