"""The rule `make_carries`: one value crosses the step.

    d_c[t+1]*f[t+1]   ->   carry_c[t+1]   with   carry_c[t] = d_c[t]*f[t]

One value a unit then goes from step to step, where the terms would need several.
"""

from __future__ import annotations

from dataclasses import replace
from functools import reduce

import sympy as sp
from sympy.tensor.indexed import Indexed

from derive import ir
from derive.adjoint import accented
from derive.ir import Equation, Program, Tensor, span, t
from derive.simplify.lifetimes import lifetime
from derive.simplify.scope import adjoint_ids


def make_carries(program: Program) -> Program:
    """Terms that live wholly in the neighbouring step are computed there, and one value is carried over."""
    tensors = dict(program.tensors)
    equations: list[Equation] = []
    carries: list[Equation] = []
    new = adjoint_ids(program)
    for equation in program.equations:
        moved: dict[int, list[sp.Expr]] = {}
        if equation.id in new and equation.lhs.has(t):
            for term in ir.terms(equation.rhs):
                by = _common_shift(term, tensors)
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


def _common_shift(term: sp.Expr, tensors: dict[str, Tensor]) -> int:
    """The k for which every access of a pointwise term stands at t+k; 0 if there is none."""
    if term.has(sp.Sum, span):
        return 0
    offsets = {ir.offset(when) for a in ir.accesses(term, tensors) if (when := ir.time_of(a, tensors)) is not None}
    return offsets.pop() or 0 if len(offsets) == 1 else 0
