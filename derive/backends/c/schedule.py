"""From a lowered kernel with its storage to the plan that the C template writes down: phases, loops, stages, fields.

contractions.py says how the products are multiplied, kernel.py has the records of which the plan is made.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import sympy as sp
from sympy.tensor.indexed import Indexed

from derive import ir
from derive.backends.c.contractions import Contractions
from derive.backends.c.kernel import Field, Final, Kernel, LoopPlan, PhasePlan, StagePlan
from derive.backends.c.kernel_verifier import verify_kernel
from derive.backends.shared.names import c_name
from derive.backends.shared.orientation import is_along, shift, shift_of, variable
from derive.backends.shared.sizes import size
from derive.backends.shared.values import is_gradient_of_input, only_at_end
from derive.ir import Equation
from derive.passes.lower import Loop, Lowered, Stage
from derive.passes.storage import Place, Region, Storage
from derive.pipeline import Model, Routine


@cache
def plan(made: Model | Routine) -> tuple[Kernel, ...]:
    """The plans of all kernels of a cell or a routine, verified; they are entries `schedule` of its trace."""
    return tuple(
        verify_kernel(made.trace.run_for(k.name, "schedule", schedule, k.name, k.lowered, k.storage, k.mirrored))
        for k in made.kernels
    )


def schedule(name: str, lowered: Lowered, storage: Storage, mirrored: bool = False) -> Kernel:
    """Lowered kernel + storage -> plan."""
    return replace(_Scheduling(name, lowered, storage).run(), mirrored=mirrored)


class _Scheduling:
    def __init__(self, name: str, lowered: Lowered, storage: Storage) -> None:
        self.name, self.lowered, self.storage = name, lowered, storage
        self.program, self.tensors = lowered.program, lowered.program.tensors
        self.fields: dict[str, Field] = {}
        self.contractions = Contractions(self.program, storage)

    def run(self) -> Kernel:
        lowered, places = self.lowered, self.storage.places
        before = [self._plan(f"once{n}", "before", s, self.fields, {}) for n, s in enumerate(lowered.before, 1)]
        after = [self._plan(f"last{n}", "after", s, self.fields, {}) for n, s in enumerate(lowered.after, 1)]
        parts = self._parts()
        loop = [s for part in parts if part.is_loop for s in part.stages]
        edge_fields: dict[str, Field] = {}
        edge = [
            self._plan(f"edge{n}", "edge", stage, edge_fields, self.storage.edge)
            for n, stage in enumerate(lowered.edge, 1)
        ]
        for plan in edge:  # the edge multiplies with the panels of the loop
            twin = next((s.tile for s in loop if s.tile and plan.tile and s.tile.text == plan.tile.text), None)
            if plan.tile and twin:
                plan.tile = replace(plan.tile, pack=twin.pack)
        totals = [(e.target, places[e.target].dim, places[e.target]) for s in lowered.stages for e in s.totals]
        reducing = [p for phase in lowered.phases for p in phase.products if p.kind == "reducing"]
        initials = [
            (p, p.initial) for p in dict.fromkeys(places.values()) if p.kind in ("chunk", "swap") and p.neighbour
        ]
        reduces = self.contractions.reduces(reducing)
        packs = list(dict.fromkeys(p for r in reduces for p in (r.left, r.right)))
        return Kernel(
            self.name,
            self.program,
            lowered.direction,
            list(self.fields.values()),
            list(edge_fields.values()),
            parts,
            edge,
            reduces,
            packs,
            self.storage.regions,
            totals,
            lowered.boundaries,
            self.storage,
            initials,
            self._finals(None),
            self._edge_results(),
            self._over_time(lowered.direction > 0),
            self._over_time(lowered.direction < 0),
            [(e, places[e.target], sp.Mul(*self.tensors[e.target].dims)) for e in lowered.zeros],
            before=before,
            after=after,
        )

    # -- stages --------------------------------------------------------------------------------------------------------

    def _parts(self) -> list[PhasePlan | LoopPlan]:
        """Phases and loops; their stages are numbered on through all loops, and through all phases of one name."""
        found: list[PhasePlan | LoopPlan] = []
        last = max((n for n, part in enumerate(self.lowered.parts) if isinstance(part, Loop)), default=-1)
        count: dict[str, int] = {}
        for number, part in enumerate(self.lowered.parts):
            between = "between" if any(isinstance(p, Loop) for p in self.lowered.parts[:number]) else "before"
            prefix = "stage" if isinstance(part, Loop) else "after" if last >= 0 and number > last else between
            kind = "loop" if isinstance(part, Loop) else "phase"
            plans = []
            for stage in part.stages:
                count[prefix] = count.get(prefix, 0) + 1
                plans.append(self._plan(f"{prefix}{count[prefix]}", kind, stage, self.fields, {}))
            if isinstance(part, Loop):
                found.append(LoopPlan(plans, self._finals(part), self._regions(part)))
            else:
                found.append(PhasePlan(self.contractions.gemms(part.products), plans))
        return found

    def _regions(self, loop: Loop) -> list[Region]:
        made = {self.storage.places[n].region for s in loop.stages for n in s.targets}
        return [r for r in self.storage.regions if r.neighbour and (r.kind == "chunk" or (r.kind, r.name) in made)]

    def _finals(self, loop: Loop | None) -> list[Final]:
        """The final states that a loop makes; None: those that no loop makes."""
        loops = self.lowered.loops if loop is None else [loop]
        made = {n for x in loops for s in x.stages for n in s.targets}
        found = []
        for boundary in self.lowered.boundaries:
            if isinstance(boundary.rhs, Indexed) and ir.time_of(boundary.rhs, self.tensors) == ir.T:
                name = ir.name_of(boundary.rhs)
                if (name in made) == (loop is not None):
                    place = self.storage.places[name]
                    found.append(Final(boundary, name, place, boundary.target, self._initial(name)))
        return found

    def _initial(self, name: str) -> str:
        """The array of the value of a state before its first step; empty for what is no state."""
        found = self.storage.places[name].initial
        return found or (f"{name}_0" if f"{name}_0" in self.tensors else "")

    def _edge_results(self) -> list[tuple[Place, str]]:
        """The gradients of initial states, each with the seed of the final state: a row that never runs hands it through."""
        seeds = {f"d_{name}_0": f"d_{name}_T" for name in self.program.facts.states}
        made = dict.fromkeys(p for p in self.storage.edge.values() if p.kind == "arg")
        return [(place, seeds.get(place.array, "")) for place in made]

    def _over_time(self, wanted: bool) -> list[tuple[str, str]]:
        """The caller's arrays with a value a step that this kernel makes: name and width of a row."""
        if not wanted:
            return []
        made = {n for n in self.program.defined if self.storage.places[n].kind == "arg"}
        places = [self.storage.places[n] for n in self.tensors if n in made]
        return [(p.array, size(p.dim if p.dim is not None else 1)) for p in places if p.timed]

    def _plan(
        self, name: str, part: str, stage: Stage, fields: dict[str, Field], override: dict[str, Place]
    ) -> StagePlan:
        tile = self.contractions.tile(stage, override) if stage.products else None
        plan = StagePlan(name, part, stage.space, tile, stage.scalars, stage.pointwise, stage.sums, stage.totals)
        made = {e.target for e in stage.pointwise} | {p.target for p in stage.products}
        row_totals = stage.totals if stage.dim is None else []
        for equation in [*stage.pointwise, *stage.sums, *(stage.totals if stage.dim is not None else [])]:
            ends = only_at_end(equation.rhs, self.tensors)
            for access in ir.accesses(equation.rhs, self.tensors):
                by = ir.offset(ir.time_of(access, self.tensors)) or 0
                if ir.name_of(access) in made and not by:
                    continue
                self._use(plan, plan.loads, access, equation, access in ends, fields, override)
        scalars_made = {e.target for e in stage.scalars}
        for equation in [*stage.scalars, *row_totals]:
            ends = only_at_end(equation.rhs, self.tensors)
            for access in ir.accesses(equation.rhs, self.tensors):
                by = ir.offset(ir.time_of(access, self.tensors)) or 0
                if ir.name_of(access) not in scalars_made or by:
                    self._use(plan, plan.scalar_loads, access, equation, access in ends, fields, override)
        equations = {e.target: e for e in stage.equations}
        for target in stage.targets:
            location = override.get(target, self.storage.places[target])
            if target in [e.target for e in stage.totals]:
                location = replace(location, kind="total")
            if location.kind not in ("tile", "local"):
                found = self._field(c_name(target, 0), target, 0, location, True, False, fields)
                plan.stores[target] = found
                own = self.tensors[target].at()
                plan.shifts[found.c] = (
                    shift(own, equations[target], self.tensors)
                    if target in equations
                    else (
                        shift_of(
                            ir.unit_indices(own, self.tensors), stage.space, ir.unit_indices(own, self.tensors)[:-1]
                        )
                    )
                )
        return plan

    def _use(
        self,
        plan: StagePlan,
        loads: list[Field],
        access: sp.Expr,
        equation: Equation,
        only_end: bool,
        fields: dict[str, Field],
        override: dict[str, Place],
    ) -> None:
        name, by = ir.name_of(access), ir.offset(ir.time_of(access, self.tensors)) or 0
        at_edge = plan.part == "edge" and not by
        location = override.get(name, self.storage.places[name]) if at_edge else self.storage.places[name]
        c = variable(access, equation, self.tensors, c_name)
        found = self._field(c, name, by, location, False, only_end, fields)
        plan.shifts[found.c] = shift(access, equation, self.tensors)
        if not is_along(access, equation, self.tensors):
            plan.numbers.add(found.c)
        if found.c not in [f.c for f in loads]:
            loads.append(found)

    def _field(
        self, c: str, name: str, by: int, location: Place, written: bool, only_end: bool, fields: dict[str, Field]
    ) -> Field:
        old = fields.get(c)
        written, only_end = written or bool(old and old.written), only_end or bool(old and old.only_end)
        # A backward pass may be asked for the parameters' gradients alone.
        optional = location.kind == "arg" and self.lowered.direction < 0 and is_gradient_of_input(name, self.tensors)
        fields[c] = Field(c, name, by, location, written, only_end, optional)
        return fields[c]
