"""Products as the machine multiplies them: merged GEMMs, tiles of panels, packed operands of what sums over time.

The four W_q x of an LSTM, whose weights lie one after the other and whose results do too, are one GEMM with N = 4H; the
four U_q^T d_z_q are one with K = 4H.  Recurrent products become panels: for a block of units, the columns of all gates
side by side, so that the pointwise stage finds every gate of its units in one tile.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import sympy as sp

from derive import ir
from derive.backends.c.kernel import Gemm, Pack, Reduce, Run, Segment, Tile, Weight
from derive.backends.c.target import TARGET
from derive.backends.shared.orientation import Shift, shift_of
from derive.errors import DeriveError
from derive.ir import Program
from derive.passes.lower import Pair, Product, Stage
from derive.passes.storage import Place, Storage

SIDE = {"strips": "left", "panels": "right"}


class Contractions:
    """The products of one kernel; panels and packs are numbered in the order in which they are asked for."""

    def __init__(self, program: Program, storage: Storage) -> None:
        self.program, self.tensors, self.storage = program, program.tensors, storage
        self.tiles = 0
        self.packs: dict[str, int] = {}

    def _weight(self, pair: Pair, outer: Sequence[sp.Expr] = ()) -> Weight:
        """The block of the array behind an access W_q[a, b], seen as [k][column of the target]; `outer`: loops around it."""
        tensor, shape = self.tensors[ir.name_of(pair.weight)], pair.shape
        dims = ir.dims_of(pair.weight, self.tensors)
        batch, rows, inner = (sp.Mul(*(dims[i] for i in part)) for part in (shape.batch, shape.rows, shape.inner))
        first, second = (inner, rows) if shape.transposed else (rows, inner)
        own = shift_of(pair.weight.indices, tensor.dims, outer)
        return Weight(self.storage.places[tensor.name], first, second, not shape.transposed, batch, own)

    def _operand_shift(self, access: sp.Expr, outer: Sequence[sp.Expr]) -> Shift:
        tensor = self.tensors[ir.name_of(access)]
        return shift_of(ir.unit_indices(access, self.tensors), ir.units(tensor), outer)

    def gemms(self, products: list[Product]) -> list[Gemm]:
        found: list[Gemm] = []
        for product in products:
            if product.kind != "parallel":
                continue
            for number, pair in enumerate(product.pairs):
                found.append(self._gemm(product, pair, number > 0))
        merged: list[Gemm] = []
        for item in found:
            last = merged[-1] if merged else None
            joined = _join(last, item) if last else None
            if joined is not None:
                merged[-1] = joined
            else:
                merged.append(item)
        return [replace(g, pack=self._pack_name(g.pack)) for g in merged]

    def _pack_name(self, name: str) -> str:
        """Several products may use one array, each with panels of its own."""
        self.packs[name] = self.packs.get(name, 0) + 1
        return name if self.packs[name] == 1 else f"{name}_{self.packs[name]}"

    def _gemm(self, product: Product, pair: Pair, accumulate: bool) -> Gemm:
        target = self.tensors[product.target]
        batch = pair.shape.batch
        weight = self._weight(pair, batch)
        operand = self.storage.places[ir.name_of(pair.operand)]
        by = ir.offset(ir.time_of(pair.operand, self.tensors)) or 0
        if operand.kind in ("arg", "tape") and (by > 0 or (by < 0 and not operand.initial)):
            raise DeriveError(
                f"{self.program.name}, {product.ids[-1]}: the time-parallel product of {pair.operand} reads another "
                f"step; assign it to a tensor first"
            )
        location = self.storage.places[product.target]
        n = weight.rows if weight.transposed else weight.columns
        k = weight.columns if weight.transposed else weight.rows
        primal = self.tensors.get(target.primal)
        wanted = target.role == "gradient" and primal is not None and primal.role == "input"
        optional = location.array if location.kind == "arg" and wanted else ""
        return Gemm(
            product.ids,
            f"{product.target} = {pair.weight.base}*{ir.name_of(pair.operand)}",
            operand,
            by,
            location,
            weight,
            n,
            k,
            accumulate,
            optional,
            f"{weight.place.array}_{'rows' if weight.transposed else 'columns'}",
            tuple(ir.dims_of(pair.weight, self.tensors)[i] for i in batch),
            self._operand_shift(pair.operand, batch),
            self._operand_shift(target.at(), batch),
        )

    def tile(self, stage: Stage, edge: Mapping[str, Place]) -> Tile:
        """The tile of a stage; `edge` are the places of what the step t = 0 makes, where the stage belongs to it."""
        products = sorted(stage.products, key=_knowledge)
        slots = tuple(p.target for p in products)
        vectors = max(1, TARGET.tile_vectors // len(slots))
        segments: list[Segment] = []
        for number, product in enumerate(products):
            outer = ir.unit_indices(self.tensors[product.target].at(), self.tensors)[:-1]
            for pair in product.pairs:
                weight = self._weight(pair, outer)
                name, by = ir.name_of(pair.operand), ir.offset(ir.time_of(pair.operand, self.tensors)) or 0
                operand = self.storage.places[name] if by else edge.get(name, self.storage.places[name])
                k = weight.columns if weight.transposed else weight.rows
                moved = self._operand_shift(pair.operand, outer)
                new = Segment(operand, by, k, _one(weight, number, len(slots)), pair.hoistable, moved)
                segments = _add_segment(segments, new, number)
        segments.sort(key=lambda s: not s.hoistable)
        if any(None in s.weights for s in segments):
            vectors = 1
        runs, clear, copy = _runs(segments, len(slots), vectors)
        text = "; ".join(
            f"{p.target} = " + " + ".join(f"{q.weight.base}*{q.operand.base}" for q in p.pairs) for p in products
        )
        self.tiles += 1
        ids = tuple(dict.fromkeys(i for p in products for i in p.ids))
        return Tile(f"panels_{self.tiles}", ids, slots, vectors, tuple(segments), runs, clear, copy, text, stage.outer)

    def reduces(self, products: list[Product]) -> list[Reduce]:
        """One item a parameter array and operand; operands that several need are packed once."""
        found: list[Reduce] = []
        for product in products:
            location = self.storage.places[product.target]
            dims = ir.dims_of(self.tensors[product.target].at(), self.tensors)
            for pair in product.pairs:
                shape = pair.shape
                batch = tuple(dims[i] for i in shape.batch)
                left, right = (
                    Pack(
                        "",
                        kind,
                        self.storage.places[ir.name_of(a)],
                        ir.offset(ir.time_of(a, self.tensors)) or 0,
                        sp.Mul(*(dims[i] for i in own)),
                        self._operand_shift(a, shape.batch),
                    )
                    for kind, a, own in (
                        ("strips", pair.weight, shape.rows),
                        ("panels", pair.operand, shape.inner),
                    )
                )
                text = f"{product.target} = {ir.name_of(pair.weight)} {ir.name_of(pair.operand)}^T"
                item = Reduce(product.ids, text, location, left, right, left.width, batch=batch)
                last = found[-1] if found else None
                if last is not None and _stacked_on(last, item):
                    together = replace(last.left, width=last.m + item.m)
                    found[-1] = replace(
                        last, ids=(*last.ids, *item.ids), left=together, text=f"{last.text}, {item.text}"
                    )
                else:
                    found.append(item)
        names: dict[Pack, str] = {}
        for item in found:
            for pack in (item.left, item.right):
                names.setdefault(pack, f"{SIDE[pack.kind]}_{len([p for p in names if p.kind == pack.kind]) + 1}")
        named = [
            replace(r, left=replace(r.left, name=names[r.left]), right=replace(r.right, name=names[r.right]))
            for r in found
        ]
        return [
            replace(
                r, accumulate=any((e.place.array, e.place.slot) == (r.place.array, r.place.slot) for e in named[:k])
            )
            for k, r in enumerate(named)
        ]


def _knowledge(product: Product) -> int:
    """Slots with known products alone, with both, with carried ones alone: each kind of segment meets neighbours."""
    known = [p.hoistable for p in product.pairs]
    return 0 if all(known) else 1 if any(known) else 2


def _one(weight: Weight, slot: int, slots: int) -> tuple[Weight | None, ...]:
    return tuple(weight if s == slot else None for s in range(slots))


def _runs(
    segments: list[Segment], slots: int, vectors: int
) -> tuple[tuple[Run, ...], tuple[tuple[int, int], ...], tuple[tuple[int, int], ...]]:
    """Calls of the micro-kernel, in order, with the columns to clear before and those that only known products write.

    A call starts all of its columns alike: where those of a segment differ, it becomes several calls.  Columns are cleared
    together with the known products, wherever these are taken; so a column may be cleared for its neighbours that known
    products begin, and for no others.
    """
    runs: list[Run] = []
    written: dict[int, bool] = {}  # column: by a known product only
    clear: list[int] = []

    def start(slot: int, known: bool) -> str:
        if slot not in written:
            return "zero"
        return "known" if written[slot] and not known else "tile"

    for number, segment in enumerate(segments):
        begun = "tile" if segment.hoistable else "known"
        found = []
        for first, count in _together([s for s in range(slots) if segment.weights[s] is not None]):
            starts = {slot: start(slot, segment.hoistable) for slot in range(first, first + count)}
            if begun in starts.values():
                clear += [slot for slot, how in starts.items() if how == "zero"]
                starts = {slot: begun if how == "zero" else how for slot, how in starts.items()}
            for how in dict.fromkeys(starts.values()):
                own = [slot for slot in starts if starts[slot] == how]
                found += [(*stretch, how) for stretch in _stretches(own, vectors)]
        for column, width, how in sorted(found):
            runs.append(Run(number, column, width, how, segment.offset > 0))
            written |= dict.fromkeys(range(column, column + width), segment.hoistable)
    copy = [c for c in sorted(written) if written[c]]
    return tuple(runs), tuple(_together(clear)), tuple(_together(copy))


def _stretches(slots: list[int], vectors: int) -> list[tuple[int, int]]:
    """Neighbouring slots as (first column, columns), cut to what a micro-kernel takes."""
    if vectors > 1:  # all slots, and a block may be narrower at the end
        return [(0, len(slots) * vectors)]
    found = []
    for column, width in _together(slots):
        parts = -(-width // TARGET.tile_vectors)
        bounds = [width * p // parts for p in range(parts + 1)]
        found += [(column + bounds[p], bounds[p + 1] - bounds[p]) for p in range(parts)]
    return found


def _together(columns: list[int]) -> list[tuple[int, int]]:
    """Sorted numbers as (first, count) of neighbours."""
    found: list[tuple[int, int]] = []
    for c in sorted(columns):
        if found and sum(found[-1]) == c:
            found[-1] = (found[-1][0], found[-1][1] + 1)
        else:
            found.append((c, 1))
    return found


def _stacked_on(last: Reduce, item: Reduce) -> bool:
    """Whether two gradients lie one above the other, and their deltas side by side."""
    a, b = last.left, item.left
    return (
        not (last.batch or item.batch)
        and last.place.kind == "arg"
        and last.place.array == item.place.array
        and last.right == item.right
        and a.offset == b.offset
        and item.place.slot == last.place.slot + last.m / last.rows
        and _next_to(a.operand, b.operand, last.m / last.rows)
    )


def _next_to(first: Place, second: Place, count: sp.Expr) -> bool:
    return first.region == second.region and first.array == second.array and second.slot == first.slot + count


def _join(a: Gemm, b: Gemm) -> Gemm | None:
    """Two products as one: side by side in N (same operand), or one after the other in K (same target)."""
    if a.batch or b.batch or a.weight.place.kind != "arg":
        return None
    if (
        a.weight.place.array != b.weight.place.array
        or a.weight.transposed != b.weight.transposed
        or a.offset != b.offset
    ):
        return None
    many = (a.n / a.weight.rows) if a.weight.transposed else (a.k / a.weight.rows)
    if b.weight.place.slot != a.weight.place.slot + many:
        return None
    ids = (*a.ids, *(i for i in b.ids if i not in a.ids))
    text = f"{a.text}, {b.text}"
    if (
        a.weight.transposed
        and a.operand == b.operand
        and _next_to(a.target, b.target, many)
        and a.accumulate == b.accumulate
    ):
        return replace(a, ids=ids, n=a.n + b.n, text=text)
    if not a.weight.transposed and a.target == b.target and b.accumulate and _next_to(a.operand, b.operand, many):
        return replace(a, ids=ids, k=a.k + b.k, text=text)
    return None


def _add_segment(segments: list[Segment], new: Segment, slot: int) -> list[Segment]:
    """Put a pair into the segment of its operand, or after the segment that it continues."""
    weight = new.weights[slot]
    for p, old in enumerate(segments):
        same = (old.operand, old.offset, old.hoistable, old.shift) == (
            new.operand,
            new.offset,
            new.hoistable,
            new.shift,
        )
        if same and old.k == new.k and old.weights[slot] is None:
            return [
                *segments[:p],
                replace(old, weights=(*old.weights[:slot], weight, *old.weights[slot + 1 :])),
                *segments[p + 1 :],
            ]
        first = old.weights[slot]
        if (
            first is not None
            and weight is not None
            and len(new.weights) == 1
            and not weight.transposed
            and not new.shift
            and weight.place.kind == "arg"
            and first.place.array == weight.place.array
            and (old.offset, old.hoistable) == (new.offset, new.hoistable)
        ):
            many = old.k / first.rows
            if weight.place.slot == first.place.slot + many and _next_to(old.operand, new.operand, many):
                return [*segments[:p], replace(old, k=old.k + new.k), *segments[p + 1 :]]
    return [*segments, new]
