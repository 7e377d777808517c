"""A loss with weights, and a loss that is a mean: what every loss may be, as changes of its program.

weighted    L = Sum_t l[t]       ->  L = Sum_t weight[t]*l[t], and targets are read as 1 where the weight is 0
averaged    L = Sum_t l[t]       ->  L = Sum_t l[t] / count, the number of steps of all sequences or the sum of their weights
"""

from __future__ import annotations

from dataclasses import replace

import sympy as sp
from sympy.tensor.indexed import IndexedBase

from derive import ir
from derive.errors import DeriveError
from derive.ir import Equation, Program, Tensor, t
from derive.ir.functions import where

WEIGHT, COUNT = "weight", "count"


def weighted(program: Program) -> Program:
    """The loss with a weight for each step of each sequence; a step of weight 0 counts for nothing, whatever its target is.

    Raises DeriveError for a loss that has weights already.
    """
    if program.of_role("weight"):
        raise DeriveError(f"loss {program.name}: it has weights already")
    _check_free(program, WEIGHT)
    weight = Tensor(WEIGHT, (), (), "weight", ir.STEPS, latex="w")
    tensors = {**program.tensors, WEIGHT: weight}
    seen: dict[sp.Basic, sp.Basic] = {}
    made = []
    for target in [x for x in program.of_role("target") if x.time is not None]:
        name = ir.unused_name(f"{target.name}_seen", tensors)
        tensors[name] = replace(
            target, name=name, role="value", latex=rf"\tilde{{{target.latex or target.name}}}", family="", member=""
        )
        made.append(Equation(tensors[name].at(), where(weight.at(), target.at(), 1), when=ir.STEPS))
        seen[IndexedBase(target.name)] = IndexedBase(name)
    *before, last = [replace(e, rhs=e.rhs.xreplace(seen)) for e in program.equations]
    total = ir.walk(last.rhs, lambda e: _weighted(e, weight.at()))
    facts = replace(program.facts, inputs=(*program.facts.inputs, WEIGHT))
    return _numbered(replace(program, tensors=tensors, facts=facts), [*made, *before, replace(last, rhs=total)])


def _weighted(expr: sp.Expr, weight: sp.Expr) -> sp.Expr:
    """A sum over time with its terms weighted."""
    over_time = isinstance(expr, sp.Sum) and any(symbol == t for symbol, *_ in expr.limits)
    return sp.Sum(weight * expr.function, *expr.limits) if over_time else expr


def averaged(program: Program) -> Program:
    """The loss divided by how much counts.  Raises DeriveError for one that is a mean already."""
    if program.of_role("count"):
        raise DeriveError(f"loss {program.name}: it is a mean already")
    _check_free(program, COUNT)
    count = Tensor(COUNT, (), (), "count", None, batched=False, latex="N")
    *before, last = program.equations
    tensors = {**program.tensors, COUNT: count}
    return _numbered(replace(program, tensors=tensors), [*before, replace(last, rhs=last.rhs / count.at())])


def _check_free(program: Program, name: str) -> None:
    if name in program.tensors:
        raise DeriveError(f"loss {program.name}: its argument {name} would have another meaning; rename it")


def _numbered(program: Program, equations: list[Equation]) -> Program:
    numbered = tuple(replace(e, id=f"F{p + 1}") for p, e in enumerate(equations))
    order = [n for n in program.tensors if not any(e.target == n for e in numbered)]
    order += list(dict.fromkeys(e.target for e in numbered))
    return ir.verify(replace(program, tensors={n: program.tensors[n] for n in order}, equations=numbered))
