"""The rules `fold_constants` and `fold_copies`: adjoints that are no work of their own disappear into their readers.

    d_L = 1                        readers have the 1
    d_a[t,n] = 0                   Sum_n d_a[t,n]*W[n,k] is 0, as behind a floor or a sign
    d_p[t,n] = seed_p[t,n]         readers read seed_p

Their IDs stay with the first reader.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import sympy as sp
from sympy.tensor.indexed import Indexed

from derive import ir
from derive.ir import Equation, Program, Tensor, span
from derive.passes.normalize import is_constant
from derive.passes.simplify.lifetimes import living
from derive.passes.simplify.scope import adjoint_ids, remaining


def fold_constants(program: Program) -> Program:
    """Adjoints that read nothing are put into their readers; the first reader keeps their IDs."""

    def is_one(equation: Equation) -> bool:
        plain = not equation.rhs.has(Indexed, span) and is_constant(equation.rhs)
        # What is zero everywhere is zero outside of its span as well.
        return plain and (equation.rhs == 0 or _read_within(equation, list(program.equations), program.tensors))

    return _fold(program, is_one)


def fold_copies(program: Program) -> Program:
    """Adjoints that are another tensor at the same indices disappear; their readers read the original."""

    def is_copy(equation: Equation) -> bool:
        rhs, tensors = equation.rhs, program.tensors
        return (
            isinstance(rhs, Indexed)
            and rhs.indices == equation.lhs.indices
            and tensors[ir.name_of(rhs)].time == tensors[equation.target].time
        )

    return _fold(program, is_copy)


def _fold(program: Program, foldable: Callable[[Equation], bool]) -> Program:
    """Put the right-hand sides of foldable adjoints into their readers, at the readers' indices."""
    equations = list(program.equations)
    new = adjoint_ids(program)
    while found := next(
        (e for e in equations if e.id in new and program.tensors[e.target].role == "adjoint" and foldable(e)),
        None,
    ):
        equations.remove(found)
        ids = found.ids
        for p, reader in enumerate(equations):
            uses = {a for a in ir.accesses(reader.rhs, program.tensors) if ir.name_of(a) == found.target}
            if uses:
                own = found.lhs.indices if isinstance(found.lhs, Indexed) else ()
                swap = {a: found.rhs.xreplace(dict(zip(own, a.indices, strict=True)) if own else {}) for a in uses}
                equations[p] = replace(
                    reader, rhs=_without_zeros(reader.rhs.xreplace(swap)), merged=(*ids, *reader.merged)
                )
                ids = ()
    return remaining(program, equations)


def _without_zeros(expr: sp.Expr) -> sp.Expr:
    """The expression without sums of nothing: the derivative of floor is 0, and so is every product with it."""
    return ir.walk(expr, lambda e: sp.Integer(0) if isinstance(e, sp.Sum) and e.function == 0 else e)


def _read_within(found: Equation, equations: list[Equation], tensors: dict[str, Tensor]) -> bool:
    """Whether a tensor is only read inside of its span: outside it is zero, and what would stand for it may not be."""
    life = tensors[found.target].time
    for reader in equations if life is not None else ():
        for term in ir.terms(reader.rhs):
            for use in (a for a in ir.accesses(term, tensors) if ir.name_of(a) == found.target):
                when, by = ir.time_of(use, tensors), ir.offset(ir.time_of(use, tensors))
                assert life is not None and when is not None
                rest = term.xreplace({use: sp.Integer(1)})
                read = living(rest, reader, tensors) if by is not None else (when, when)
                if read is None or not ir.contains(life, (read[0] + (by or 0), read[1] + (by or 0))):
                    return False
    return True
