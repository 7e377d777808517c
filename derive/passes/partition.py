"""A program as a list of sweeps over time: which equations can be computed together, in one direction, in one go.

    F: h[t] reads h[t-1]            sweep 1, forwards
    B: d_h[t] reads d_h[t+1], h[t]  sweep 2, backwards; h crosses from one to the other

A group of equations that depend on each other in a circle has one direction.  It joins the earliest sweep of that direction
in which all that it reads is there: made before, or by the sweep itself in a step that it has done already.  So forward and
backward are two sweeps, a stack of layers is one for each, and two directions of a layer are two for each.  The adjoint of an
adjoint adds none: a gradient is linear in its seeds, so that what is adjoint to it runs beside the values on the way forwards
and beside the gradient on the way back.  What one sweep makes and a later one reads is kept for all steps (storage.py: the
tape).

Ends of time lie at 0 (h[0] = h_0, the adjoint of an initial state) or at T+1 (the same of a layer that reads from the end).
A sweep has its ends on one side; one with ends at T+1 is the mirror image of one with ends at 0, and is given as that.

A pointwise value that only a later sweep reads is made there, not kept, unless simplification has marked it as a derivative
that is worth its place on the tape.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace

import sympy as sp
from sympy.tensor.indexed import IndexedBase

from derive import ir
from derive.ir import Equation, Origin, Program, Tensor
from derive.passes.mirror import is_mirrored, mirror


@dataclass(frozen=True)
class Sweep:
    """Equations of one traversal of time; `direction` is that of its loops, 0 where there is none.

    `mirrored`: the program is the mirror image of the equations as they were given (mirror.py).
    """

    program: Program
    direction: int
    mirrored: bool = False

    def dump(self) -> str:
        """The sweep as a person reads it: what it makes, then its equations."""
        sign = {1: "forwards", -1: "backwards", 0: "in any order"}[self.direction]
        sign += ", time mirrored" if self.mirrored else ""
        made = ", ".join(self.program.defined)
        return "\n".join([f"sweep {sign}: {made}", *(f"  {e}" for e in self.program.equations)])


def partition(program: Program, later: Collection[str] = ()) -> list[Sweep]:
    """Program -> sweeps, in an order in which they can be computed.

    `later` are tensors of a later call, the seeds of an adjoint and all that it makes: what depends on them starts a sweep
    of its own behind all that does not.
    """
    shared = ir.prepared(program)
    groups = [g for g in ir.order(program) if g.tensors[0] not in shared]
    waiting = _depending(program, later)
    number: dict[str, int] = {}
    ways: list[_Way] = []
    for late in (False, True):
        first = len(ways) if late else 0
        for group in groups:
            if (group.tensors[0] in waiting) != late:
                continue
            number |= dict.fromkeys(group.tensors, _sweep(program, group, number, ways, first))
    _sink(program, number)
    found = []
    for n, way in enumerate(ways):
        own = {e.target for e in program.equations if number.get(e.target) == n}
        own |= set(_prepared_for(program, own, shared))
        part = _part(program, [e for e in program.equations if e.target in own])
        turned = is_mirrored(list(part.equations), part.tensors)
        found.append(Sweep(mirror(part) if turned else part, -way.direction if turned else way.direction, turned))
    return found


def _prepared_for(program: Program, names: Collection[str], shared: Collection[str]) -> list[str]:
    """The values of parameters alone that some equations read: each sweep makes its own."""
    found: list[str] = []
    waiting = list(names)
    while waiting:
        reads = [ir.name_of(a) for a in _reads(program, waiting.pop())]
        waiting += [n for n in reads if n in shared and n not in found]
        found += [n for n in reads if n in shared and n not in found]
    return found


def _depending(program: Program, later: Collection[str]) -> set[str]:
    """These tensors, and all that reads one of them, or reads what does."""
    found = set(later)
    for group in ir.order(program):
        reads = {ir.name_of(a) for n in group.tensors for a in _reads(program, n)}
        if reads & found or found.intersection(group.tensors):
            found |= set(group.tensors)
    return found


def _reads(program: Program, name: str) -> list[sp.Expr]:
    return [a for e in program.defined[name] for a in ir.accesses(e.rhs, program.tensors)]


@dataclass
class _Way:
    """How a sweep runs, as far as its groups have said so: direction, and the side of its ends (-1: 0, 1: T+1, 0: no ends)."""

    direction: int
    side: int


def _side(program: Program, group: ir.Group) -> int:
    equations = [e for n in group.tensors for e in program.defined[n]]
    if is_mirrored(equations, program.tensors):
        return 1
    lives = [life for n in group.tensors if (life := program.tensors[n].time) is not None]
    return -1 if any(life[0] == 0 for life in lives) else 0


def _sweep(program: Program, group: ir.Group, number: dict[str, int], ways: list[_Way], first: int) -> int:
    """The earliest sweep, from `first` on, that can compute a group; a new one where there is none yet."""
    least, here = first, set()
    for name in group.tensors:
        for equation in program.defined[name]:
            for read, by in ir.dependencies(equation, program.tensors):
                if read not in number:
                    continue
                total = program.tensors[read].time is None and equation.lhs.has(ir.t)  # a sum over time, whole
                least = max(least, number[read] + total)
                if by:
                    here.add((number[read], -1 if by > 0 else 1))
    side = _side(program, group)
    for candidate in range(least, len(ways)):
        way = ways[candidate]
        wanted = {group.direction} - {0} | {d for sweep, d in here if sweep == candidate}
        if len(wanted | ({way.direction} - {0})) <= 1 and side * way.side >= 0:
            way.direction = way.direction or next(iter(wanted), 0)
            way.side = way.side or side
            return candidate
    ways.append(_Way(group.direction, side))
    return len(ways) - 1


def _sink(program: Program, number: dict[str, int]) -> None:
    """Move what only later sweeps read to the first that does, where that is cheaper than keeping it."""
    readers: dict[str, set[str]] = {}
    for name in number:
        for access in _reads(program, name):
            readers.setdefault(ir.name_of(access), set()).add(name)
    for name in reversed(list(number)):
        own = [r for r in readers.get(name, ()) if r != name]
        if program.tensors[name].role == "shared" and own and not any(_is_saved(e) for e in program.defined[name]):
            number[name] = max(number[name], min(number[r] for r in own))


def _is_saved(equation: Equation) -> bool:
    return equation.origin is Origin.SAVED_DERIVATIVE


def with_copies(program: Program, sweeps: list[Sweep]) -> list[Sweep]:
    """Sweeps whose carries stay at location: what crosses to a later sweep is a copy of the value, where that is needed.

    A carry that is read a step beyond the end is zero there, and the array that keeps it for another sweep has no such step.
    """
    found = list(sweeps)
    for number, sweep in enumerate(sweeps):
        for name in sweep.program.defined:
            later = [k for k in range(number + 1, len(sweeps)) if name in found[k].program.tensors]
            if later and _reads_beyond(sweep.program, name):
                copy = replace(sweep.program.tensors[name], name=ir.unused_name(f"kept_{name}", program.tensors))
                found[number] = _with_copy(found[number], name, copy)
                for k in later:
                    other = copy if found[k].mirrored == sweep.mirrored else _turned(copy)
                    found[k] = _reading(found[k], name, other)
    return found


def _reads_beyond(program: Program, name: str) -> bool:
    """Whether a sweep reads its own value at a neighbouring step that no initial value stands for."""
    initial = any(ir.time_of(e.lhs, program.tensors) == 0 for e in program.defined[name])
    offsets = {
        ir.offset(ir.time_of(a, program.tensors)) or 0
        for e in program.equations
        for a in ir.accesses(e.rhs, program.tensors)
        if ir.name_of(a) == name and e.lhs.has(ir.t)
    }
    return any(by > 0 or (by < 0 and not initial) for by in offsets)


def _with_copy(sweep: Sweep, name: str, copy: Tensor) -> Sweep:
    program, inner = sweep.program, next(e for e in sweep.program.defined[name] if e.when is not None)
    life = ir.intersect(ir.STEPS, inner.when or ir.STEPS)
    own = replace(copy, time=life)
    equation = replace(inner, lhs=own.at(), rhs=program.tensors[name].at(), id=f"{inner.id}.kept", when=life, merged=())
    tensors = {**program.tensors, copy.name: own}
    return replace(sweep, program=program.with_equations([*program.equations, equation], tensors))


def _turned(tensor: Tensor) -> Tensor:
    assert tensor.time is not None
    return replace(tensor, time=(sp.expand(ir.T + 1 - tensor.time[1]), sp.expand(ir.T + 1 - tensor.time[0])))


def _reading(sweep: Sweep, name: str, copy: Tensor) -> Sweep:
    swap = {IndexedBase(name): IndexedBase(copy.name)}
    program = sweep.program
    tensors = {copy.name if n == name else n: copy if n == name else x for n, x in program.tensors.items()}
    equations = [replace(e, rhs=e.rhs.xreplace(swap)) for e in program.equations]
    return replace(sweep, program=program.with_equations(equations, tensors))


def _part(program: Program, equations: list[Equation]) -> Program:
    """The program of some of the equations: what the others make is an input of it.

    What its tensors are derivatives of stays known, read or not: it says what part they play.
    """
    names = {e.target for e in equations} | {
        ir.name_of(a) for e in equations for a in ir.accesses(e.rhs, program.tensors)
    }
    names |= {program.tensors[n].primal for n in names}
    return replace(
        program, equations=tuple(equations), tensors={n: x for n, x in program.tensors.items() if n in names}
    )
