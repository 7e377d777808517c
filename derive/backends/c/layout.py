"""What the plan of a kernel holds, and how large: buffers with their sizes, the fields of a step, the shapes of tiles."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import sympy as sp

from derive import ir
from derive.backends.c.kernel import Field, Kernel, Run, StagePlan, Tile
from derive.backends.c.target import DEPTH, LANES, ROWS
from derive.backends.shared.names import c_name
from derive.backends.shared.sizes import STEPS, Least, RoundUp, When
from derive.passes.storage import Place, Region

# What is so in a call, as C asks: some rows end before others; hoistable products are made before the loop; sums over so
# many rows that they are settled now and then.
RAGGED, HOISTS, LONG = sp.symbols("a->rows hoists(a) is_long(a)")

UNIT = {"strips": ROWS, "panels": LANES}  # columns that lie side by side in a packed operand


@dataclass(frozen=True)
class Buffer:
    """A part of the workspace: how many values it holds."""

    name: str
    values: sp.Expr


def width(held: Region | Place) -> sp.Expr:
    """Values of one row of a buffer."""
    return held.slots * (held.dim if held.dim is not None else sp.Integer(1))


def row_of(place: Place) -> sp.Expr:
    """Values of a tensor in one row."""
    return place.dim if place.dim is not None else sp.Integer(1)


def tiles(kernel: Kernel) -> list[tuple[Tile, sp.Symbol | None]]:
    """The panels to pack, each once, with the dimension of their units."""
    found: dict[str, tuple[Tile, sp.Symbol | None]] = {}
    for stage in [*kernel.loop_stages, *kernel.edge]:
        if stage.tile:
            found.setdefault(stage.tile.pack, (stage.tile, stage.dim))
    return list(found.values())


def panel_depth(tile: Tile) -> sp.Expr:
    """Values that the panels of a tile hold for one unit."""
    return sum((s.k * sum(w is not None for w in s.weights) for s in tile.segments), sp.Integer(0))


def packs_whole(kernel: Kernel, tile: Tile) -> bool:
    """Whether the weights of a tile are whole matrices that are packed before the loop, as those of large products are."""
    return kernel.direction < 0 and len(tile.slots) == 1 and not tile.outer


def values_before(tile: Tile, run: Run) -> sp.Expr:
    """Values in the panels of a block that come before those of a run: for one column if its width varies, else for all."""
    runs = tile.runs[: tile.runs.index(run)]
    return sum((tile.segments[r.segment].k * (1 if varies(tile) else r.width) for r in runs), sp.Integer(0))


def hoisted(tile: Tile) -> str:
    """The buffer of the products of a tile that are made for many steps at once."""
    return tile.pack.replace("panels", "known")


def narrows(tile: Tile) -> bool:
    """Whether the products of the last few units can share vectors: each call of the micro-kernel takes all slots."""
    return tile.vectors == 1 and all(run.width == len(tile.slots) for run in tile.runs)


def varies(tile: Tile) -> bool:
    """Whether the panels of the last block may be narrower than those of the others."""
    return tile.vectors > 1 or narrows(tile)


def joinable(tile: Tile) -> bool:
    """Whether what is known and what is carried meet the same columns, so that one sum can take both."""
    return (
        len(tile.hoistable) == len(tile.carried) == 1
        and not (tile.clear or tile.copy)
        and (tile.hoistable[0].column, tile.hoistable[0].width) == (tile.carried[0].column, tile.carried[0].width)
        and not tile.carried[0].skip
    )


def buffers(kernel: Kernel) -> list[Buffer]:
    """The buffers of a kernel, in the order in which they lie in the workspace."""
    return [
        Buffer("tag", sp.Integer(8)),  # 8 bytes, in the first of 32 or more
        *(Buffer(g.pack, sp.Mul(*g.batch) * RoundUp(g.n, LANES) * g.k) for g in kernel.gemms),
        *(Buffer(t.pack, sp.Mul(*t.outer) * RoundUp(d, LANES) * panel_depth(t)) for t, d in tiles(kernel)),
        *(Buffer(r.name, rows_of(r) * width(r)) for r in kernel.regions),
        # sums, settled, lost
        *(Buffer(f"total_{c_name(n, 0)}", 3 * (sp.Integer(1) if d is None else d)) for n, d, _ in kernel.totals),
        *(Buffer("settled", When(LONG, 2 * reduced(kernel), 0)) for _ in kernel.reduces[:1]),
        *(Buffer(f"end_{f.c}", When(RAGGED, ir.B * row_of(f.place), 0)) for f in end_fields(kernel)),
        *(Buffer("zeros", ir.B * zero_width(kernel)) for _ in end_fields(kernel)[:1]),
        *(Buffer(p.name, Least(DEPTH, STEPS * ir.B) * RoundUp(p.width, UNIT[p.kind])) for p in kernel.packs),
        *(Buffer(hoisted(t), When(HOISTS, _hoisted(t, d), 0)) for t, d in tiles(kernel) if t.hoistable),
    ]


def rows_of(region: Region) -> sp.Expr:
    """The rows for which a buffer has room."""
    steps = {"swap": sp.Integer(2), "chunk": STEPS + int(region.neighbour)}
    return sp.Integer(1) if region.kind == "call" else steps.get(region.kind, sp.Integer(1)) * ir.B


def _hoisted(tile: Tile, dim: sp.Expr) -> sp.Expr:
    return sp.Mul(*tile.outer) * STEPS * ir.B * RoundUp(dim, tile.vectors * LANES) * len(tile.slots)


def reduced(kernel: Kernel) -> sp.Expr:
    """Numbers in all results of weight gradients."""
    return sum((r.count for r in kernel.reduces if not r.accumulate), sp.Integer(0))


def all_fields(kernel: Kernel) -> list[Field]:
    """The fields of a step, those of the edge included."""
    found: dict[str, Field] = {}
    for item in [*kernel.fields, *kernel.edge_fields]:
        old = found.get(item.c)
        found[item.c] = item if old is None or item.written else old
    return list(found.values())


def fields_of(kernel: Kernel, part: list[StagePlan]) -> list[Field]:
    """The fields that a list of stages uses."""
    used = {f.c for s in part for f in [*s.loads, *s.scalar_loads, *s.stores.values()]}
    return [f for f in kernel.fields if f.c in used]


def has_zeros(kernel: Kernel) -> bool:
    """Whether a term lives at the last step only, and reads zeros at all others."""
    return any(f.only_end for f in kernel.fields)


def end_fields(kernel: Kernel) -> list[Field]:
    """The seeds of final states: where rows end at different steps, a step sees those of the rows that end there."""
    return [f for f in kernel.fields if f.only_end]


def tape_widths(places: Iterable[Place]) -> dict[str, sp.Expr]:
    """The width of a row of each region of the tape, in order."""
    return {p.array: width(p) for p in places if p.kind == "tape"}


def splittable(kernels: Iterable[Kernel]) -> bool:
    """Whether threads can share a step by its units: no kernel but the loss has numbers of a row that all units make."""
    return not any(s.sums or s.scalars for k in kernels if k.direction for s in k.stages)


def hoists(kernel: Kernel) -> bool:
    """Whether a tile has products that may be made for many steps at once."""
    return any(s.tile and s.tile.hoistable for s in kernel.loop_stages)


def zero_width(kernel: Kernel) -> sp.Expr:
    """Zeros for each row that is read where a term is zero."""
    return sp.Add(*dict.fromkeys(row_of(f.place) for f in end_fields(kernel))) or sp.Integer(1)
