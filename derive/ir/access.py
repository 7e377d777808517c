"""What an expression reads: the accesses in it, their tensors, times and indices; and ways to take it apart."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import lru_cache

import sympy as sp
from sympy.tensor.indexed import Indexed

from derive.ir.program import Equation, Tensor, name_of
from derive.ir.symbols import t


def accesses(expr: sp.Expr, tensors: dict[str, Tensor]) -> list[sp.Expr]:
    """The distinct accesses in an expression, sorted by name and index so that runs agree."""
    return [leaf for leaf, name, indexed in _leaves(expr) if name in tensors and (indexed or tensors[name].rank == 0)]


@lru_cache(maxsize=1 << 16)
def _leaves(expr: sp.Expr) -> tuple[tuple[sp.Expr, str, bool], ...]:
    """What may be an access in an expression, sorted: with its name, and whether it has indices.  Every pass asks again."""
    found = {*expr.atoms(Indexed), *(s for s in expr.free_symbols if s.is_Symbol)}
    return tuple((x, name_of(x), isinstance(x, Indexed)) for x in sorted(found, key=sp.default_sort_key))


def names_in(expr: sp.Expr) -> set[str]:
    """The names of all that stands with indices in an expression."""
    return {name_of(a) for a in expr.atoms(Indexed)}


def time_of(access: sp.Expr, tensors: dict[str, Tensor]) -> sp.Expr | None:
    """The time index of an access, or None where the tensor has no time axis."""
    return access.indices[0] if tensors[name_of(access)].time is not None else None


def indices_of(access: sp.Expr, tensors: dict[str, Tensor]) -> tuple[sp.Expr, ...]:
    """The indices of an access other than time."""
    if not isinstance(access, Indexed):
        return ()
    return access.indices[1:] if tensors[name_of(access)].time is not None else access.indices


def dims_of(expr: sp.Expr, tensors: dict[str, Tensor]) -> dict[sp.Expr, sp.Symbol]:
    """The dimension over which each index in an expression runs, time left out."""
    return {
        index: dim
        for access in accesses(expr, tensors)
        for index, dim in zip(indices_of(access, tensors), tensors[name_of(access)].dims, strict=True)
    }


def is_position(equation: Equation) -> bool:
    """Whether an equation says at which position a unit stands, position[n] = n - 1: none else has an index as a value."""
    return isinstance(equation.lhs, Indexed) and equation.rhs == equation.lhs.indices[-1] - 1


def offset(when: sp.Expr | None) -> int | None:
    """The k of t+k; None where time is absent or fixed."""
    if when is None:
        return None
    difference = when - t
    return int(difference) if difference.is_Integer else None


def terms(expr: sp.Expr) -> list[sp.Expr]:
    """The summands of an expression."""
    return list(sp.Add.make_args(expr))


def ordered(expressions: Iterable[sp.Expr]) -> list[sp.Expr]:
    """Expressions in an order that does not depend on the run."""
    return sorted(expressions, key=sp.default_sort_key)


def walk(expr: sp.Expr, leave: Callable[[sp.Expr], sp.Expr]) -> sp.Expr:
    """Rebuild bottom-up, calling `leave` on every node; an unchanged node is not rebuilt (SymPy would reorder it)."""
    if expr.args and not isinstance(expr, Indexed):
        children = [walk(a, leave) if isinstance(a, sp.Expr) else a for a in expr.args]
        if any(new is not old for new, old in zip(children, expr.args, strict=True)):
            expr = expr.func(*children)
    return leave(expr)
