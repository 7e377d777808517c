"""The rule `inline`: an adjoint that one equation reads once becomes a part of it, and the two share their IDs."""

from __future__ import annotations

from dataclasses import replace

import sympy as sp
from sympy.tensor.indexed import Indexed

from derive import ir
from derive.ir import Equation, Program, span, t
from derive.passes.simplify.lifetimes import living
from derive.passes.simplify.monomials import factored
from derive.passes.simplify.scope import adjoint_ids, remaining


def inline(program: Program) -> Program:
    """Write each adjoint that one pointwise equation of the same indices reads, once, into that equation."""
    equations = list(program.equations)
    new = adjoint_ids(program)
    while found := next((f for e in equations if e.id in new and (f := _into_reader(e, equations, program))), None):
        equation, reader, merged = found
        equations = [merged if e is reader else e for e in equations if e is not equation]
    return remaining(program, equations)


def _into_reader(
    equation: Equation, equations: list[Equation], program: Program
) -> tuple[Equation, Equation, Equation] | None:
    """An adjoint, its only reader, and the reader with the adjoint written into it; None where that cannot be."""
    if program.tensors[equation.target].role != "adjoint" or equation.rhs.has(sp.Sum, span):
        return None
    readers = [e for e in equations if equation.target in ir.names_in(e.rhs)]
    if len(readers) != 1 or readers[0].rhs.has(sp.Sum, span):
        return None
    reader = readers[0]
    uses = [a for a in reader.rhs.atoms(Indexed) if ir.name_of(a) == equation.target]
    if len(uses) != 1 or not _same_step(uses[0], equation, reader):
        return None
    use, terms = uses[0], [a for a in ir.terms(reader.rhs) if a.has(uses[0])]
    if sum(a.count(use) for a in terms) != 1:
        return None
    body = equation.rhs.xreplace(dict(zip(equation.lhs.indices, use.indices, strict=True)))
    life = living(terms[0].xreplace({use: body}), reader, program.tensors)
    if life is None or equation.when is None or not ir.contains(equation.when, life):
        return None  # where the term is read, the adjoint may be outside of its span and so zero
    rhs = factored(reader.rhs.xreplace({use: factored(body)}))
    return equation, reader, replace(reader, rhs=rhs, merged=(*equation.ids, *reader.merged))


def _same_step(use: sp.Expr, equation: Equation, reader: Equation) -> bool:
    return use.indices[0] == t and len(use.indices) == len(equation.lhs.indices) == len(reader.lhs.indices)
