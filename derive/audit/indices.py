"""Indices and times in expressions: put elsewhere, renamed without capture, numbered, or left out to compare the rest."""

from __future__ import annotations

from functools import lru_cache
from itertools import count

import sympy as sp
from sympy.tensor.indexed import Indexed, IndexedBase

from derive import ir
from derive.ir import T, t

BOUND = ("k", "m", "l", "p", "q", "r")  # what summed indices are called, in this order
_fresh = count()


# -- another place -----------------------------------------------------------------------------------------------------


def placed(lhs: sp.Expr, rhs: sp.Expr, access: sp.Expr) -> sp.Expr:
    """The right-hand side of an equation at the time and indices of an access; its bound indices are fresh."""
    where: dict[sp.Expr, sp.Expr] = {}
    for own, wanted in zip(lhs.indices, access.indices, strict=True):
        where[t if own.has(t) else own] = sp.expand(wanted - (own - t)) if own.has(t) else wanted
    return freshened(rhs).xreplace({a: b for a, b in where.items() if a != b})


def at(expr: sp.Expr, when: sp.Expr) -> sp.Expr:
    """An expression at a fixed time: d[t+1] at T is d[T+1]."""
    moves = {a: a.func(a.base, *(sp.expand(i.xreplace({t: when})) for i in a.indices)) for a in expr.atoms(Indexed)}
    return expr.xreplace(moves)


def defined_at(lhs: sp.Expr, when: sp.Expr) -> sp.Expr:
    """The left-hand side of an equation with another time: d[t-1] -> d[t]."""
    return IndexedBase(lhs.base.label.name)[(when, *lhs.indices[1:])]


def seen_from(expr: sp.Expr, fixed: sp.Expr) -> sp.Expr:
    """An expression at a fixed time, seen from t = that time: d[T], c[T-1] -> d[t], c[t-1]."""
    moves = {}
    for access in expr.atoms(Indexed):
        if access.indices and not access.indices[0].has(t) and (by := sp.expand(access.indices[0] - fixed)).is_Integer:
            moves[access] = access.func(access.base, t + by, *access.indices[1:])
    return expr.xreplace(moves)


def reads_time(expr: sp.Expr) -> bool:
    """Whether t stands free in an expression."""
    if isinstance(expr, sp.Sum):
        return all(s != t for s, *_ in expr.limits) and reads_time(expr.function)
    if isinstance(expr, Indexed):
        return any(i.has(t) for i in expr.indices)
    return any(reads_time(a) for a in expr.args)


# -- other names -------------------------------------------------------------------------------------------------------


def renamed_apart(expr: sp.Sum) -> tuple[sp.Expr, list[tuple[sp.Symbol, sp.Expr, sp.Expr]]]:
    """A sum with bound indices that stand nowhere else; time keeps its name."""
    rename = {s: ir.index(f"_{next(_fresh)}") for s, *_ in expr.limits if s != t}
    return expr.function.xreplace(rename), [(rename.get(s, s), lo, hi) for s, lo, hi in expr.limits]


def freshened(expr: sp.Expr) -> sp.Expr:
    """Bound indices (time excepted) get names that stand nowhere else."""
    if isinstance(expr, Indexed) or not expr.has(sp.Sum):
        return expr
    if isinstance(expr, sp.Sum):
        body, limits = renamed_apart(expr)
        return sp.Sum(freshened(body), *limits)
    return expr.func(*(freshened(a) for a in expr.args))


def renamed(expr: sp.Expr, names: dict[sp.Expr, sp.Expr]) -> sp.Expr:
    """Free indices renamed, by way of names that nothing has; bound ones are renamed apart first."""
    between = {a: sp.Dummy(str(a), integer=True) for a, b in names.items()}
    return freshened(expr).xreplace(between).xreplace({between[a]: b for a, b in names.items()})


def lettered(expr: sp.Expr) -> sp.Expr:
    """Bound indices with names that a reader knows."""
    used = {str(s) for a in expr.atoms(Indexed) for s in a.free_symbols}
    inner = sorted({s for total in expr.atoms(sp.Sum) for s, *_ in total.limits if str(s).startswith("_")}, key=str)
    free = (ir.index(name) for name in (*BOUND, *(f"k{p}" for p in range(len(inner)))) if name not in used)
    return expr.xreplace(dict(zip(inner, free, strict=False)))


def numbered(total: sp.Sum) -> sp.Expr:
    """A sum of forward values with bound indices named by their order in it."""
    seen: list[sp.Symbol] = []
    own = {s for s, *_ in total.limits}
    for access in sorted(total.function.atoms(Indexed), key=lambda a: (bare(a), pattern(a, tuple(own)))):
        seen += [s for s in access.indices if s in own and s not in seen]
    rename = {s: ir.index(f"_{p}") for p, s in enumerate(seen)}
    return sp.Sum(total.function.xreplace(rename), *((s, 1, sp.Symbol(f"|{s}|")) for s in rename.values()))


def plain(expr: sp.Expr) -> sp.Expr:
    """Sums without their limits and with numbered indices, so that the same sum is the same expression."""
    return expr.xreplace({total: numbered(total) for total in expr.atoms(sp.Sum)})


# -- what is left without them ----------------------------------------------------------------------------------------


@lru_cache(maxsize=20000)
def bare(expr: sp.Expr) -> str:
    """Tensor names and times of an expression, without its other indices: an order that bound names cannot change."""
    return " ".join(sorted(map(_name_and_time, expr.atoms(Indexed))))


def pattern(access: sp.Expr, bound: tuple[sp.Symbol, ...]) -> str:
    """The indices of an access, bound ones without their names."""
    return str(["_" if s in bound else str(s) for s in access.indices])


def timeless(expr: sp.Expr) -> str:
    """An expression without its times."""
    return str(
        expr.xreplace({a: a.func(a.base, *(t if i.has(t, T) else i for i in a.indices)) for a in expr.atoms(Indexed)})
    )


def unindexed(expr: sp.Expr) -> str:
    """An expression without its indices other than time."""
    moves = {a: sp.Symbol(_name_and_time(a)) for a in expr.atoms(Indexed)}
    return str(sp.expand(expr.xreplace(moves)))


def _name_and_time(access: sp.Expr) -> str:
    return f"{ir.name_of(access)}@{access.indices[0] if access.indices and access.indices[0].has(t, T) else ''}"
