"""The rule `inline`: an adjoint that one equation reads once becomes a part of it, and the two share their IDs."""

from __future__ import annotations

from dataclasses import replace

import sympy as sp
from sympy.tensor.indexed import Indexed

from derive import ir
from derive.ir import Equation, Program, span, t
from derive.simplify.lifetimes import living
from derive.simplify.monomials import factored
from derive.simplify.scope import adjoint_ids, remaining


def inline(program: Program) -> Program:
    """Substitute adjoints that one pointwise equation of the same indices reads once; merge equal right-hand sides."""
    equations = list(program.equations)
    new = adjoint_ids(program)
    changed = True
    while changed:
        changed = False
        for equation in equations:
            if (
                equation.id not in new
                or equation.rhs.has(sp.Sum, span)
                or program.tensors[equation.target].role != "adjoint"
            ):
                continue
            readers = [(p, e) for p, e in enumerate(equations) if equation.target in ir.names_in(e.rhs)]
            if len(readers) != 1:
                continue
            p, reader = readers[0]
            uses = [a for a in reader.rhs.atoms(Indexed) if ir.name_of(a) == equation.target]
            if reader.rhs.has(sp.Sum, span) or len(uses) != 1 or not _same_step(uses[0], equation, reader):
                continue
            if sum(a.count(uses[0]) for a in ir.terms(reader.rhs)) != 1:
                continue
            body = equation.rhs.xreplace(dict(zip(equation.lhs.indices, uses[0].indices, strict=True)))
            term = next(a for a in ir.terms(reader.rhs) if a.has(uses[0])).xreplace({uses[0]: body})
            life = living(term, reader, program.tensors)
            if life is None or equation.when is None or not ir.within(life, equation.when):
                continue
            rhs = factored(reader.rhs.xreplace({uses[0]: factored(body)}))
            equations[p] = replace(reader, rhs=rhs, merged=(*equation.ids, *reader.merged))
            equations.remove(equation)
            changed = True
            break
    return remaining(program, equations)


def _same_step(use: sp.Expr, equation: Equation, reader: Equation) -> bool:
    return use.indices[0] == t and len(use.indices) == len(equation.lhs.indices) == len(reader.lhs.indices)
