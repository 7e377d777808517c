"""The verifier of plans: every address that the C forms lies in its buffer, for all steps and all sizes.

The records from which addresses are spelled (addresses.py) say which steps a buffer has room for.  With 1 <= first, 1 <= steps
and first + steps - 1 <= T both

    lowest <= t + offset      and      t + offset <= highest

are linear inequalities, checked at the ends of the range of t.  Rows and weights are checked likewise: slots and blocks
of gates end where their arrays end.  tile_verifier.py follows the calls that fill a tile.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import sympy as sp

from derive.backends.c.addresses import rows
from derive.backends.c.kernel import Field, Gemm, Kernel, Segment, StagePlan, Weight
from derive.backends.c.tile_verifier import verify_tile
from derive.backends.shared.sizes import FIRST, STEPS
from derive.errors import EngineError
from derive.ir import T
from derive.passes.storage import Place

SLACK = {name: sp.Symbol(name, nonnegative=True) for name in ("a", "b", "c")}


@dataclass(frozen=True)
class Use:
    """A read or a write of the rows of a place, `offset` steps from t in low..high; `ids` say for whom."""

    ids: str
    place: Place
    offset: int
    low: sp.Expr
    high: sp.Expr
    width: sp.Expr | None = None  # values of a row, from the slot on
    at_edge: bool = False  # the step t = 0, when the chunk of the first steps is still there


def verify_kernel(kernel: Kernel) -> Kernel:
    """Check the addresses of a plan; return it or raise an EngineError that names kernel, use and inequality."""
    for stage in kernel.stages:
        if stage.tile:
            verify_tile(kernel.program.name, stage.tile)
    for use in _uses(kernel):
        _check_steps(kernel, use)
        _check_row(kernel, use)
    arrays: dict[str, int] = {}
    for place in kernel.storage.places.values():
        if place.kind == "arg":
            arrays[place.array] = max(place.slots, arrays.get(place.array, 1))
    for ids, weight, height in _weights(kernel):
        _check(kernel, ids, weight.gate * weight.rows + height, arrays.get(weight.array, 1) * weight.rows, weight.array)
    for item in kernel.reduces:
        _check(
            kernel,
            ", ".join(item.ids),
            item.gate * item.rows + item.m,
            arrays.get(item.array, 1) * item.rows,
            item.array,
        )
    return kernel


def _check(kernel: Kernel, ids: str, smaller: sp.Expr, larger: sp.Expr, what: str) -> None:
    difference = sp.expand(larger - smaller)
    if any(value < 0 for value in difference.as_coefficients_dict().values()):
        raise EngineError(
            f"{kernel.program.name}: an address is wrong at {ids}: {what} ends at {larger}, not {smaller}"
        )


def _check_steps(kernel: Kernel, use: Use) -> None:
    found = rows(use.place, kernel.direction, kernel.mirrored)
    if found.count is None:
        return
    a, b, c = SLACK.values()
    a = sp.Integer(0) if use.at_edge else a
    sizes = {FIRST: 1 + a, STEPS: 1 + b, T: 1 + a + b + c}
    for name, left, right in (
        ("starts", found.lowest, use.low + use.offset),
        ("ends", use.high + use.offset, found.highest),
    ):
        difference = sp.expand((right - left).subs(sizes, simultaneous=True))
        if any(value < 0 for value in difference.as_coefficients_dict().values()):
            raise EngineError(
                f"{kernel.program.name}: an address is wrong at {use.ids}: {use.place.array} {name} at "
                f"{left if name == 'starts' else right}, and step {right if name == 'starts' else left} of it is read "
                f"or written"
            )


def _check_row(kernel: Kernel, use: Use) -> None:
    place = use.place
    if place.dim is None or place.kind in ("local", "tile", "total") or use.width is None:
        return
    if place.kind != "arg" or place.timed:
        _check(kernel, use.ids, place.slot * place.dim + use.width, place.slots * place.dim, f"a row of {place.array}")


def _uses(kernel: Kernel) -> Iterator[Use]:
    low, high = FIRST, FIRST + STEPS - 1
    for stage in [*kernel.loop_stages, *kernel.phase_stages]:
        yield from _uses_of_stage(stage, low, high)
    for stage in kernel.edge:
        yield from (replace(use, at_edge=True) for use in _uses_of_stage(stage, sp.Integer(0), sp.Integer(0)))
    for gemm in kernel.gemms:
        ids = ", ".join(gemm.ids)
        yield Use(ids, gemm.operand, gemm.offset, _after_initial(gemm.operand, gemm.offset, low), high, gemm.k)
        yield Use(ids, gemm.target, 0, low, high, gemm.n)
    for pack in kernel.packs:
        ids = ", ".join(i for r in kernel.reduces for i in r.ids if pack in (r.left, r.right))
        yield Use(ids, pack.operand, pack.offset, _after_initial(pack.operand, pack.offset, low), high, pack.width)
    for final in kernel.finals:
        yield Use(final.equation.id, final.place, 0, low, high, final.place.dim)


def _uses_of_stage(stage: StagePlan, low: sp.Expr, high: sp.Expr) -> Iterator[Use]:
    fields: list[Field] = [*stage.loads, *stage.scalar_loads, *stage.stores.values()]
    for f in fields:
        if f.only_end:
            yield Use(f.name, f.place, f.offset, T, T, f.place.dim)
        else:
            yield Use(f.name, f.place, f.offset, _after_initial(f.place, f.offset, low), high, f.place.dim)
    if stage.tile:
        ids = ", ".join(stage.tile.ids)
        for s in stage.tile.segments:
            # At the last step the product with what comes from beyond it is left out.
            last = T - 1 if s.offset > 0 and s.operand.kind in ("arg", "tape") else high
            yield Use(ids, s.operand, s.offset, _after_initial(s.operand, s.offset, low), last, s.k)


def _after_initial(place: Place, offset: int, low: sp.Expr) -> sp.Expr:
    """The first step at which the buffer itself is read: at step 1 the initial state stands in for it."""
    return sp.Integer(2) if offset < 0 and place.initial and place.kind in ("arg", "tape") and low == FIRST else low


def _weights(kernel: Kernel) -> Iterator[tuple[str, Weight, sp.Expr]]:
    """The blocks of weights that products read, and how many rows of their array each takes."""
    for gemm in kernel.gemms:
        yield ", ".join(gemm.ids), gemm.weight, _rows(gemm.weight, gemm)
    for stage in kernel.stages:
        for segment in stage.tile.segments if stage.tile else ():
            for weight in segment.weights:
                if weight is not None:
                    rows = weight.rows if weight.transposed else segment.k
                    yield ", ".join(stage.tile.ids if stage.tile else ()), weight, rows


def _rows(weight: Weight, item: Gemm | Segment) -> sp.Expr:
    return item.n if weight.transposed and isinstance(item, Gemm) else item.k
