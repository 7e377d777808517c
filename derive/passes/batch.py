"""Many sequences at once: the pass that adds the batch index.

    x[t,j]                            ->  x[t,row,j]
    d_W[n,j] = Sum_t d_z[t,n]*x[t,j]  ->  d_W[n,j] = Sum_t Sum_row d_z[t,row,n]*x[t,row,j]

Parameters and their gradients have no batch index; where an equation without one reads something that has it, the
rows are summed.  This is the whole rule: the loss is a sum over sequences, so are its gradients.
"""

from __future__ import annotations

from dataclasses import replace

import sympy as sp
from sympy.tensor.indexed import Indexed, IndexedBase

from derive import ir
from derive.ir import ROW, B, Program, Tensor, t


def batch(program: Program) -> Program:
    """Program for one sequence -> program for B sequences, independent of each other."""
    tensors = {name: _batched(x) for name, x in program.tensors.items()}

    def access(node: sp.Expr) -> sp.Expr:
        read = program.tensors.get(ir.name_of(node)) if isinstance(node, Indexed) or node.is_Symbol else None
        if read is None or not read.batched or isinstance(node, Indexed) == (read.rank == 0):
            return node
        when = ir.time_of(node, program.tensors)
        first = () if when is None else (when,)
        return IndexedBase(read.name)[(*first, ROW, *ir.indices_of(node, program.tensors))]

    equations = []
    for equation in program.equations:
        rhs = ir.walk(equation.rhs, access)
        if not program.tensors[equation.target].batched:
            rhs = sp.Add(*(_summed(term) if _of_sequences(term) else term for term in ir.terms(rhs)))
        equations.append(replace(equation, lhs=access(equation.lhs), rhs=rhs))
    primal = batch(program.primal) if program.primal is not None else None
    return ir.verify(replace(program, tensors=tensors, equations=tuple(equations), primal=primal))


def _batched(tensor: Tensor) -> Tensor:
    if not tensor.batched:
        return tensor
    return replace(tensor, dims=(B, *tensor.dims), indices=(ROW, *tensor.indices))


def _of_sequences(term: sp.Expr) -> bool:
    """Whether each sequence has a part in a term: it reads one, or it sums over its steps (Sum_t 1 counts steps)."""
    return term.has(ROW) or any(symbol == t for total in term.atoms(sp.Sum) for symbol, *_ in total.limits)


def _summed(term: sp.Expr) -> sp.Expr:
    """Sum over the rows, inside of the sum over time that is there already."""
    if isinstance(term, sp.Sum):
        return sp.Sum(term.function, (ROW, 1, B), *term.limits)
    constant, rest = term.as_independent(Indexed, sp.Sum, as_Add=False)
    return constant * (_summed(rest) if isinstance(rest, sp.Sum) else sp.Sum(rest, (ROW, 1, B)))
