"""Where each tensor is computed: before the loop over time, in it or after it, and with that the kind of each product."""

from __future__ import annotations

from dataclasses import dataclass, replace

from sympy.tensor.indexed import Indexed

from derive import ir
from derive.errors import DeriveError
from derive.ir import Equation, Program, Tensor, t
from derive.passes.lower.splitting import Split


@dataclass(frozen=True)
class Placement:
    """Names of tensors in an order in which they can be computed, by their place; the loop runs in `direction`."""

    direction: int
    before: tuple[str, ...]
    loop: tuple[str, ...]
    after: tuple[str, ...]
    boundaries: tuple[Equation, ...]
    zeros: tuple[Equation, ...]

    @property
    def names(self) -> tuple[str, ...]:
        return (*self.before, *self.loop, *self.after)


def placed(split: Split, direction: int = 0) -> Placement:
    """The place of every tensor; `direction` as for `lower`.  Raises DeriveError for what has none."""
    program = split.program
    _check_times(program)
    groups = ir.order(program)
    elsewhere = _read_elsewhere(program)
    directions = {g.direction for g in groups} - {0} | {-1 if by > 0 else 1 for by in elsewhere.values()}
    directions |= {direction} - {0}
    if len(directions) > 1:
        raise DeriveError(f"{program.name}: some equations run forwards in time and some backwards; lower them apart")
    direction = directions.pop() if directions else 0
    names = [n for g in groups for n in (ir.in_step(program, g.tensors) if g.direction else g.tensors)]
    cyclic = {n for g in groups if g.direction for n in g.tensors} | set(elsewhere)
    boundaries = tuple(e for e in program.equations if is_boundary(e, program.tensors))
    zeros = tuple(e for e in program.equations if e.rhs == 0 and program.tensors[e.target].time is None)
    apart = {e.target for e in zeros}
    body = [n for n in names if n not in apart and not all(is_boundary(e, program.tensors) for e in program.defined[n])]
    where = _places(split, body, cyclic, direction)
    before, loop, after = (tuple(n for n in body if where[n] == part) for part in ("before", "loop", "after"))
    return Placement(direction, before, loop, after, boundaries, zeros)


def with_kinds(split: Split, placement: Placement) -> Split:
    """The split program with the kinds of its products: recurrent in the loop, parallel outside of it."""
    products = {
        name: product
        if product.kind == "reducing"
        else replace(product, kind="recurrent" if name in placement.loop else "parallel")
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


def _check_times(program: Program) -> None:
    for equation in program.equations:
        if program.tensors[equation.target].time is None and program.tensors[equation.target].role == "value":
            raise DeriveError(
                f"{program.name}, {equation.id}: {equation.lhs} = {ir.text(equation.rhs)} depends on parameters "
                f"only; let it have a time index, in an equation of its own: {equation.target}[t, ...] = ..."
            )


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


def _places(split: Split, names: list[str], cyclic: set[str], direction: int) -> dict[str, str]:
    """before: knows nothing of the loop.  loop: in a cycle, between two of them, or pointwise on it.  after: the rest."""
    tensors = split.program.tensors
    where: dict[str, str] = {}
    read = {n: ir.accesses(inner_equation(split.program, n).rhs, tensors) for n in names}
    for name in names:
        reads = {where.get(ir.name_of(a), "before") for a in read[name]}
        carried = any(ir.offset(ir.time_of(a, tensors)) and where.get(ir.name_of(a)) == "loop" for a in read[name])
        if name in cyclic or (carried and name in split.products and direction < 0):
            where[name] = "loop"  # a product with the carry of a backward loop has a last step of its own, at t = 0
        elif "after" in reads or ("loop" in reads and name in split.products):
            where[name] = "after"
        elif "loop" in reads:
            where[name] = "loop"
        else:
            where[name] = "after" if name in split.products and tensors[name].time is None else "before"
    # What the loop reads is made in it: one recurrence feeds another through a product of the same step.
    for name in reversed(names):
        if where[name] == "loop":
            where |= {made: "loop" for a in read[name] if where.get(made := ir.name_of(a)) == "after"}
    return where
