"""Questions that the C template asks of a scheduled kernel: buffers and their sizes, the fields of a step."""

from __future__ import annotations

import sympy as sp

from derive.backends.c.kernel import Field, Kernel, Run, StagePlan, Tile
from derive.backends.shared.names import c_name
from derive.backends.shared.printer import size
from derive.passes.storage import Region


def region_width(region: Region) -> str:
    """Values of one row."""
    return size(region.slots * region.dim) if region.dim is not None else str(region.slots)


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
    return kernel.direction < 0 and len(tile.slots) == 1


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


def buffers(kernel: Kernel) -> list[tuple[str, str, str]]:
    """(name, number of values, the same as an upper bound in doubles) of each workspace buffer."""
    found: list[tuple[str, str, str]] = [("tag", "8", "8")]  # 8 bytes, in the first of 32 or more
    for gemm in kernel.gemms:
        n, k = size(gemm.n), size(gemm.k)
        found.append((gemm.pack, f"round_up({n}, V) * ({k})", f"({n} + V) * ({k})"))
    for tile, dim in tiles(kernel):
        depth = size(panel_depth(tile))
        found.append((tile.pack, f"round_up({dim}, V) * ({depth})", f"({dim} + V) * ({depth})"))
    for region in kernel.regions:
        width, extra = region_width(region), 1 if region.neighbour else 0
        steps = {"swap": "2", "step": "1", "edge": "1", "chunk": f"(steps + {extra})" if extra else "steps"}[
            region.kind
        ]
        over = {"swap": "2", "step": "1", "edge": "1", "chunk": "(T + 1)"}[region.kind]
        found.append((region.name, f"{steps} * B * ({width})", f"{over} * B * ({width})"))
    for name, dim, _ in kernel.totals:
        count = size(dim) if dim is not None else "1"
        found.append((f"total_{c_name(name, 0)}", f"3 * ({count})", f"3 * ({count})"))  # sums, settled, lost
    if kernel.reduces:
        found.append(("settled", f"(is_long(a) ? 2 * ({reduced(kernel)}) : 0)", f"2 * ({reduced(kernel)})"))
    for item in end_fields(kernel):
        found.append(
            (f"end_{item.c}", f"(a->rows ? B * ({size(item.place.dim)}) : 0)", f"B * ({size(item.place.dim)})")
        )
    if has_zeros(kernel):
        found.append(("zeros", f"B * ({zero_width(kernel)})", f"B * ({zero_width(kernel)})"))
    for pack in kernel.packs:
        width, unit = size(pack.width), "ROWS" if pack.kind == "strips" else "V"
        found.append((pack.name, f"least(DEPTH, steps * B) * round_up({width}, {unit})", f"DEPTH * ({width} + {unit})"))
    for tile, dim in tiles(kernel):
        if tile.hoistable:
            block, slots = f"{tile.vectors} * V" if tile.vectors > 1 else "V", len(tile.slots)
            count = f"steps * B * round_up({dim}, {block}) * {slots}"
            found.append((hoisted(tile), f"(hoists(a) ? {count} : 0)", f"T * B * ({dim} + {block}) * {slots}"))
    return found


def reduced(kernel: Kernel) -> str:
    """Numbers in all results of weight gradients."""
    return size(sum((r.m * r.n for r in kernel.reduces if not r.accumulate), sp.Integer(0)))


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


def end_fields(kernel: Kernel) -> list[Field]:
    """The seeds of final states: where rows end at different steps, a step sees those of the rows that end there."""
    return [f for f in kernel.fields if f.only_end]


def tape_regions(kernel: Kernel) -> list[tuple[str, str]]:
    """Name and width of a row of each region of the tape that a kernel uses, in order."""
    regions: dict[str, str] = {}
    for p in kernel.storage.places.values():
        if p.kind == "tape":
            regions[p.array] = size(p.slots * (p.dim if p.dim is not None else sp.Integer(1)))
    return list(regions.items())


def splittable(kernels: list[tuple[Kernel, object]]) -> bool:
    """Whether threads can share a step by its units: no kernel but the loss has numbers of a row that all units make."""
    return not any(s.sums or s.scalars for k, _ in kernels if k.direction for s in k.stages)


def hoists(kernel: Kernel) -> bool:
    """Whether a tile has products that may be made for many steps at once."""
    return any(s.tile and s.tile.hoistable for s in kernel.loop_stages)


def zero_width(kernel: Kernel) -> str:
    """The widest row that is read where a term is zero."""
    dims = list(dict.fromkeys(size(f.place.dim) for f in kernel.fields if f.only_end and f.place.dim is not None))
    return " + ".join(dims) or "1"


def mentions(stage: StagePlan, dim: str) -> bool:
    """Whether the numbers of a row need a dimension: as a constant in an equation or as a row width."""
    totals = stage.totals if stage.dim is None else []
    used = {str(s) for e in [*stage.scalars, *totals] for s in e.rhs.free_symbols}
    used |= {str(f.place.dim) for f in [*stage.scalar_loads] if f.place.dim is not None}
    return dim in used
