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
from derive.backends.c.kernel import Field, Kernel, StagePlan, Weight
from derive.backends.c.tile_verifier import verify_tile
from derive.backends.shared.orientation import Shift
from derive.backends.shared.sizes import FIRST, STEPS
from derive.errors import EngineError
from derive.ir import Space, T
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
    for ids, weight, k, n, outer in _weights(kernel):
        k_stride, c_stride = (1, weight.columns) if weight.transposed else (weight.columns, 1)
        first = weight.place.slot * weight.count * weight.rows * weight.columns + _reach(weight.shift, outer)
        values = weight.place.slots * weight.count * weight.rows * weight.columns
        _check(kernel, ids, first + (k - 1) * k_stride + (n - 1) * c_stride + 1, values, weight.place.array)
    for item in kernel.reduces:
        whole = item.place.slots * sp.Mul(*item.batch) * item.rows * item.n
        _check(kernel, ", ".join(item.ids), item.start + item.count, whole, item.place.array)
    return kernel


def _reach(shift: Shift, outer: Space) -> sp.Expr:
    """How far something moves in loops over outer dimensions."""
    return sp.Add(*((dim - 1) * values for dim, values in zip(outer, shift, strict=False)))


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
        yield Use(
            ids,
            gemm.operand,
            gemm.offset,
            _after_initial(gemm.operand, gemm.offset, low),
            high,
            gemm.k + _reach(gemm.operand_shift, gemm.batch),
        )
        yield Use(ids, gemm.target, 0, low, high, gemm.n + _reach(gemm.target_shift, gemm.batch))
    for r in kernel.reduces:
        for pack in (r.left, r.right):
            width = pack.width + _reach(pack.shift, r.batch)
            start = _after_initial(pack.operand, pack.offset, low)
            yield Use(", ".join(r.ids), pack.operand, pack.offset, start, high, width)
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
            width = s.k + _reach(s.shift, stage.outer)
            yield Use(ids, s.operand, s.offset, _after_initial(s.operand, s.offset, low), last, width)


def _after_initial(place: Place, offset: int, low: sp.Expr) -> sp.Expr:
    """The first step at which the buffer itself is read: at step 1 the initial state stands in for it."""
    return sp.Integer(2) if offset < 0 and place.initial and place.kind in ("arg", "tape") and low == FIRST else low


def _weights(kernel: Kernel) -> Iterator[tuple[str, Weight, sp.Expr, sp.Expr, Space]]:
    """The blocks of weights that products read: how many values and columns, in loops over which dimensions."""
    for gemm in kernel.gemms:
        yield ", ".join(gemm.ids), gemm.weight, gemm.k, gemm.n, gemm.batch
    for stage in kernel.stages:
        for segment in stage.tile.segments if stage.tile else ():
            for weight in segment.weights:
                if weight is not None and stage.tile is not None and stage.dim is not None:
                    yield ", ".join(stage.tile.ids), weight, segment.k, stage.dim, stage.outer
