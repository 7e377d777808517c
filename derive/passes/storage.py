"""Where every value lives: in an argument, on the tape, in the workspace, or only in a register.

    arg     an array of the caller: x, out, a parameter or its gradient
    tape    written by `forward`, read by `backward`: [T][B][slots*dim], one region per length of a row
    chunk   some steps of time, between the phases of a kernel: [steps][B][slots*dim]
    swap    a double buffer: two steps in turns, where only the neighbouring step reads it: [2][B][slots*dim]
    step    one step, between the stages of a step: [B][slots*dim]
    edge    the same for the step t = 0 of an adjoint
    call    a value of parameters alone, or a sum over time that is no result: [slots*dim], of no step and no row
    tile    the products of a tile of rows and units, in the first level cache
    local   a C variable

What the backward pass reads of the forward pass is saved, unless the caller has it anyway (x, out, parameters).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace

import sympy as sp
from sympy.tensor.indexed import Indexed

from derive import ir
from derive.ir import Program, Space
from derive.passes.lower import Lowered, Phase, Stage


@dataclass(frozen=True)
class Place:
    """The location of a tensor in one kernel; `slot` of `slots` side by side, each of `dim` values (None: one number)."""

    kind: str
    array: str = ""
    slot: int = 0
    slots: int = 1
    dim: sp.Expr | None = None
    timed: bool = False
    initial: str = ""
    neighbour: bool = False

    @property
    def region(self) -> tuple[str, str]:
        return self.kind, self.array


@dataclass(frozen=True)
class Region:
    """Tensors of one kind and dimension that share a buffer; those of two steps share it within one loop."""

    name: str
    kind: str
    dim: sp.Expr | None
    slots: int
    neighbour: bool = False


@dataclass(frozen=True)
class Storage:
    """The places of all tensors of a kernel, and the buffers that they need."""

    places: dict[str, Place]
    edge: dict[str, Place]
    regions: tuple[Region, ...]

    def dump(self) -> str:
        """One line a tensor."""
        return "\n".join(
            f"  {name:<16} {p.kind:<6} {p.array:<14} slot {p.slot} of {p.slots} x {p.dim or 1}"
            + (f", t=0: {p.initial}" if p.initial else "")
            for name, p in self.places.items()
        )


def tape(forward: Program, backward: Program, keep: Collection[str] = ()) -> tuple[str, ...]:
    """The values of the forward pass that the backward pass reads, and those to `keep`, in the order of their equations."""
    read = {ir.name_of(a) for e in backward.equations for a in ir.accesses(e.rhs, backward.tensors)} | {*keep}
    kept = [n for n in forward.defined if n in read and forward.tensors[n].time is not None]
    return tuple(n for n in kept if n != forward.facts.output)


def tape_places(program: Program, names: tuple[str, ...]) -> dict[str, Place]:
    """Slots on the tape: values over units in one region per length of a row, numbers per row in another."""
    return _slots(program, list(names), "tape", {})


def with_initials(program: Program, places: dict[str, Place]) -> dict[str, Place]:
    """The places with the arrays that stand in for values before the first step, as the boundaries of a program say."""
    found = dict(places)
    for equation in program.equations:
        when = ir.time_of(equation.lhs, program.tensors) if isinstance(equation.lhs, Indexed) else None
        if when in (0, ir.T + 1) and equation.target in found and isinstance(equation.rhs, Indexed):
            found[equation.target] = replace(found[equation.target], initial=ir.name_of(equation.rhs))
    return found


def place(lowered: Lowered, arguments: dict[str, Place], saved: dict[str, Place]) -> Storage:
    """Give every tensor of the kernel a place; `arguments` and `saved` are decided already."""
    return _Placing(lowered, arguments, saved).run()


class _Placing:
    def __init__(self, lowered: Lowered, arguments: dict[str, Place], saved: dict[str, Place]) -> None:
        self.lowered, self.program = lowered, lowered.program
        self.places = {**arguments, **saved}
        self.parts: dict[str, set[int]] = {}
        self.stages: dict[str, set[int]] = {}
        self.neighbours: set[str] = set()
        self.edges: dict[str, set[int]] = {}
        self.whole: set[str] = set()  # what products outside of the loop read or make, for all steps of a chunk

    def run(self) -> Storage:
        self._uses()
        initials = {
            e.target: e.rhs
            for e in self.lowered.boundaries
            if not e.lhs.has(ir.T)
            and e.target in self.program.tensors
            and self.program.tensors[e.target].time is not None
        }
        chosen: dict[str, list[str]] = {"chunk": [], "swap": [], "step": [], "call": []}
        for name in self._written():
            if name in self.places:
                continue
            kind = self._kind(name)
            if kind in chosen:
                chosen[kind].append(name)
            else:
                self.places[name] = Place(kind, dim=ir.width(self.program.tensors[name]))
        for kind, names in chosen.items():
            neighbours = {n: n in self.neighbours for n in names}
            for number, group in enumerate(self._by_loop(names) if kind == "swap" else [names]):
                self.places |= _slots(self.program, group, kind, neighbours, str(number + 1) if number else "")
        for name, source in initials.items():
            if name in self.places:
                self.places[name] = replace(self.places[name], initial=ir.name_of(source))
        edge = self._edge_places()
        return Storage(self.places, edge, self._regions(edge.values()))

    def _by_loop(self, names: list[str]) -> list[list[str]]:
        """Names in groups by the loop that makes them: a loop that starts a row clears its own buffer of two steps only."""
        parts = dict.fromkeys(min(self.parts[n]) for n in names)
        return [[n for n in names if min(self.parts[n]) == part] for part in sorted(parts)]

    def _edge_places(self) -> dict[str, Place]:
        """Where the step t = 0 puts what it makes: no buffer with time has room for it."""
        made = [
            n for s in self.lowered.edge for n in (*(p.target for p in s.products), *(e.target for e in s.equations))
        ]
        crossing = [n for n in made if len(self.edges[n]) > 1]
        found = {n: Place("local", dim=ir.width(self.program.tensors[n])) for n in made}
        found |= _slots(self.program, crossing, "edge", {})
        for boundary in self.lowered.boundaries:
            if not isinstance(boundary.rhs, sp.Symbol) and ir.time_of(boundary.rhs, self.program.tensors) == 0:
                source = ir.name_of(boundary.rhs)
                found[source] = Place("arg", boundary.target, dim=ir.width(self.program.tensors[boundary.target]))
        return found

    def _written(self) -> list[str]:
        names = [n for s in (*self.lowered.before, *self.lowered.after) for n in s.targets]
        for part in self.lowered.parts:
            names += [p.target for p in part.products] if isinstance(part, Phase) else []
            for stage in part.stages:
                names += [p.target for p in stage.products] + [e.target for e in stage.equations]
        return list(dict.fromkeys(names))

    def _uses(self) -> None:
        """In which phases and stages each tensor is written or read, and whether a neighbouring step reads it."""
        tensors = self.program.tensors

        def seen(name: str, part: int, stage: int) -> None:
            self.parts.setdefault(name, set()).add(part)
            self.stages.setdefault(name, set()).add(stage)

        def look(phase: int, number: int, stage: Stage) -> None:
            for equation in stage.equations:
                # Numbers of a row are made in a loop of their own, so that they cross a stage even inside of one.
                at = 2 * number + (1 if equation not in stage.scalars else 0)
                seen(equation.target, phase, at)
                for access in ir.accesses(equation.rhs, tensors):
                    seen(ir.name_of(access), phase, at)
                    if ir.offset(ir.time_of(access, tensors)):
                        self.neighbours.add(ir.name_of(access))
            for product in stage.products:
                seen(product.target, phase, 2 * number + 1)
                for pair in product.pairs:
                    name = ir.name_of(pair.operand)
                    # A product reads whole rows: its operand is in memory, never in a register.
                    seen(name, phase, -1)
                    if ir.offset(ir.time_of(pair.operand, tensors)):
                        self.neighbours.add(name)

        reached = 0
        for place, part in enumerate(self.lowered.parts):
            for product in part.products if isinstance(part, Phase) else ():
                seen(product.target, place, -1)
                accesses = [a for pair in product.pairs for a in (pair.weight, pair.operand)]
                self.whole |= {product.target, *map(ir.name_of, accesses)}
                self.neighbours |= {ir.name_of(a) for a in accesses if ir.offset(ir.time_of(a, tensors))}
            for stage in part.stages:
                look(place, reached, stage)
                reached += 1
        for number, stage in enumerate(self.lowered.edge):
            for equation in stage.equations:
                for name in (equation.target, *(ir.name_of(a) for a in ir.accesses(equation.rhs, tensors))):
                    self.edges.setdefault(name, set()).add(2 * number + (1 if equation not in stage.scalars else 0))
            for product in stage.products:
                self.edges.setdefault(product.target, set()).add(2 * number + 1)
                for pair in product.pairs:
                    self.edges.setdefault(ir.name_of(pair.operand), set()).add(-1)
        for boundary in self.lowered.boundaries:  # a final state is copied after all stages of its step
            if boundary.rhs.has(ir.T) and (name := ir.name_of(boundary.rhs)) in self.stages:
                self.stages[name].add(-2)

    def _kind(self, name: str) -> str:
        tensor = self.program.tensors[name]
        if tensor.time is None:
            return "call"
        if len(self.parts[name]) > 1 or name in self.whole:
            return "chunk"
        if name in self.neighbours:
            return "swap"
        if any(isinstance(self.lowered.parts[p], Phase) for p in self.parts[name]):
            return "chunk" if len(self.stages[name]) > 1 else "local"
        if self._in_tile(name) and len(self.stages[name]) == 1:
            return "tile"
        return "step" if len(self.stages[name]) > 1 else "local"

    def _in_tile(self, name: str) -> bool:
        return any(p.target == name for loop in self.lowered.loops for s in loop.stages for p in s.products)

    def _regions(self, edge: Iterable[Place]) -> tuple[Region, ...]:
        found: dict[tuple[str, str], Region] = {}
        for p in (*self.places.values(), *edge):
            if p.kind in ("chunk", "swap", "step", "edge", "call"):
                old = found.get(p.region)
                found[p.region] = Region(p.array, p.kind, p.dim, p.slots, p.neighbour or bool(old and old.neighbour))
        return tuple(found.values())


def _named(space: Space) -> str:
    """A row of values in the name of a buffer: H, or NxD, as no size is called."""
    return "x".join(map(str, space)) or "row"


def _slots(
    program: Program, names: list[str], kind: str, neighbour: dict[str, bool], count: str = ""
) -> dict[str, Place]:
    """Places side by side; the gates of one family stand in the order in which the weights stack them."""
    gates = list(program.facts.gates)
    families = list(dict.fromkeys(program.tensors[n].family or n for n in names))

    def key(name: str) -> tuple[int, int]:
        tensor = program.tensors[name]
        return families.index(tensor.family or name), gates.index(tensor.member) if tensor.member in gates else 0

    result = {}
    for space in dict.fromkeys(ir.units(program.tensors[n]) for n in names):
        group = sorted((n for n in names if ir.units(program.tensors[n]) == space), key=key)
        shared = any(neighbour.get(n, False) for n in group)
        for slot, name in enumerate(group):
            first = f"{name}_0" if kind == "tape" and name in program.facts.states else ""
            result[name] = Place(
                kind,
                f"{kind}{count}_{_named(space)}",
                slot,
                len(group),
                ir.width(program.tensors[name]),
                kind not in ("step", "edge", "call"),
                first,
                shared,
            )
    return result
