"""What normal form asks of sums: contractions and row sums, how an expression is brought to them, and a verifier.

contraction   Sum_k U[n,k]*v[t,k]    a parameter with two indices, one of them summed, times a vector over that index
row sum       Sum_n f(v[t,n], ...)   one number a step
"""

from __future__ import annotations

import sympy as sp
from sympy.tensor.indexed import Indexed

from derive import ir
from derive.errors import DeriveError
from derive.ir import Program, Tensor, t

Tensors = dict[str, Tensor]


def contraction(total: sp.Sum, tensors: Tensors) -> tuple[sp.Expr, sp.Expr] | None:
    """The matrix and the vector of a contraction; None for a sum that is none.

    The matrix is a parameter with two indices, of which the summed one is one; the vector is all else, and the other
    index of the matrix does not stand in it.
    """
    if len(total.limits) != 1:
        return None
    symbol = total.limits[0][0]
    factors = list(sp.Mul.make_args(total.function))
    matrices = [f for f in factors if _is_matrix(f, tensors) and symbol in f.indices]
    if len(matrices) != 1:
        return None
    (matrix,) = matrices
    vector = sp.Mul(*(f for f in factors if f is not matrix))
    other = next(i for i in matrix.indices if i != symbol)
    indices = {i for a in ir.accesses(vector, tensors) for i in ir.indices_of(a, tensors)}
    bound = {s for inner in vector.atoms(sp.Sum) for s, *_ in inner.limits}
    return (matrix, vector) if indices - bound == {symbol} and other != symbol else None


def _is_matrix(factor: sp.Expr, tensors: Tensors) -> bool:
    return isinstance(factor, Indexed) and len(factor.indices) == 2 and tensors[ir.name_of(factor)].time is None


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
        _is_matrix(f, tensors) and any(symbol in f.indices for symbol, *_ in limits) for f in sp.Mul.make_args(term)
    )


def _one_matrix(factors: list[sp.Expr], symbol: sp.Symbol, tensors: Tensors) -> bool:
    """Whether the sum over one index is a contraction: a matrix carries it to another index, and nothing else does."""
    own = [f for f in factors if f.has(symbol)]
    return contraction(sp.Sum(sp.Mul(*own), (symbol, 1, ir.T)), tensors) is not None


def verify_normal(program: Program) -> Program:
    """Check what later passes take for granted of a cell or a loss; return it or raise a DeriveError in its words."""
    for tensor in program.tensors.values():
        most = 2 if tensor.role == "param" else 1
        if len(tensor.dims) > most:
            raise DeriveError(
                f"{program.name}: {tensor.at()} has {len(tensor.dims)} indices beside time; a value of a step has one "
                f"at most, a parameter two"
            )
    for equation in program.equations:
        tensor = program.tensors[equation.target]
        where = f"{program.name}, {equation.id}: {ir.text(equation.lhs)} = {ir.text(equation.rhs)}"
        if tensor.role == "value" and tensor.time is None:
            raise DeriveError(
                f"{where} depends on parameters only; let it have a time index: {equation.target}[t, ...] = ..."
            )
        for total in ir.ordered(equation.rhs.atoms(sp.Sum)):
            if not _is_normal(total, program.tensors):
                raise DeriveError(
                    f"{where}: {ir.text(total)} is neither a matrix times a vector nor a sum over the units of one "
                    f"row; write a matrix as a parameter with two indices, and a vector as a value of its own"
                )
    return program


def _is_normal(total: sp.Sum, tensors: Tensors) -> bool:
    if any(symbol == t for symbol, *_ in total.limits):
        return True
    if contraction(total, tensors) is not None:
        return True
    symbols = [symbol for symbol, *_ in total.limits]
    reads = ir.accesses(total.function, tensors)
    indices = {i for a in reads for i in ir.indices_of(a, tensors)}
    return len(symbols) == 1 and indices == set(symbols) and not any(_is_matrix(a, tensors) for a in reads)
