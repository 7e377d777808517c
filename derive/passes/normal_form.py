"""What normal form asks of sums: contractions and row sums, how an expression is brought to them, and a verifier.

contraction   Sum_k U[n,k]*v[t,k]          a parameter times a vector, summed over what both have (contraction.py)
sum of units  Sum_e f(C[t,d,e], q[t,e])    over one index or several of the values of a step
"""

from __future__ import annotations

import sympy as sp

from derive import ir
from derive.errors import DeriveError
from derive.ir import Program, t
from derive.passes.contraction import Tensors, contraction, is_weight


def refactored(expr: sp.Expr, tensors: Tensors) -> sp.Expr:
    """Sums over units with their factors where they belong.

    Sum_k 2*a[n]*U[n,k]*h[k]       ->  2*a[n]*Sum_k U[n,k]*h[k]
    Sum_k (U[n,k]*h[k] + V[n,k]*c[k])  ->  Sum_k U[n,k]*h[k] + Sum_k V[n,k]*c[k]
    Sum_{j,k} W[n,j]*V[j,k]*x[k]   ->  Sum_j W[n,j]*Sum_k V[j,k]*x[k]
    """
    if not expr.has(sp.Sum):
        return expr
    return ir.walk(expr, lambda node: _refactored(node, tensors) if isinstance(node, sp.Sum) else node)


def _refactored(total: sp.Sum, tensors: Tensors) -> sp.Expr:
    limits = list(total.limits)
    if any(symbol == t for symbol, *_ in limits):
        return total
    if isinstance(total.function, sp.Add) and any(_has_matrix(a, limits, tensors) for a in total.function.args):
        return sp.Add(*(_refactored(sp.Sum(a, *limits), tensors) for a in total.function.args))
    factors = list(sp.Mul.make_args(total.function))
    symbols = {symbol for symbol, *_ in limits}
    outside = [f for f in factors if not f.has(*symbols)]
    inside = [f for f in factors if f not in outside]
    if not inside:
        return total  # Sum_k a: verify_normal asks for a vector
    whole = sp.Sum(sp.Mul(*inside), *limits)
    if contraction(whole, tensors) is not None:
        return sp.Mul(*outside, whole) if outside else total
    while len(limits) > 1:
        chosen = next((limit for limit in limits if _one_matrix(inside, limit[0], tensors)), None)
        if chosen is None:
            break
        limits.remove(chosen)
        own = [f for f in inside if f.has(chosen[0])]
        inside = [f for f in inside if f not in own]
        inside.append(_refactored(sp.Sum(sp.Mul(*own), chosen), tensors))
    if not outside and limits == list(total.limits):
        return total
    return sp.Mul(*outside, sp.Sum(sp.Mul(*inside), *limits))


def _has_matrix(term: sp.Expr, limits: list[sp.Tuple], tensors: Tensors) -> bool:
    return any(
        is_weight(f, tensors) and any(symbol in f.indices for symbol, *_ in limits) for f in sp.Mul.make_args(term)
    )


def _one_matrix(factors: list[sp.Expr], symbol: sp.Symbol, tensors: Tensors) -> bool:
    """Whether the sum over one index is a contraction: a matrix carries it to another index, and nothing else does."""
    own = [f for f in factors if f.has(symbol)]
    return contraction(sp.Sum(sp.Mul(*own), (symbol, 1, ir.T)), tensors) is not None


def verify_normal(program: Program) -> Program:
    """Check what later passes take for granted of a cell or a loss; return it or raise a DeriveError in its words."""
    for equation in program.equations:
        where = f"{program.name}, {equation.id}: {ir.text(equation.lhs)} = {ir.text(equation.rhs)}"
        for total in ir.ordered(equation.rhs.atoms(sp.Sum)):
            if not _is_normal(total, program.tensors):
                raise DeriveError(
                    f"{where}: {ir.text(total)} sums over an index that stands on no value; write a matrix as a "
                    f"parameter with two indices, and a vector as a value of its own"
                )
        try:
            axes = list(ir.axes(equation, program.tensors))
        except DeriveError as error:
            raise DeriveError(f"{where}: {error}") from error
        if isinstance(equation.rhs, ir.Largest) and [s for s, *_ in equation.rhs.limits] != axes[-1:]:
            raise DeriveError(
                f"{where}: the largest of values is found over their last index, {axes[-1]}, alone; let the index of a softmax "
                f"be the last one of what it reads"
            )
    return program


def _is_normal(total: sp.Sum, tensors: Tensors) -> bool:
    """Whether a sum over units is a contraction, or adds up values."""
    if any(symbol == t for symbol, *_ in total.limits) or contraction(total, tensors) is not None:
        return True
    read = {i for a in ir.accesses(total.function, tensors) for i in ir.indices_of(a, tensors)}
    return all(symbol in read for symbol, *_ in total.limits)
