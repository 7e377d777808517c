"""Questions that the C template asks of a scheduled kernel: buffers and their sizes, the fields of a step."""

from __future__ import annotations

import sympy as sp

from derive.printer import size
from derive.schedule import Field, Kernel, StagePlan, Tile, c_name
from derive.storage import Region


def region_width(region: Region) -> str:
    """Values of one row."""
    return size(region.slots * region.dim) if region.dim is not None else str(region.slots)


def tiles(kernel: Kernel) -> list[tuple[Tile, sp.Symbol | None]]:
    """The panels to pack, each once, with the dimension of their units."""
    found: dict[str, tuple[Tile, sp.Symbol | None]] = {}
    for stage in [*kernel.loop, *kernel.edge]:
        if stage.tile:
            found.setdefault(stage.tile.pack, (stage.tile, stage.dim))
    return list(found.values())


def buffers(kernel: Kernel) -> list[tuple[str, str, str]]:
    """(name, number of values, the same as an upper bound in doubles) of each workspace buffer."""
    found: list[tuple[str, str, str]] = []
    for gemm in kernel.gemms:
        n, k = size(gemm.n), size(gemm.k)
        found.append((gemm.pack, f"round_up({n}, PANEL) * ({k})", f"({n} + PANEL) * ({k})"))
    for tile, dim in tiles(kernel):
        depth, block = size(sum((s.k for s in tile.segments), sp.Integer(0))), f"{tile.vectors} * V"
        found.append(
            (
                tile.pack,
                f"round_up({dim}, {block}) * ({depth}) * {len(tile.slots)}",
                f"({dim} + {block}) * ({depth}) * {len(tile.slots)}",
            )
        )
    for region in kernel.regions:
        width, extra = region_width(region), 1 if region.neighbour else 0
        steps = {"ring": "2", "step": "1", "chunk": f"(steps + {extra})" if extra else "steps"}[region.kind]
        over = {"ring": "2", "step": "1", "chunk": "(T + 1)"}[region.kind]
        found.append((region.name, f"{steps} * B * ({width})", f"{over} * B * ({width})"))
    for name, dim, _ in kernel.totals:
        count = size(dim) if dim is not None else "1"
        found.append((f"total_{c_name(name, 0)}", count, count))
    if has_zeros(kernel):
        found.append(("zeros", f"B * ({zero_width(kernel)})", f"B * ({zero_width(kernel)})"))
    if kernel.reduces:
        counts = [
            f"DEPTH * (round_up({size(r.m)}, ROWS) + round_up({size(r.n)}, PANEL)) + PANEL" for r in kernel.reduces
        ]
        overs = [f"DEPTH * ({size(r.m)} + ROWS + {size(r.n)} + PANEL) + PANEL" for r in kernel.reduces]
        text = counts[0]
        for count in counts[1:]:
            text = f"most({text}, {count})"
        found.append(("scratch", text, " + ".join(overs)))
    return found


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


def needs_ld(item: Field) -> bool:
    """Whether the row stride differs at the first step, where the initial state stands in for the tape."""
    return item.offset < 0 and item.place.kind == "tape" and bool(item.place.initial) and item.place.slots > 1


def uses_tape(kernel: Kernel) -> bool:
    """Whether anything that the kernel touches is saved between forward and backward."""
    return any(p.kind == "tape" for p in kernel.storage.places.values())


def has_zeros(kernel: Kernel) -> bool:
    """Whether a term lives at the last step only, and reads zeros at all others."""
    return any(f.only_end for f in kernel.fields)


def zero_width(kernel: Kernel) -> str:
    """The widest row that is read where a term is zero."""
    dims = list(dict.fromkeys(size(f.place.dim) for f in kernel.fields if f.only_end and f.place.dim is not None))
    return " + ".join(dims) or "1"


def reduce_arrays(kernel: Kernel) -> list[tuple[str, str]]:
    """The gradient arrays that products add to, and their sizes, to be cleared first."""
    found: dict[str, str] = {}
    totals: dict[str, sp.Expr] = {}
    for item in kernel.reduces:
        totals[item.array] = (
            sp.Max(totals.get(item.array, 0), (item.gate * item.rows + item.m) * item.n)
            if item.array not in totals
            else totals[item.array] + item.m * item.n
        )
    for array, count in totals.items():
        found[array] = size(count)
    return list(found.items())


def mentions(stage: StagePlan, dim: str) -> bool:
    """Whether the numbers of a row need a dimension: as a constant in an equation or as a row width."""
    used = {str(s) for e in stage.scalars for s in e.rhs.free_symbols}
    used |= {str(f.place.dim) for f in [*stage.scalar_loads] if f.place.dim is not None}
    return dim in used
