"""A program as a list of sweeps over time: which equations can be computed together, in one direction, in one go.

    F: h[t] reads h[t-1]            sweep 1, forwards
    B: d_h[t] reads d_h[t+1], h[t]  sweep 2, backwards; h crosses from one to the other

A group of equations that depend on each other in a circle has one direction.  It joins the earliest sweep of that direction
in which all that it reads is there: made before, or by the sweep itself in a step that it has done already.  So forward and
backward are two sweeps; a stack of layers is one each; two directions of a layer are two; the adjoint of an adjoint has
four.  What one sweep makes and a later one reads is kept for all steps between them (storage.py: the tape).

A pointwise value that only a later sweep reads is made there, not kept, unless simplification has marked it as a derivative
that is worth its place on the tape.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace

import sympy as sp

from derive import ir
from derive.ir import Equation, Origin, Program


@dataclass(frozen=True)
class Sweep:
    """Equations of one traversal of time; `direction` is that of its loops, 0 where there is none."""

    program: Program
    direction: int

    def dump(self) -> str:
        """The sweep as a person reads it: what it makes, then its equations."""
        sign = {1: "forwards", -1: "backwards", 0: "in any order"}[self.direction]
        made = ", ".join(self.program.defined)
        return "\n".join([f"sweep {sign}: {made}", *(f"  {e}" for e in self.program.equations)])


def partition(program: Program, later: Collection[str] = ()) -> list[Sweep]:
    """Program -> sweeps, in an order in which they can be computed.

    `later` are inputs that come with a later call, as the seeds of an adjoint do: what depends on them starts a sweep of
    its own behind all that does not.
    """
    groups = ir.order(program)
    waiting = _depending(program, later)
    number: dict[str, int] = {}
    directions: list[int] = []
    for late in (False, True):
        first = len(directions) if late else 0
        for group in groups:
            if (group.tensors[0] in waiting) != late:
                continue
            number |= dict.fromkeys(group.tensors, _sweep(program, group, number, directions, first))
    _sink(program, number)
    return [
        Sweep(_part(program, [e for e in program.equations if number[e.target] == n]), direction)
        for n, direction in enumerate(directions)
    ]


def _depending(program: Program, later: Collection[str]) -> set[str]:
    """All that reads one of these inputs, or reads what does."""
    found = set(later)
    for group in ir.order(program):
        reads = {ir.name_of(a) for n in group.tensors for a in _reads(program, n)}
        if reads & found:
            found |= set(group.tensors)
    return found


def _reads(program: Program, name: str) -> list[sp.Expr]:
    return [a for e in program.defined[name] for a in ir.accesses(e.rhs, program.tensors)]


def _sweep(program: Program, group: ir.Group, number: dict[str, int], directions: list[int], first: int) -> int:
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
    for candidate in range(least, len(directions)):
        wanted = {group.direction} - {0} | {way for sweep, way in here if sweep == candidate}
        if len(wanted | ({directions[candidate]} - {0})) <= 1:
            directions[candidate] = directions[candidate] or next(iter(wanted), 0)
            return candidate
    wanted = {group.direction}
    directions.append(group.direction)
    return len(directions) - 1


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


def _part(program: Program, equations: list[Equation]) -> Program:
    """The program of some of the equations: what the others make is an input of it."""
    names = {e.target for e in equations} | {
        ir.name_of(a) for e in equations for a in ir.accesses(e.rhs, program.tensors)
    }
    return replace(
        program, equations=tuple(equations), tensors={n: x for n, x in program.tensors.items() if n in names}
    )
