"""Contractions: a parameter times a vector, summed over what both have; the products that a machine runs as matrices.

Sum_k U[n,k]*h[k]            a matrix and a vector
Sum_e R[n,d,e]*h[n,e]        one matrix for every n, a head: a batched product, a block-diagonal matrix
Sum_{n,e} W[i,n,e]*h[n,e]    a matrix whose columns are the pairs (n, e): indices side by side are one index in memory
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import sympy as sp
from sympy.tensor.indexed import Indexed

from derive import ir
from derive.ir import Tensor

Tensors = dict[str, Tensor]


@dataclass(frozen=True)
class Contraction:
    """The indices of a product: `batch` has one matrix each, `rows` are those of the result, `inner` are summed.

    `transposed`: the weight has its indices in the order batch, inner, rows; otherwise batch, rows, inner.
    """

    batch: tuple[sp.Expr, ...]
    rows: tuple[sp.Expr, ...]
    inner: tuple[sp.Expr, ...]
    transposed: bool

    @property
    def result(self) -> tuple[sp.Expr, ...]:
        """The indices of the result."""
        return (*self.batch, *self.rows)


def contraction_of(
    weight: Sequence[sp.Expr], operand: Sequence[sp.Expr], summed: Sequence[sp.Expr]
) -> Contraction | None:
    """What the indices of a weight and of an operand make of a sum; None where memory does not hold them side by side."""
    if len(set(weight)) < len(weight) or not set(summed) <= set(weight) & set(operand):
        return None
    batch = tuple(i for i in weight if i in operand and i not in summed)
    rows = tuple(i for i in weight if i not in operand)
    inner = tuple(i for i in operand if i in summed)
    if not rows or not inner or tuple(operand) != (*batch, *inner):
        return None
    if tuple(weight) == (*batch, *rows, *inner):
        return Contraction(batch, rows, inner, False)
    if tuple(weight) == (*batch, *inner, *rows):
        return Contraction(batch, rows, inner, True)
    return None


def is_weight(factor: sp.Expr, tensors: Tensors) -> bool:
    """Whether a factor is a parameter with two indices or more."""
    if not isinstance(factor, Indexed):
        return False
    tensor = tensors[ir.name_of(factor)]
    return tensor.time is None and not tensor.batched and len(tensor.dims) > 1


def contraction(total: sp.Sum, tensors: Tensors) -> tuple[sp.Expr, sp.Expr] | None:
    """The weight and the vector of a contraction; None for a sum that is none.

    The weight is the one parameter with several indices that has all of the summed ones, the vector is all else.
    """
    summed = [symbol for symbol, *_ in total.limits]
    factors = list(sp.Mul.make_args(total.function))
    weights = [f for f in factors if is_weight(f, tensors) and set(summed) <= set(f.indices)]
    if len(weights) != 1:
        return None
    (weight,) = weights
    vector = sp.Mul(*(f for f in factors if f is not weight))
    values = [tensors[ir.name_of(a)] for a in ir.accesses(vector, tensors)]
    if not any(x.time is not None or x.batched for x in values):  # made of parameters alone: a sum like all others
        return None
    bound = {s for inner in vector.atoms(sp.Sum) for s, *_ in inner.limits}
    read = {i for a in ir.accesses(vector, tensors) for i in ir.unit_indices(a, tensors)} - bound
    # A vector that is more than one access becomes a value of its own, with its indices as the weight has them.
    own = ir.unit_indices(vector, tensors) if isinstance(vector, Indexed) else [i for i in weight.indices if i in read]
    if not read <= set(weight.indices):
        return None
    return (weight, vector) if contraction_of(weight.indices, own, summed) is not None else None
