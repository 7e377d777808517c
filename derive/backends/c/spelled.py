"""A plan as its template sees it: every line of C that depends on the plan as a record of a kind, for which there is a macro.

Addresses and sizes are settled here (addresses.py, sizes.py), so that templates/c/kernel.c.j2 asks for kinds and not for causes.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property

import sympy as sp

from derive import ir
from derive.backends.c import layout
from derive.backends.c.acts import (
    Act,
    Clear,
    CopyRows,
    Gradient,
    Gradients,
    Move,
    PackRows,
    StageCall,
    TimeLoop,
    Total,
    Zeros,
)
from derive.backends.c.addresses import located, neighbour, pointer, rows, steps, stride, varies
from derive.backends.c.kernel import (
    Field,
    Final,
    Kernel,
    LoopPlan,
    PhasePlan,
    Reduce,
    StagePlan,
    along,
    group,
    groups,
)
from derive.backends.c.products import PackTile, Panels, Products
from derive.backends.c.stages import Function, Stages, has_row_sums, is_partial, scalars
from derive.backends.shared.names import c_name
from derive.backends.shared.sizes import STEPS
from derive.ir import B, T, t
from derive.passes.storage import Region

BEFORE, AFTER, LIVE, ROW0 = sp.symbols("before after live row0", integer=True)  # rows of a step
CHUNK = sp.Symbol("chunk_steps(T, B)", integer=True, positive=True)  # steps of a full chunk
ENDED = sp.Symbol("rows_at(a, 1)", integer=True)  # rows that run at all


class KernelText:
    """One kernel for templates/c/kernel.c.j2."""

    def __init__(self, kernel: Kernel) -> None:
        self.kernel, self.name, self.backwards = kernel, kernel.name, kernel.direction < 0
        self.mirrored, self.repeated, self.cleared = kernel.mirrored, kernel.repeated, kernel.cleared
        # Whether a chunk before this one has added to weight gradients; what is packed before the first chunk.
        self.begun = "first + steps <= T" if self.backwards else "first > 1"
        self.packed_now = "1, 1" if self.backwards else "!late, !single"
        self.products, self._stages = Products(kernel), Stages(kernel)

    # -- what stands before the function -------------------------------------------------------------------------------

    @property
    def members(self) -> list[str]:
        """The pointers to the rows of a step, each with the stride of its rows where that differs from step to step."""
        found = []
        for f in layout.all_fields(self.kernel):
            found.append(f"{'' if f.written else 'const '}real *{f.c}")
            found += [f"size_t {f.c}_ld"] * varies(f, self.products.rows(f.place))
        return found

    @property
    def functions(self) -> list[Function]:
        """The functions of all stages."""
        return [f for stage in self.kernel.stages for f in self._stages.functions(stage)]

    @property
    def packing(self) -> list[Panels | PackTile]:
        """What is packed before the first chunk."""
        return self.products.packing()

    @cached_property
    def buffers(self) -> list[layout.Buffer]:
        """The parts of the workspace."""
        return layout.buffers(self.kernel)

    @property
    def flags(self) -> list[str]:
        """What the function asks of its call."""
        tiles = bool(layout.tiles(self.kernel))
        found = [("few", tiles), ("late", tiles and not self.backwards), ("single", tiles and not self.backwards)]
        return [name for name, wanted in (*found, ("hoist", layout.hoists(self.kernel))) if wanted]

    @property
    def tape(self) -> list[tuple[str, sp.Expr]]:
        """The regions of the tape that a kernel uses, each with its start."""
        widths = layout.tape_widths(self.kernel.storage.places.values())
        return [(name, T * B * sp.Add(*list(widths.values())[:n])) for n, name in enumerate(widths)]

    # -- before the first chunk ----------------------------------------------------------------------------------------

    @property
    def setup(self) -> list[Clear | CopyRows]:
        """What the first thread does before the first chunk."""
        kernel, guard = self.kernel, "if (!a->accumulate) " if self.backwards else ""
        found: list[Clear | CopyRows] = []
        if layout.has_zeros(kernel):
            found.append(Clear("w.zeros", B * layout.zero_width(kernel)))
        for total in self.totals:
            kept = guard if total.is_result else ""
            found += [Clear(total.array, total.n, kept), Clear(f"w.{total.buffer}", 3 * total.n)]
        if kernel.reduces:
            found.append(Clear("w.settled", 2 * layout.reduced(kernel), "if (is_long(a)) "))
        for equation, place, count in kernel.zeros:
            at = located(f"a->{place.array}", place.slot * count)
            found.append(Clear(at, count, guard, f"{equation.id}: nothing depends on it"))
        return [*found, *self._before_the_first_step()]

    def _before_the_first_step(self) -> Iterator[Clear | CopyRows]:
        why = "what is before the first step: initial states, and zero for all else"
        for region in self._neighbours():
            own = neighbour(region, self.kernel.direction)
            steps_held = {"swap": 2 * B, "chunk": B}[region.kind]
            start = CHUNK * own.step if region.kind == "chunk" and self.backwards else sp.Integer(0)
            yield Clear(located(own.base, start), steps_held * own.ld, why=why)
        for place, initial in self.kernel.initials:
            if initial:
                own = rows(place, self.kernel.direction)
                width = place.dim if place.dim is not None else sp.Integer(1)
                yield CopyRows(located(own.base, own.inner), own.ld, f"a->{initial}", width, B, width)

    def _neighbours(self) -> list[Region]:
        return [r for r in self.kernel.regions if r.neighbour]

    # -- chunks --------------------------------------------------------------------------------------------------------

    @property
    def chunk(self) -> list[Act]:
        """What is done for each chunk: hoisted and large products, loops over its steps."""
        found = []
        for part in self.kernel.parts:
            if isinstance(part, LoopPlan):
                found += [Act("hoist", self.products.hoisted(s)) for s in part.hoistable]
            else:
                found += [Act("gemm", self.products.gemm(g)) for g in part.gemms]
                found += [Act("wait")] * bool(part.gemms)
            if part.stages:
                found.append(Act("time_loop", self._time_loop(part)))
        return found

    def _time_loop(self, part: LoopPlan | PhasePlan) -> TimeLoop:
        fields = layout.fields_of(self.kernel, part.stages)
        finals = self._finals(part.finals) if isinstance(part, LoopPlan) else []
        calls = [self._calls(s, t) for s in part.stages]
        return TimeLoop(list(self._begun(part, fields)), list(self._pointers(fields, t)), calls, finals)

    def _begun(self, part: LoopPlan | PhasePlan, fields: list[Field]) -> Iterator[Clear | CopyRows]:
        """Backwards in time nothing comes from beyond the last step of a row, and its final states have seeds."""
        for region in part.regions if isinstance(part, LoopPlan) and self.backwards else ():
            own = neighbour(region, self.kernel.direction)
            at = located(own.base, own.since.subs(t, t + 1) * own.step + BEFORE * own.ld)
            yield Clear(at, (LIVE - BEFORE) * own.ld, "if (before < live) ")
        for f in fields:
            if f.only_end:
                own, end = self.products.rows(f.place), f"w.end_{f.c}"
                yield CopyRows(end, own.ld, "NULL", sp.Integer(0), BEFORE, own.ld)
                source = located(own.base, BEFORE * own.ld)
                yield CopyRows(located(end, BEFORE * own.ld), own.ld, source, own.ld, LIVE - BEFORE, own.ld)

    def _pointers(self, fields: list[Field], when: sp.Expr) -> Iterator[tuple[str, str]]:
        for f in fields:
            own = self.products.rows(f.place)
            yield f.c, pointer(f, own, when)
            if varies(f, own):
                yield f"{f.c}_ld", own.read(when, f.offset)[1]

    def _calls(self, stage: StagePlan, when: sp.Expr) -> StageCall:
        """What a stage does in a step."""
        name, tensors = f"{self.name}_{stage.name}", self.kernel.program.tensors
        before, found = [], []
        for e in stage.sums:
            if stage.tile or is_partial(e, stage, tensors):
                own = stage.stores[e.target]
                width = ir.width(tensors[e.target]) or sp.Integer(1)
                ld = stride(own, self.products.rows(own.place))
                before.append(Act("zero_rows", Zeros(f"at.{own.c}", ld, width)))
        if scalars(stage):
            before.append(Act("call_rows", f"{name}_rows"))
        if stage.tile:
            found.append(Act("tile_loop", self.products.stage(stage, when)))
        elif has_row_sums(stage, tensors):
            found.append(Act("call_rows", name))
        elif stage.pointwise or stage.sums or (stage.totals and stage.dim is not None):
            found.append(Act("units_loop", stage))
        loops = [(str(variable), str(dim)) for variable, dim in groups(stage.outer)]
        return StageCall("grouped" if loops else "flat", before, found, loops, self._shifts(stage))

    def _shifts(self, stage: StagePlan) -> list[tuple[str, sp.Expr, str]]:
        """How the pointers of a step move with the units of outer dimensions; the array of an optional one may be missing."""
        optional = {f.c for f in layout.all_fields(self.kernel) if f.optional}
        moved = [(c, along(shift)) for c, shift in stage.shifts.items()]
        return [(c, by, f"if (at.{c}) " if c in optional else "") for c, by in moved if by != 0]

    def _finals(self, finals: list[Final]) -> list[CopyRows]:
        return [self._final(f) for f in finals]

    def _final(self, f: Final) -> CopyRows:
        """The final states of the rows whose last step this is."""
        own = self.products.rows(f.place)
        width = f.place.dim if f.place.dim is not None else sp.Integer(1)
        to = located(f"a->{f.array}", AFTER * width)
        return CopyRows(to, width, own.at(t, AFTER), own.ld, LIVE - AFTER, width, f.equation.id)

    @property
    def late_finals(self) -> list[CopyRows]:
        """Final states that no loop makes, copied when all steps of a chunk are done."""
        return self._finals(self.kernel.late_finals)

    @property
    def moves(self) -> list[Move]:
        """What the next chunk sees of this one."""
        found = []
        for region in self._neighbours():
            if region.kind == "chunk":
                own = neighbour(region, self.kernel.direction)
                far = sp.Symbol("least(chunk_steps(T, B), first - 1)", integer=True) if self.backwards else STEPS
                ends = located(own.base, far * own.step), own.base
                to, source = ends if self.backwards else ends[::-1]
                found.append(Move(f"team.rank == 0{' && first > 1' if self.backwards else ''}", to, source, own.step))
        return found

    # -- weight gradients and sums over all steps ----------------------------------------------------------------------

    @property
    def gradients(self) -> list[Gradients]:
        """The weight gradients of a chunk: those of whole matrices, and those of batches of them."""
        call, found = {"strips": "pack_strips", "panels": "pack_rows"}, []
        for batch in dict.fromkeys(r.batch for r in self.kernel.reduces):
            own = [r for r in self.kernel.reduces if r.batch == batch]
            packs = dict.fromkeys(p for r in own for p in (r.left, r.right))
            packed = [PackRows(p, call[p.kind], steps(self.products.rows(p.operand, p.shift), p.offset)) for p in packs]
            loops = [(str(variable), str(dim)) for variable, dim in groups(batch)]
            found.append(Gradients(loops, packed, [self._gradient(r) for r in own]))
        return found

    def _gradient(self, r: Reduce) -> Gradient:
        at, part = r.start, r.start + group(r.batch) * r.m * r.n
        base = rows(r.place, 1).base
        begins = "add" if r.place.kind == "arg" else f"({self.begun} || row0 > 0)"
        return Gradient(r, located(base, at), located(base, part), "1" if r.accumulate else begins)

    @property
    def settled(self) -> list[tuple[Gradient, sp.Expr]]:
        """The weight gradients that are settled, each with where it begins among all of them."""
        found = [g for own in self.gradients for g in own.gradients if not g.reduce.accumulate]
        return [(g, sp.Add(*(f.count for f in found[:n]))) for n, g in enumerate(found)]

    @property
    def settled_numbers(self) -> sp.Expr:
        """Numbers in all of them."""
        return layout.reduced(self.kernel)

    @property
    def totals(self) -> list[Total]:
        """The sums over steps and rows."""
        found = []
        for name, dim, place in self.kernel.totals:
            n = dim if dim is not None else sp.Integer(1)
            at = located(rows(place, 1).base, place.slot * n)
            found.append(Total(at, f"total_{c_name(name, 0)}", n, dim is not None, place.kind == "arg"))
        return found

    # -- after the last chunk ------------------------------------------------------------------------------------------

    @property
    def once(self) -> TimeLoop:
        """What is made of parameters alone."""
        return self._once(self.kernel.before)

    @property
    def last(self) -> TimeLoop:
        """What is made of sums over all steps."""
        return self._once(self.kernel.after)

    def _once(self, stages: list[StagePlan]) -> TimeLoop:
        # A total is read where it is whole, and not where it is added up.
        fields = {f.c: f for s in stages for f in (*s.loads, *s.scalar_loads, *s.stores.values())}
        pointers = list(self._pointers(list(fields.values()), sp.Integer(0)))
        return TimeLoop([], pointers, [self._calls(s, sp.Integer(0)) for s in stages], [])

    @property
    def edge_pointers(self) -> list[tuple[str, str]]:
        """What the step t = 0 points to."""
        return list(self._pointers(self.kernel.edge_fields, sp.Integer(0)))

    @property
    def edge(self) -> list[StageCall]:
        """What the step t = 0 does."""
        return [self._calls(s, sp.Integer(0)) for s in self.kernel.edge]

    @property
    def not_run(self) -> list[CopyRows]:
        """The gradients of the initial states of rows that do not run at all: the seeds of their final states."""
        found = []
        for place, seed in self.kernel.edge_results:
            if seed:
                width = place.dim if place.dim is not None else sp.Integer(1)
                ends = (located(f"a->{name}", LIVE * width) for name in (place.array, seed))
                found.append(CopyRows(next(ends), width, next(ends), width, B - LIVE, width))
        return found

    @property
    def kept(self) -> list[CopyRows]:
        """The final states of rows that do not run at all: their initial states."""
        found = []
        for f in self.kernel.finals:
            if f.initial:
                width = f.place.dim if f.place.dim is not None else sp.Integer(1)
                ends = (located(f"a->{name}", ENDED * width) for name in (f.array, f.initial))
                found.append(CopyRows(next(ends), width, next(ends), width, B - ENDED, width))
        return found
