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
from derive.ir import Equation, Program, Tensor, span, t
from derive.passes.adjoint import accented
from derive.passes.simplify.lifetimes import lifetime
from derive.passes.simplify.scope import adjoint_ids


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
                by = _shift(term, tensors, adjoint)
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
            life = ir.meet(read, reduce(ir.hull, [lifetime(a, tensors) for a in ir.terms(here)]))
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


def _shift(term: sp.Expr, tensors: dict[str, Tensor], new: Collection[str]) -> int:
    """The k for which a pointwise term is computed at t+k: adjoints of any order stand there, nothing stands beyond t and t+k."""
    if term.has(sp.Sum, span):
        return 0
    offsets = {a: ir.offset(when) for a in ir.accesses(term, tensors) if (when := ir.time_of(a, tensors)) is not None}
    steps = {by for a, by in offsets.items() if ir.name_of(a) in new or tensors[ir.name_of(a)].role == "adjoint"}
    if None in offsets.values() or not steps or (len(steps) > 1 and min(by for by in steps if by is not None) < 0):
        return 0
    by = max(by for by in steps if by is not None)
    if not by:
        return 0
    # Forwards in time a factor of the step itself, as in t_c[t-1]*f[t], does not exist yet a step earlier.
    low, high = (0, by) if by > 0 else (by, by)
    return by if all(low <= k <= high for k in offsets.values() if k is not None) else 0
