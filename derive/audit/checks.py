"""What an author can get wrong in the notation: left-hand sides, numbers of indices, indices that stand nowhere else."""

from __future__ import annotations

import sympy as sp
from sympy.tensor.indexed import Indexed

from derive import ir
from derive.audit.written import Derivation, Written
from derive.errors import DeriveError
from derive.ir import T, Tensor, t


def check_equations(where: str, found: Derivation) -> None:
    """Left-hand sides, numbers of indices, and that every index of a right-hand side is on the left or summed."""
    rank: dict[str, sp.Expr] = {}
    for equation in found.equations:
        line = f"{where}, line {equation.line}"
        _check_left(line, equation, found)
        before = rank.setdefault(equation.label, equation.lhs)
        if len(getattr(before, "indices", ())) != len(getattr(equation.lhs, "indices", ())):
            raise DeriveError(f"{line}: {ir.text(equation.lhs)} has other indices than {ir.text(before)} above")
    for equation in found.equations:
        line = f"{where}, line {equation.line}, in the equation of {ir.text(equation.lhs)}"
        _check_right(line, equation.rhs, set(getattr(equation.lhs, "free_symbols", ())), found, rank)


def _check_left(line: str, equation: Written, found: Derivation) -> None:
    indices, when = getattr(equation.lhs, "indices", ()), equation.when
    left = ir.text(equation.lhs)
    if when is not None and when.has(t) and when not in (t, t - 1, t + 1):
        raise DeriveError(f"{line}: {left} is defined at time {when}; write t, t-1, t+1 or a fixed time such as T")
    if len(set(indices)) < len(indices):
        raise DeriveError(f"{line}: {left} has an index twice")
    for index in indices[1:] if when is not None else indices:
        if not index.is_Symbol:
            raise DeriveError(
                f"{line}: {left} has {index} as an index; an index is a name such as n, and time comes first"
            )
    if equation.label in found.claims:
        tensor = found.reference.program.tensors[found.claims[equation.label]]
        if len(indices) != tensor.rank or (when is not None) != (tensor.time is not None):
            raise DeriveError(
                f"{line}: {left} claims to be the derivative of the loss by {tensor.primal} and must be written as "
                f"{_spelled(equation.label, tensor)}"
            )


def _check_right(line: str, expr: sp.Expr, scope: set[sp.Symbol], found: Derivation, rank: dict[str, sp.Expr]) -> None:
    if isinstance(expr, sp.Sum):
        own = {symbol for symbol, *_ in expr.limits}
        if own & scope:
            raise DeriveError(f"{line}, {ir.text(sp.Tuple(*(own & scope))[0])} is summed and also stands on the left or in "
                              f"another sum around it; give the sum an index of its own")  # fmt: skip
        return _check_right(line, expr.function, scope | own, found, rank)
    if not isinstance(expr, Indexed):
        for argument in expr.args:
            _check_right(line, argument, scope, found, rank)
        return None
    label, read = ir.name_of(expr), ir.text(expr)
    tensor = found.tensor(label)
    if tensor is not None and len(expr.indices) != tensor.rank:
        raise DeriveError(f"{line}, {read} has {len(expr.indices)} indices, it must be {_spelled(label, tensor)}")
    if tensor is None and len(expr.indices) != len(rank[label].indices):
        raise DeriveError(f"{line}, {read} has other indices than {ir.text(rank[label])}")
    timed = (
        tensor.time is not None
        if tensor is not None
        else any(e.label == label and e.when is not None for e in found.equations)
    )
    for place, index in enumerate(expr.indices):
        if place == 0 and timed:
            by = sp.expand(index - (t if index.has(t) else T if index.has(T) else 0))
            if not by.is_Integer:
                raise DeriveError(
                    f"{line}, {read} is read at time {index}; write t, t+1, t-1, T, 1 or the like, time first"
                )
        elif not index.is_Symbol or index in (t, T):
            raise DeriveError(
                f"{line}, {read} has {index} as an index; an index is a name such as n, and time comes first"
            )
        elif index not in scope:
            raise DeriveError(
                f"{line}, the index {index} of {read} is neither on the left nor summed; write Sum(..., {index}) around it"
            )
    return None


def _spelled(label: str, tensor: Tensor) -> str:
    return f"{label}[{', '.join([*(['t'] if tensor.time is not None else []), *map(str, tensor.indices)])}]"
