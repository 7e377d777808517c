"""The verifier of storage: every value is where its readers look for it, and no two values share a place.

    locations     what a kernel makes or reads has a place; a register or a tile is read by the stage that fills it alone,
              a value of one step by that step alone, one of two steps by the loop alone
    apart     values that lie side by side have slots of their own, and rows of one length
    ends      what is read a step before the first is an initial state, or zeros that are laid there; nothing but zeros
              that are laid there is read a step after the last

kernel_verifier.py checks the addresses that follow.
"""

from __future__ import annotations

from collections.abc import Iterator

import sympy as sp

from derive import ir
from derive.errors import EngineError
from derive.passes.lower import Lowered, Phase, Stage
from derive.passes.results import is_optional
from derive.passes.storage import Place, Storage

Where = tuple[str, int]  # part, such as "phase 1", "loop 2", "edge"; stage in it


def verify_storage(lowered: Lowered, storage: Storage) -> Storage:
    """Check the storage of a kernel; return it or raise an EngineError that names kernel, tensor and place."""
    _Verifier(lowered, storage).run()
    return storage


class _Verifier:
    def __init__(self, lowered: Lowered, storage: Storage) -> None:
        self.lowered, self.storage, self.program = lowered, storage, lowered.program
        self.tensors = self.program.tensors
        self.made: dict[str, Where] = {}
        self.at_edge: dict[str, Where] = {}

    def fail(self, name: str, words: str) -> EngineError:
        return EngineError(f"{self.program.name}: the storage of {name} is wrong: {words}")

    def run(self) -> None:
        self._apart()
        for where, stage in _stages(self.lowered):
            for name in [*(p.target for p in stage.products), *(e.target for e in stage.equations)]:
                (self.at_edge if where[0] == "edge" else self.made)[name] = where
                self._place(name)
                if where[0] == "edge" and name not in self.storage.edge:
                    raise self.fail(name, "it is made at t = 0, where its buffer has no room")
        for where, name, access, whole in self._reads():
            if self.tensors[name].role != "param" or self.tensors[name].time is not None:
                self._location(where, name, ir.offset(ir.time_of(access, self.tensors)) or 0, whole)
        for boundary in self.lowered.boundaries:
            name = ir.name_of(boundary.rhs)
            if name in self.made and boundary.rhs.has(ir.T):
                self._location(("ends", 0), name, 0, True)

    def _place(self, name: str) -> Place:
        place = self.storage.places.get(name)
        if place is None:
            raise self.fail(name, "it has no place")
        return place

    def _reads(self) -> Iterator[tuple[Where, str, sp.Expr, bool]]:
        """Every read: where, of what, and whether a product reads whole rows of it."""
        for where, stage in _stages(self.lowered):
            for equation in stage.equations:
                for access in ir.accesses(equation.rhs, self.tensors):
                    yield where, ir.name_of(access), access, False
            for product in stage.products:
                for pair in product.pairs:
                    for access in ir.accesses(pair.weight * pair.operand, self.tensors):
                        yield where, ir.name_of(access), access, True

    # -- locations ---------------------------------------------------------------------------------------------------------

    def _location(self, where: Where, name: str, by: int, whole: bool) -> None:
        part = where[0]
        at_edge = part == "edge" and not by and self.tensors[name].time is not None
        place = self.storage.edge.get(name) if at_edge else None
        place = place or self._place(name)
        made = self.at_edge.get(name) if at_edge else self.made.get(name)
        if made is None:  # of the caller, or of another kernel
            if place.kind not in ("arg", "tape"):
                raise self.fail(name, f"nothing makes it in this kernel, and it is looked for in a {place.kind} buffer")
        elif place.kind in ("local", "tile"):
            if where != made or by or whole:
                raise self.fail(name, f"it stays in a {place.kind} of {_said(made)}, and {_said(where)} reads it")
        elif place.kind == "arg" and is_optional(name, self.program) and where != made:
            raise self.fail(name, f"{_said(where)} reads it, and the caller may leave it out")
        elif place.kind in ("step", "edge"):
            if by or part not in (made[0], "ends") or made[0].startswith("phase"):
                raise self.fail(name, f"a buffer of one step is read in {_said(where)}, {by:+d} steps away")
        elif place.kind == "swap":
            if part.startswith("phase") or made[0].startswith("phase"):
                raise self.fail(name, f"a buffer of two steps is read in {_said(where)}")
        if place.kind == "chunk" and by and not place.neighbour:
            raise self.fail(name, f"{_said(where)} reads another step, and its buffer has room for none")
        if by and part != "edge":
            self._end(where, name, place, by)

    def _end(self, where: Where, name: str, place: Place, by: int) -> None:
        """A read of the neighbouring step: what stands there at the end of time?"""
        kept = place.kind in ("chunk", "swap")  # where zeros are laid before the first step of the loop
        if by * (self.lowered.direction or 1) < 0 and kept and self.lowered.direction < 0:
            return
        if by == -1 and place.initial:
            return
        end = "before the first step" if by < 0 else "after the last step"
        raise self.fail(name, f"{_said(where)} reads it {end}, where a {place.kind} buffer has nothing")

    # -- apart ---------------------------------------------------------------------------------------------------------

    def _apart(self) -> None:
        taken: dict[tuple[str, str, int], str] = {}
        rows: dict[tuple[str, str], tuple[str, Place]] = {}
        for name, place in (*self.storage.places.items(), *self.storage.edge.items()):
            if place.kind in ("local", "tile", "total") or name not in self.tensors:
                continue
            if place.dim != ir.width(self.tensors[name]):
                raise self.fail(name, f"it has units of {ir.width(self.tensors[name])}, its place of {place.dim}")
            if not 0 <= place.slot < place.slots:
                raise self.fail(name, f"slot {place.slot} of {place.slots}")
            other = taken.setdefault((place.kind, place.array, place.slot), name)
            if place == self.storage.edge.get(name) and place.kind == "arg":
                continue  # the gradient of an initial state: the argument has a name of its own as well
            if other != name:
                raise self.fail(name, f"{other} has the same place, slot {place.slot} of {place.array}")
            first, old = rows.setdefault((place.kind, place.array), (name, place))
            if (place.slots, place.dim, place.timed) != (old.slots, old.dim, old.timed):
                raise self.fail(name, f"its rows in {place.array} have another length than those of {first}")
            matrix, before = self.tensors[name], self.tensors[first]
            if place.kind == "arg" and matrix.dims != before.dims:
                raise self.fail(name, f"it is stacked on {first} in {place.array}, and has another shape")
        for region in self.storage.regions:
            inside = [p for p in self.storage.places.values() if p.region == (region.kind, region.name)]
            if any(p.slots != region.slots or (p.neighbour and not region.neighbour) for p in inside):
                raise self.fail(region.name, f"the buffer has {region.slots} slots, and its values ask for more")


def _stages(lowered: Lowered) -> Iterator[tuple[Where, Stage]]:
    """All stages; the products of a phase as a stage of their own, numbered apart from those that follow it."""
    for name, stages in (("before", lowered.before), ("after", lowered.after)):
        yield from (((name, number), stage) for number, stage in enumerate(stages))
    for place, part in enumerate(lowered.parts, 1):
        what, stages = f"loop {place}", list(part.stages)
        if isinstance(part, Phase):
            # Products that sum over time read whole rows, and make no value of a step.
            what, stages = f"phase {place}", [Stage((), products=part.products), *stages]
        for number, stage in enumerate(stages):
            yield (what, number), stage
    for number, stage in enumerate(lowered.edge):
        yield ("edge", number), stage


def _said(where: Where) -> str:
    return "the copy of final states" if where[0] == "ends" else f"{where[0]}, stage {where[1] + 1}"
