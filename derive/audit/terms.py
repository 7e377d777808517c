"""A right-hand side as a list of terms: linear in the deltas that it reads, each with a coefficient of forward values.

    dc[t,n] = (1 - tanh(c[t,n])**2)*o[t,n]*dh[t,n] + f[t+1,n]*dc[t+1,n]

    key              coefficient              span
    d_h[t,n]         (1 - tanh_c**2)*o        1..T
    d_c[t+1,n]       f[t+1,n]                 1..T-1

This is the form in which two derivations can be compared: adjoints enter gradient equations linearly, so each of them
has one coefficient, and bound indices, the order of factors and the place of a shift in time no longer matter.

`Terms` makes the lists.  `Coefficients` gives coefficients one form, and knows whether two of them are the same function of
the forward pass.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import reduce
from typing import Any

import sympy as sp
from sympy.tensor.indexed import Indexed, IndexedBase

from derive import ir
from derive.audit.indices import BOUND, bare, numbered, pattern, plain, renamed_apart
from derive.audit.reference import Derived
from derive.ir import Equation, Span, span, t
from derive.ir.functions import record_of


@dataclass(frozen=True)
class Term:
    """coefficient * product of `key`, summed over `bound`, for t in `when`.

    Where the left-hand side has no time, the term is summed over `when` too; None: it has no time at all.  `through`
    names the author's intermediate quantities by whose equations the term came in, the innermost last.
    """

    key: tuple[sp.Expr, ...]
    coefficient: sp.Expr
    bound: tuple[sp.Symbol, ...]
    when: Span | None
    through: tuple[str, ...] = ()

    @property
    def slot(self) -> tuple[Any, ...]:
        """All but the coefficient: terms of one slot can be added up."""
        return self.key, self.bound, self.when

    @property
    def expr(self) -> sp.Expr:
        """The term as an expression, without its range of time."""
        body = sp.Mul(self.coefficient, *self.key)
        return sp.Sum(body, *((b, 1, sp.Symbol(f"|{b}|")) for b in self.bound)) if self.bound else body


class Terms:
    """Makes terms of right-hand sides."""

    def __init__(self, derived: Derived) -> None:
        self.derived, self.coefficients = derived, Coefficients(derived)

    def linear(self, expr: sp.Expr) -> bool:
        """Whether something in an expression is an adjoint or a range, so that it must be multiplied out."""
        return (
            expr.has(span, Marker)
            or self.derived.has_delta(expr)
            or any(symbol == t for total in expr.atoms(sp.Sum) for symbol, *_ in total.limits)
        )

    def of(self, expr: sp.Expr, free: Iterable[sp.Symbol], when: Span | None) -> list[Term]:
        """The terms of a right-hand side whose left has the indices `free`, for t in `when` (None: no time there)."""
        found = [self._term(p, tuple(free), when) for p in self._products(expr)]
        return merged(x for x in found if x is not None)

    def _products(self, expr: sp.Expr) -> list[_Product]:
        if not self.linear(expr):
            return [_Product((expr,))]
        if isinstance(expr, sp.Add):
            return [p for a in expr.args for p in self._products(a)]
        if isinstance(expr, sp.Sum):
            body, limits = renamed_apart(expr)
            times = tuple((lo, hi) for s, lo, hi in limits if s == t)
            own = tuple(s for s, *_ in limits if s != t)
            return [replace(p, bound=(*own, *p.bound), times=(*times, *p.times)) for p in self._products(body)]
        if isinstance(expr, sp.Pow) and expr.exp.is_Integer and 1 < expr.exp <= 4:
            expr = sp.Mul(*([expr.base] * int(expr.exp)), evaluate=False)
        if isinstance(expr, sp.Mul):
            product = [_Product(())]
            for argument in expr.args:
                product = [
                    _Product((*a.factors, *b.factors), (*a.bound, *b.bound), (*a.times, *b.times))
                    for a in product
                    for b in self._products(argument)
                ]
            return product
        return [_Product((expr,))]

    def _term(self, product: _Product, free: tuple[sp.Symbol, ...], when: Span | None) -> Term | None:
        through = tuple(f.name for f in product.factors if isinstance(f, Marker))
        factors = [f for f in product.factors if not isinstance(f, Marker)]
        spans = [f for f in factors if isinstance(f, span)]
        factors = [f for f in factors if not isinstance(f, span)]
        timed = [a for f in factors for a in f.atoms(Indexed) if self.derived.time(a) is not None]
        reach = list(product.times)
        if when is None and timed and not product.times:
            factors, spans, reach = self._from_fixed(factors, spans, timed)
        keys = [f for f in factors if self.derived.has_delta(f)]
        shift = self._shift(keys, factors) if when is None and reach else sp.Integer(0)
        if shift != 0:
            factors = [f.xreplace({t: t - shift}) for f in factors]
            spans = [f.xreplace({t: t - shift}) for f in spans]
            reach = [(lo + shift, hi + shift) for lo, hi in reach]
            keys = [f for f in factors if self.derived.has_delta(f)]
        for one in spans:
            by = sp.expand(one.args[0] - t)
            reach.append((one.args[1] - by, one.args[2] - by))
        if when is not None:
            reach.append(when)
        own = ir.support(sp.Mul(*factors, evaluate=False), self.derived.tensors) if reach else None
        if own is not None:
            reach.append(own)
        whole = reduce(ir.intersect, reach) if reach else None
        if whole is not None and (empty := sp.expand(whole[1] - whole[0])).is_Integer and empty < 0:
            return None
        coefficient = self.coefficients.canonical(sp.Mul(*(f for f in factors if not self.derived.has_delta(f))))
        if coefficient == 0:
            return None
        return self._named(keys, coefficient, product.bound, free, whole, through)

    def _from_fixed(
        self, factors: list[sp.Expr], spans: list[sp.Expr], timed: list[sp.Expr]
    ) -> tuple[list[sp.Expr], list[sp.Expr], list[Span]]:
        """d_z[T,n]*x[T,j] is the sum of d_z[t,n]*x[t,j] over t = T..T."""
        deltas = [a for a in timed if self.derived.is_adjoint(a)] or timed
        at = self.derived.time(sorted(deltas, key=str)[0])
        assert at is not None
        moves = {
            a: a.func(a.base, t + sp.expand(a.indices[0] - at), *a.indices[1:])
            for a in timed
            if sp.expand(a.indices[0] - at).is_Integer
        }
        if at.has(t):
            return factors, spans, []
        return [f.xreplace(moves) for f in factors], spans, [(at, at)]

    def _shift(self, keys: list[sp.Expr], factors: list[sp.Expr]) -> sp.Expr:
        """By how much the first delta of a term under a sum over time is away from t."""
        for one in (*sorted(keys, key=str), *sorted(factors, key=str)):
            for access in sorted(one.atoms(Indexed), key=str):
                when = self.derived.time(access)
                if when is not None and ir.offset(when) is not None:
                    return sp.Integer(ir.offset(when) or 0)
        return sp.Integer(0)

    def _named(
        self,
        keys: list[sp.Expr],
        coefficient: sp.Expr,
        bound: tuple[sp.Symbol, ...],
        free: tuple[sp.Symbol, ...],
        when: Span | None,
        through: tuple[str, ...],
    ) -> Term:
        """Bound indices get names by the order in which they stand in the deltas, then in the coefficient."""
        keys = sorted(keys, key=lambda e: (bare(e), str(e)))
        seen: list[sp.Symbol] = []
        for one in (*keys, *sorted(coefficient.atoms(Indexed), key=lambda e: (bare(e), pattern(e, bound)))):
            for access in [one] if isinstance(one, Indexed) else sorted(one.atoms(Indexed), key=str):
                seen += [s for s in access.indices if s in bound and s not in seen]
        names = [s for s in map(ir.index, BOUND) if s not in free]
        rename = dict(zip(seen, names, strict=False))
        return Term(
            tuple(x.xreplace(rename) for x in keys),
            coefficient.xreplace(rename),
            tuple(rename[s] for s in seen),
            when,
            through,
        )


def merged(terms: Iterable[Term]) -> list[Term]:
    """Terms that differ by a number only are one; two ranges that meet, with one coefficient, are one range."""
    kept: list[Term] = []
    for term in terms:
        for place, before in enumerate(kept):
            if (before.key, before.bound, before.when) != (term.key, term.bound, term.when):
                continue
            ours, theirs = before.coefficient.as_coeff_Mul(), term.coefficient.as_coeff_Mul()
            if ours[1] == theirs[1]:
                through = tuple(dict.fromkeys((*before.through, *term.through)))
                kept[place] = replace(before, coefficient=(ours[0] + theirs[0]) * ours[1], through=through)
                break
        else:
            kept.append(term)
    kept = [x for x in kept if x.coefficient != 0]
    for number, a in enumerate(kept):
        for other, b in enumerate(kept):
            joined = _joined(a, b) if number != other else None
            if joined is not None:
                return merged([x for p, x in enumerate(kept) if p not in (number, other)] + [joined])
    return kept


def _joined(a: Term, b: Term) -> Term | None:
    if (a.key, a.bound) != (b.key, b.bound) or a.when is None or b.when is None:
        return None
    if sp.expand(b.when[0] - a.when[1]) == 1 and sp.expand(a.coefficient - b.coefficient) == 0:
        return replace(a, when=(a.when[0], b.when[1]), through=tuple(dict.fromkeys((*a.through, *b.through))))
    return None


class Marker(sp.Symbol):
    """A factor 1 that remembers through which intermediate quantity a term came."""


@dataclass(frozen=True)
class _Product:
    """A product under sums, before it is put in order."""

    factors: tuple[sp.Expr, ...]
    bound: tuple[sp.Symbol, ...] = ()
    times: tuple[Span, ...] = ()


# -- coefficients ------------------------------------------------------------------------------------------------------


class Coefficients:
    """Brings coefficients into one form; knows the values that the forward pass saves."""

    def __init__(self, derived: Derived) -> None:
        self.derived, self.primal = derived, derived.reference.primal
        self.saved = {
            (e.rhs.func, ir.name_of(e.rhs.args[0])): e.target
            for e in self.primal.equations
            if record_of(e.rhs) is not None and isinstance(e.rhs.args[0], Indexed)
        }

    def canonical(self, expr: sp.Expr) -> sp.Expr:
        """sigmoid(z_f[t,n]) is f[t,n]; a sum that is a forward value gets its name; bound indices of sums are numbered."""
        expr = ir.walk(expr, self._saved)
        for total in sorted(expr.atoms(sp.Sum), key=str):
            expr = expr.xreplace({total: numbered(total)})
        return expr

    def _saved(self, node: sp.Expr) -> sp.Expr:
        if record_of(node) is None or len(node.args) != 1:
            return node
        argument = node.args[0]
        argument = argument if isinstance(argument, Indexed) else self._recognised(argument)
        if isinstance(argument, Indexed):
            name = self.saved.get((node.func, ir.name_of(argument)))
            if name is not None:
                return IndexedBase(name)[argument.indices]
        return node if argument is node.args[0] else node.func(argument)

    def _recognised(self, expr: sp.Expr) -> sp.Expr:
        """The forward value whose equation has this right-hand side, at whatever time and indices; else the expression."""
        names = ir.names_in(expr)
        for equation in self.primal.equations:
            if not isinstance(equation.rhs, (sp.Add, sp.Mul, sp.Sum)) or not isinstance(equation.lhs, Indexed):
                continue
            if ir.names_in(equation.rhs) != names:
                continue
            for where in self._placements(equation, expr):
                moved = equation.rhs.xreplace(where)
                if sp.expand(plain(moved) - plain(expr)) == 0:
                    return equation.lhs.xreplace(where)
        return expr

    @staticmethod
    def _placements(equation: Equation, expr: sp.Expr) -> list[dict[sp.Expr, sp.Expr]]:
        """Times and indices at which the equation could stand in the expression."""
        bound = {s for total in expr.atoms(sp.Sum) for s, *_ in total.limits}
        free = sorted(
            {s for a in expr.atoms(Indexed) for s in a.indices if s.is_Symbol and s not in bound and s != t}, key=str
        )
        own = [s for s in equation.lhs.indices if s != t]
        found = []
        for by in (0, -1, 1):
            for symbol in free if len(own) == 1 else [None]:
                where = {t: t + by} if by else {}
                found.append({**where, **({own[0]: symbol} if symbol is not None else {})})
        return found

    def eliminated(self, expr: sp.Expr, when: Span | None) -> sp.Expr:
        """The same value with forward values that are products and sums of others put in: h[t] becomes o[t]*tanh_c[t].

        Only at times at which the equation holds: h[t-1] stays, for at t = 1 it is the initial state.
        """
        lo = when[0] if when is not None and when[0].is_Integer else sp.Integer(1)
        definitions = {
            e.target: e
            for e in self.primal.equations
            if isinstance(e.lhs, Indexed) and e.lhs.has(t) and not e.rhs.has(sp.Sum) and record_of(e.rhs) is None
        }
        for _ in range(2 * len(definitions)):
            moves = {}
            for access in expr.atoms(Indexed):
                equation = definitions.get(ir.name_of(access))
                by = ir.offset(self.derived.time(access)) if equation is not None else None
                if equation is None or by is None or lo + by < 1:
                    continue
                where = dict(zip(equation.lhs.indices[1:], access.indices[1:], strict=True))
                moves[access] = equation.rhs.xreplace({**where, t: t + by})
            if not moves:
                break
            expr = self.canonical(expr.xreplace(moves))
        return sp.expand(expr)

    def equal(self, a: sp.Expr, b: sp.Expr, when: Span | None) -> bool:
        """Whether two coefficients are the same function of the forward pass."""
        if a == b or sp.expand(a - b) == 0:
            return True
        left, right = self.eliminated(a, when), self.eliminated(b, when)
        return left == right or sp.expand(left - right) == 0 or sp.cancel(left - right) == 0
