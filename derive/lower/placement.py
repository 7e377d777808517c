"""Where each tensor is computed: before the loop over time, in it or after it, and with that the kind of each product."""

from __future__ import annotations

from dataclasses import dataclass, replace

from sympy.tensor.indexed import Indexed

from derive import ir
from derive.errors import DeriveError
from derive.ir import Equation, Program, Tensor, t
from derive.lower.splitting import Split


@dataclass(frozen=True)
class Placement:
    """Names of tensors in an order in which they can be computed, by their place; the loop runs in `direction`."""

    direction: int
    before: tuple[str, ...]
    loop: tuple[str, ...]
    after: tuple[str, ...]
    boundaries: tuple[Equation, ...]


def placed(split: Split) -> Placement:
    """The place of every tensor.  Raises DeriveError for what has none."""
    program = split.program
    _check_times(program)
    groups = ir.order(program)
    directions = {g.direction for g in groups} - {0}
    if len(directions) > 1:
        raise DeriveError(f"{program.name}: some equations run forwards in time and some backwards; lower them apart")
    direction = directions.pop() if directions else 0
    names = [n for g in groups for n in (ir.in_step(program, g.tensors) if g.direction else g.tensors)]
    cyclic = {n for g in groups if g.direction for n in g.tensors} | _read_elsewhere(program)
    boundaries = tuple(e for e in program.equations if is_boundary(e, program.tensors))
    body = [n for n in names if not all(is_boundary(e, program.tensors) for e in program.defined[n])]
    where = _places(split, body, cyclic)
    before, loop, after = (tuple(n for n in body if where[n] == part) for part in ("before", "loop", "after"))
    return Placement(direction, before, loop, after, boundaries)


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


def _read_elsewhere(program: Program) -> set[str]:
    """Tensors that are read at another time than their own."""
    found = set()
    for equation in program.equations:
        if is_boundary(equation, program.tensors):
            continue
        for access in ir.accesses(equation.rhs, program.tensors):
            by = ir.offset(ir.time_of(access, program.tensors))
            if by and ir.name_of(access) in program.defined and equation.lhs.has(t):
                found.add(ir.name_of(access))
    return found


def _places(split: Split, names: list[str], cyclic: set[str]) -> dict[str, str]:
    """before: knows nothing of the loop.  loop: in the cycle, or pointwise on it.  after: large products."""
    tensors = split.program.tensors
    where: dict[str, str] = {}
    for name in names:
        equation = inner_equation(split.program, name)
        reads = {where.get(ir.name_of(a), "before") for a in ir.accesses(equation.rhs, tensors)}
        if name in cyclic:
            where[name] = "loop"
        elif "after" in reads or ("loop" in reads and name in split.products):
            where[name] = "after"
        elif "loop" in reads:
            where[name] = "loop"
        else:
            where[name] = "after" if name in split.products and tensors[name].time is None else "before"
    # A total over what is known before the loop is no reason for a phase of its own, but it may stay there.
    return where
