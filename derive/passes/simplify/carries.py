"""The rule `make_carries`: one value crosses the step.

    d_c[t+1]*f[t+1]     ->   carry_c[t+1]   with   carry_c[t] = d_c[t]*f[t]
    d_h[t+1]*2*h[t]     ->   carry_h[t+1]   with   carry_h[t] = d_h[t]*2*h[t-1]

One value a unit then goes from step to step, where the terms would need several.  It is computed in the step whose
equation read the earlier one: there all that it is made of exists.  At t = 0 and t = T the adjoint adds a value that is
there or none; it multiplies nothing, so that no factor is read before the first step or after the last.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from functools import reduce

import sympy as sp
from sympy.tensor.indexed import Indexed

from derive import ir
from derive.ir import Equation, Program, T, Tensor, span, t
from derive.passes.adjoint import accented
from derive.passes.contraction import contraction
from derive.passes.simplify.lifetimes import lifetime
from derive.passes.simplify.scope import adjoint_ids

ENDS = (sp.Integer(0), T + 1)  # the steps next to 1..T


def make_carries(program: Program) -> Program:
    """Terms that read the neighbouring step are computed there, and one value is carried over."""
    tensors = dict(program.tensors)
    equations: list[Equation] = []
    carries: list[Equation] = []
    new = adjoint_ids(program)
    adjoint = {e.target for e in program.equations if e.id in new}
    for equation in program.equations:
        moved: dict[int, list[sp.Expr]] = {}
        if equation.id in new and equation.lhs.has(t):
            for term in ir.terms(equation.rhs):
                by = _shift(term, equation, tensors, adjoint)
                if by:
                    moved.setdefault(by, []).append(term)
        # One value that is there anyway needs no second name.
        moved = {by: group for by, group in moved.items() if len(group) > 1 or not isinstance(group[0], Indexed)}
        kept = sp.Add(*(a for a in ir.terms(equation.rhs) if not any(a in ts for ts in moved.values())))
        for by, group in sorted(moved.items()):
            target = tensors[equation.target]
            here = sp.Add(*group).xreplace({t: t - by})
            name = ir.unused_name(f"carry_{target.primal or target.name}", tensors)
            assert equation.when is not None
            read = (equation.when[0] + by, equation.when[1] + by)
            life = ir.intersect(read, reduce(ir.hull, [lifetime(a, tensors) for a in ir.terms(here)]))
            value = replace(
                target,
                name=name,
                role="adjoint",
                time=life,
                family="",
                member="",
                latex=accented(r"\tilde", tensors[target.primal].latex or target.primal) if target.primal else "",
            )
            tensors[name] = value
            marks = "'" * (1 + sum(c.id.rstrip("'") == equation.id for c in carries))
            carries.append(Equation(value.at(), here, f"{equation.id}{marks}", life))
            kept = kept + value.at(t + by)
        equations.append(replace(equation, rhs=kept) if moved else equation)
    for carry in carries:  # after what it reads; it keeps the primed ID of the equation that needed it
        at = max(
            p for p, e in enumerate(equations) if e.id == carry.id.rstrip("'") or e.target in ir.names_in(carry.rhs)
        )
        equations.insert(at + 1, carry)
    return program.with_equations(equations, tensors)


def _shift(term: sp.Expr, equation: Equation, tensors: dict[str, Tensor], new: Collection[str]) -> int:
    """The k for which a term has to be computed at t+k, where adjoints stand in it; 0 where it may stay.

    A product of a matrix stays: it reads one value, and that is carried.  A sum of values of the step moves as they do.
    """
    if term.has(span) or any(_is_product(total, tensors) for total in term.atoms(sp.Sum)):
        return 0
    offsets = {a: ir.offset(when) for a in ir.accesses(term, tensors) if (when := ir.time_of(a, tensors)) is not None}
    moving = [a for a in offsets if ir.name_of(a) in new or tensors[ir.name_of(a)].role == "adjoint"]
    steps = [by for by in offsets.values() if by is not None]
    ahead = {offsets[a] for a in moving} - {0}
    if len(steps) < len(offsets) or len(ahead) != 1:
        return 0
    (by,) = ahead
    if by is None or any(k * by < 0 or abs(k) > abs(by) for k in steps):  # beyond the two steps that it joins
        return 0
    rest = [a for a in offsets if a not in moving]
    # Of two adjoints one may be of an earlier sweep over time, whose array ends at T.
    several = len([a for a in moving if offsets[a] == by]) > 1
    return by if several or any(_is_out_of_reach(a, term, equation, tensors) for a in rest) else 0


def _is_product(total: sp.Sum, tensors: dict[str, Tensor]) -> bool:
    found = contraction(total, tensors)
    return any(symbol == t for symbol, *_ in total.limits) or (found is not None and isinstance(found[1], Indexed))


def _is_out_of_reach(access: sp.Expr, term: sp.Expr, equation: Equation, tensors: dict[str, Tensor]) -> bool:
    """Whether a loop, or the step at its end, would read an access where no array has it.

    Values are there for the steps 1..T, and a step before the first where an initial value is read as the neighbour.
    """
    assert equation.when is not None
    life, by = tensors[ir.name_of(access)].time, ir.offset(ir.time_of(access, tensors))
    assert life is not None and by is not None
    low, high = ir.intersect(equation.when, ir.STEPS)
    if by and not ir.contains(life, (low + by, high + by)):
        return True
    alive = ir.intersect(equation.when, ir.support(term, tensors) or equation.when)
    return any(ir.contains(alive, (edge, edge)) and edge + by in ENDS for edge in ENDS)
