"""Which equation needs which: the loops over time that a program has, and the order of evaluation within one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import sympy as sp
from sympy.utilities.iterables import strongly_connected_components, topological_sort

from derive.errors import DeriveError
from derive.ir.access import accesses, offset, time_of
from derive.ir.program import Equation, Program, Tensor, name_of
from derive.ir.symbols import ROW, t


@dataclass(frozen=True)
class Group:
    """Tensors that are computed together: in one loop over time (direction +1 or -1), or for all t at once (0)."""

    tensors: tuple[str, ...]
    direction: int


def order(program: Program) -> list[Group]:
    """Strongly connected components of the dependencies, in an order in which they can be computed."""
    names = [name for name in program.tensors if name in program.defined]
    edges: dict[tuple[str, str], set[int | None]] = {}
    for name in names:
        for equation in program.defined[name]:
            for read, by in dependencies(equation, program.tensors):
                if read in program.defined:
                    edges.setdefault((name, read), set()).add(by)
    groups = []
    for component in strongly_connected_components((names, list(edges))):
        inside = {by for (a, b), offsets in edges.items() if a in component and b in component for by in offsets}
        signs = {(by > 0) - (by < 0) for by in inside if by is not None} - {0}
        if len(signs) > 1 or None in inside or (inside and not signs):
            when = "at the same time step" if not signs else "both forwards and backwards in time"
            names_of = (
                f"{', '.join(sorted(component))} depend on each other"
                if len(component) > 1
                else f"{component[0]} depends on itself"
            )
            raise DeriveError(f"{program.name}: {names_of} {when}")
        groups.append(Group(tuple(n for n in names if n in component), -signs.pop() if signs else 0))
    return groups


def in_step(program: Program, names: Iterable[str]) -> list[str]:
    """The tensors of one loop in an order that respects what they read of each other within a step."""
    inside = list(names)
    edges = []
    for name in inside:
        for equation in program.defined[name]:
            edges += [
                (read, name) for read, by in dependencies(equation, program.tensors) if by == 0 and read in inside
            ]
    try:
        return list(topological_sort((inside, edges), key=inside.index))
    except ValueError as error:
        raise DeriveError(f"{program.name}: {', '.join(inside)} depend on each other at the same time step") from error


def dependencies(equation: Equation, tensors: dict[str, Tensor]) -> Iterator[tuple[str, int | None]]:
    """(tensor, offset in time) of all that an equation reads; None where the time is fixed, summed or absent."""
    for access in accesses(equation.rhs, tensors):
        free = equation.lhs.has(t)
        yield name_of(access), offset(time_of(access, tensors)) if free else None


def prepared(program: Program) -> tuple[str, ...]:
    """The values of parameters alone, in an order in which they can be computed: they are the same at every step of a call."""
    found: list[str] = []
    for group in order(program):
        for name in group.tensors:
            reads = [n for e in program.defined[name] for n, _ in dependencies(e, program.tensors)]
            known = all(_is_constant(n, program) or n in found for n in reads)
            if known and _is_of_call(name, program) and program.tensors[name].role in ("value", "shared", "sum"):
                found.append(name)
    return tuple(found)


def concluded(program: Program) -> tuple[str, ...]:
    """What is made of sums over time when these are whole, such as gradients of what prepared values are made of; in order."""
    before = prepared(program)
    names = [n for group in order(program) for n in group.tensors if _is_of_call(n, program) and n not in before]
    return tuple(n for n in names if any(e.rhs != 0 for e in program.defined[n]))


def _is_constant(name: str, program: Program) -> bool:
    tensor = program.tensors[name]
    return name not in program.defined and tensor.time is None and not tensor.batched


def _is_of_call(name: str, program: Program) -> bool:
    """Whether a tensor has neither time nor sequences, and is no sum over them."""
    tensor = program.tensors[name]
    sums = [limit[0] for e in program.defined[name] for total in e.rhs.atoms(sp.Sum) for limit in total.limits]
    return tensor.time is None and not tensor.batched and t not in sums and ROW not in sums
