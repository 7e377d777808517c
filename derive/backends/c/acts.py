"""What a kernel does around its stages and products, as records: `kind` names the macro that spells one.

templates/c/steps.j2 has the macros; spelled.py makes the records.
"""

from __future__ import annotations

from dataclasses import dataclass

import sympy as sp

from derive.backends.c.addresses import Steps
from derive.backends.c.kernel import Pack, Reduce, StagePlan
from derive.backends.c.products import GemmCall, TileText


@dataclass(frozen=True)
class Clear:
    """`count` values at an address become zero, where the guard holds; `why`: words for a comment."""

    kind = "clear"
    at: str
    count: sp.Expr
    guard: str = ""
    why: str = ""


@dataclass(frozen=True)
class CopyRows:
    """Rows of `width` values from one place to another, `ld` and `source_ld` values from one to the next."""

    kind = "copy"
    to: str
    ld: sp.Expr
    source: str
    source_ld: sp.Expr
    rows: sp.Expr
    width: sp.Expr
    why: str = ""


@dataclass(frozen=True)
class Move:
    """The rows of a step that the next chunk reads as those of its neighbour."""

    condition: str
    to: str
    source: str
    count: sp.Expr


@dataclass(frozen=True)
class Total:
    """A sum over steps and rows: `n` numbers, `wide` if there is one for each unit; `is_result`: it belongs to the caller."""

    array: str
    buffer: str
    n: sp.Expr
    wide: bool
    is_result: bool = True


@dataclass(frozen=True)
class PackRows:
    """An operand of weight gradients that is packed; `call`: the function of C."""

    pack: Pack
    call: str
    steps: Steps


@dataclass(frozen=True)
class Gradient:
    """A weight gradient: where it is, all of it and the part of a group; what it begins with."""

    reduce: Reduce
    at: str
    part: str
    add: str

    @property
    def count(self) -> sp.Expr:
        return self.reduce.count


@dataclass(frozen=True)
class Gradients:
    """Weight gradients that are made together, in loops over the units of a batch; what is packed for them."""

    loops: list[tuple[str, str]]
    packs: list[PackRows]
    gradients: list[Gradient]


@dataclass(frozen=True)
class Zeros:
    """Numbers of each row that sums of a stage begin with: `width` of them at `at`, `ld` from one row to the next."""

    at: str
    ld: sp.Expr
    width: sp.Expr


@dataclass(frozen=True)
class StageCall:
    """What a stage does in a step: `before` for its rows, `acts` for each unit of its outer dimensions, in `loops` over these.

    kind: "flat" without such loops, else "grouped".  shifts: how what the step points to moves in them.
    """

    kind: str
    before: list[Act]
    acts: list[Act]
    loops: list[tuple[str, str]]
    shifts: list[tuple[str, sp.Expr, str]]


@dataclass(frozen=True)
class Act:
    """A part of a chunk or of a step: `kind` names its macro, `what` is what it is told."""

    kind: str
    what: StagePlan | TileText | GemmCall | TimeLoop | Zeros | str = ""


@dataclass(frozen=True)
class TimeLoop:
    """A loop over the steps of a chunk: what a step points to, what its stages do, what is copied where a row ends.

    `begun` are cleared or copied where rows begin: backwards in time that is their last step.
    """

    begun: list[Clear | CopyRows]
    pointers: list[tuple[str, str]]
    stages: list[StageCall]
    finals: list[CopyRows]
