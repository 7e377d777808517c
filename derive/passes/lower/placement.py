"""In which part of a sweep over time each tensor is computed, and with that the kind of each product.

Parts take turns: part 0 is for all steps of a chunk at once, part 1 is a loop over the steps, part 2 is for all steps again,
and so on.  Two recurrences get a loop each where a product of one feeds the other (a stack of layers): that product, between
them, is then one for all steps.  Where no product stands between them they share a loop.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import sympy as sp
from sympy.tensor.indexed import Indexed

from derive import ir
from derive.errors import DeriveError
from derive.ir import Equation, Program, Tensor, t
from derive.passes.lower.splitting import Split


@dataclass(frozen=True)
class Placement:
    """Names of tensors in an order in which they can be computed, by their part; loops run in `direction`.

    `before` and `after` the parts: what has neither time nor sequences.
    """

    direction: int
    parts: tuple[tuple[str, ...], ...]
    boundaries: tuple[Equation, ...]
    zeros: tuple[Equation, ...]
    before: tuple[str, ...] = ()
    after: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(n for part in self.parts for n in part)


def is_loop(number: int) -> bool:
    """Whether the part of this number is a loop over the steps."""
    return number % 2 == 1


def placed(split: Split, direction: int = 0) -> Placement:
    """The place of every tensor; `direction` as for `lower`.  Raises DeriveError for what has none."""
    program = split.program
    groups = ir.order(program)
    elsewhere = _read_elsewhere(program)
    directions = {g.direction for g in groups} - {0} | {-1 if by > 0 else 1 for by in elsewhere.values()}
    directions |= {direction} - {0}
    if len(directions) > 1:
        raise DeriveError(f"{program.name}: some equations run forwards in time and some backwards; lower them apart")
    direction = directions.pop() if directions else 0
    names = [n for g in groups for n in (ir.in_step(program, g.tensors) if g.direction else g.tensors)]
    boundaries = tuple(e for e in program.equations if is_boundary(e, program.tensors))
    zeros = tuple(e for e in program.equations if e.rhs == 0 and program.tensors[e.target].time is None)
    before, after = ir.prepared(program), ir.concluded(program)
    apart = {*(e.target for e in zeros), *before, *after}
    body = [n for n in names if n not in apart and not all(is_boundary(e, program.tensors) for e in program.defined[n])]
    where = _numbers(split, body, groups, elsewhere, direction)
    parts = [tuple(n for n in body if where[n] == k) for k in range(max(where.values(), default=-1) + 1)]
    return Placement(direction, tuple(parts), boundaries, zeros, before, after)


def with_kinds(split: Split, placement: Placement) -> Split:
    """The split program with the kinds of its products: recurrent in the loop, parallel outside of it."""
    looped = {n for number, names in enumerate(placement.parts) for n in names if is_loop(number)}
    products = {
        name: product
        if product.kind == "reducing"
        else replace(product, kind="recurrent" if name in looped else "parallel")
        for name, product in split.products.items()
    }
    return replace(split, products=products)


def inner_equation(program: Program, name: str) -> Equation:
    """The equation of a tensor inside of the time range."""
    found = [e for e in program.defined[name] if not is_boundary(e, program.tensors)]
    if len(found) != 1:
        raise DeriveError(f"{program.name}: {name} has {len(found)} equations for t = 1..T")
    return found[0]


def is_boundary(equation: Equation, tensors: dict[str, Tensor]) -> bool:
    """h[0] = h_0 and h_T = h[T]: one access on each side, at a fixed time."""
    sides = (equation.lhs, equation.rhs)
    if not all(isinstance(side, Indexed) for side in sides):
        return False
    times = [ir.time_of(side, tensors) for side in sides]
    return any(when is not None and not when.has(t) for when in times)


def _read_elsewhere(program: Program) -> dict[str, int]:
    """Tensors that are read at another time than their own, with the offset."""
    found = {}
    for equation in program.equations:
        if is_boundary(equation, program.tensors):
            continue
        for access in ir.accesses(equation.rhs, program.tensors):
            by = ir.offset(ir.time_of(access, program.tensors))
            if by and ir.name_of(access) in program.defined and equation.lhs.has(t):
                found[ir.name_of(access)] = by
    return found


def _numbers(
    split: Split, names: list[str], groups: list[ir.Group], elsewhere: dict[str, int], direction: int
) -> dict[str, int]:
    """The part of every tensor.  In a loop: what is carried, and what is pointwise on it; sums over time come last."""
    tensors = split.program.tensors
    accesses = {n: ir.accesses(inner_equation(split.program, n).rhs, tensors) for n in names}
    group = {n: g.tensors for g in groups if g.direction for n in g.tensors}
    where: dict[str, int] = {}

    def least(name: str) -> int:
        """The first part in which the tensor may stand, seen from what it reads."""
        found = 0
        for access in accesses[name]:
            read = ir.name_of(access)
            if read not in where or read in group.get(name, ()):
                continue
            behind = bool(ir.offset(ir.time_of(access, tensors)))
            # A product needs whole rows: it comes when the loop is done, but for the last step of a carry (see below).
            apart = name in split.products and is_loop(where[read]) and not (behind and direction < 0)
            found = max(found, where[read] + apart)
        return found

    for name in names:
        if name in where:
            continue
        together = [n for n in names if n in group.get(name, (name,))]
        number = max(least(n) for n in together)
        if name in group or name in elsewhere:
            number += not is_loop(number)
        elif _is_last_step_apart(split, name, accesses[name], where, direction):
            number += not is_loop(number)
        where |= dict.fromkeys(together, number)
    last = max(where.values(), default=0)
    for name in names:
        if name in split.products and tensors[name].time is None:
            where[name] = last + is_loop(last)
    return where


def _is_last_step_apart(
    split: Split, name: str, accesses: list[sp.Expr], where: dict[str, int], direction: int
) -> bool:
    """Whether a product reads the carry of a backward loop: its last step, at t = 0, is one of its own."""
    tensors = split.program.tensors
    return (
        direction < 0
        and name in split.products
        and any(ir.offset(ir.time_of(a, tensors)) and is_loop(where.get(ir.name_of(a), 0)) for a in accesses)
    )
