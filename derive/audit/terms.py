"""A right-hand side as a list of terms: linear in the deltas that it reads, each with a coefficient of forward values.

    dc[t,n] = (1 - tanh(c[t,n])**2)*o[t,n]*dh[t,n] + f[t+1,n]*dc[t+1,n]

    key              coefficient              span
    d_h[t,n]         (1 - tanh_c**2)*o        1..T
    d_c[t+1,n]       f[t+1,n]                 1..T-1

This is the form in which two derivations can be compared: adjoints enter gradient equations linearly, so each of them
has one coefficient, and bound indices, the order of factors and the place of a shift in time no longer matter.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import lru_cache
from itertools import count

import sympy as sp
from sympy.tensor.indexed import Indexed, IndexedBase

from derive import ir
from derive.audit.reference import Reference
from derive.functions import record_of
from derive.ir import Equation, Span, T, Tensor, span, t

BOUND = ("k", "m", "l", "p", "q", "r")
_fresh = count()


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
    def expr(self) -> sp.Expr:
        """The term as an expression, without its range of time."""
        body = sp.Mul(self.coefficient, *self.key)
        return sp.Sum(body, *((b, 1, sp.Symbol(f"|{b}|")) for b in self.bound)) if self.bound else body


@dataclass(frozen=True)
class _Product:
    """A product under sums, before it is put in order."""

    factors: tuple[sp.Expr, ...]
    bound: tuple[sp.Symbol, ...] = ()
    times: tuple[Span, ...] = ()


class Marker(sp.Symbol):
    """A factor 1 that remembers through which intermediate quantity a term came."""


@dataclass
class Terms:
    """Makes terms of right-hand sides: knows the tensors, which of them are adjoints, and the saved forward values."""

    reference: Reference
    last: bool = False
    tensors: dict[str, Tensor] = field(init=False)
    adjoints: set[str] = field(init=False)

    def __post_init__(self) -> None:
        of = self.reference
        self.tensors = dict(of.program.tensors)
        if of.loss is not None:
            self.tensors |= {n: of.loss.tensors[n] for n in of.targets}
        self.same = _same(of)
        self.adjoints = {x.name for x in self.tensors.values() if x.role in ("adjoint", "gradient", "seed")}
        self.saved = {
            (e.rhs.func, ir.name_of(e.rhs.args[0])): e.target
            for e in of.primal.equations
            if record_of(e.rhs) is not None and isinstance(e.rhs.args[0], Indexed)
        }

    def is_adjoint(self, expr: sp.Expr) -> bool:
        return isinstance(expr, Indexed) and ir.name_of(expr) in self.adjoints

    def has_delta(self, expr: sp.Expr) -> bool:
        """Whether an adjoint stands in an expression."""
        return any(self.is_adjoint(a) for a in expr.atoms(Indexed))

    def linear(self, expr: sp.Expr) -> bool:
        """Whether something in an expression is an adjoint or a range, so that it must be multiplied out."""
        return (
            expr.has(span, Marker)
            or self.has_delta(expr)
            or any(symbol == t for total in expr.atoms(sp.Sum) for symbol, *_ in total.limits)
        )

    # -- an equation ---------------------------------------------------------------------------------------------------

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
            body, limits = self._renamed(expr)
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

    @staticmethod
    def _renamed(expr: sp.Sum) -> tuple[sp.Expr, list[tuple[sp.Symbol, sp.Expr, sp.Expr]]]:
        """A sum with bound indices that stand nowhere else; time keeps its name."""
        rename = {s: ir.index(f"_{next(_fresh)}") for s, *_ in expr.limits if s != t}
        return expr.function.xreplace(rename), [(rename.get(s, s), lo, hi) for s, lo, hi in expr.limits]

    def _term(self, product: _Product, free: tuple[sp.Symbol, ...], when: Span | None) -> Term | None:
        through = tuple(f.name for f in product.factors if isinstance(f, Marker))
        factors = [f for f in product.factors if not isinstance(f, Marker)]
        spans = [f for f in factors if isinstance(f, span)]
        factors = [f for f in factors if not isinstance(f, span)]
        timed = [a for f in factors for a in f.atoms(Indexed) if self._time(a) is not None]
        reach = list(product.times)
        if when is None and timed and not product.times:
            factors, spans, reach = self._from_fixed(factors, spans, timed)
        keys = [f for f in factors if self.has_delta(f)]
        shift = self._shift(keys, factors) if when is None and reach else sp.Integer(0)
        if shift != 0:
            factors = [f.xreplace({t: t - shift}) for f in factors]
            spans = [f.xreplace({t: t - shift}) for f in spans]
            reach = [(lo + shift, hi + shift) for lo, hi in reach]
            keys = [f for f in factors if self.has_delta(f)]
        for one in spans:
            by = sp.expand(one.args[0] - t)
            reach.append((one.args[1] - by, one.args[2] - by))
        if when is not None:
            reach.append(when)
        own = ir.reach(sp.Mul(*factors, evaluate=False), self.tensors) if reach else None
        if own is not None:
            reach.append(own)
        whole = _meet(reach)
        if whole is not None and (empty := sp.expand(whole[1] - whole[0])).is_Integer and empty < 0:
            return None
        coefficient = self.canonical(sp.Mul(*(f for f in factors if not self.has_delta(f))))
        if coefficient == 0:
            return None
        return self._named(keys, coefficient, product.bound, free, whole, through)

    def _time(self, access: sp.Expr) -> sp.Expr | None:
        tensor = self.tensors.get(ir.name_of(access))
        return access.indices[0] if tensor is not None and tensor.time is not None else None

    def _from_fixed(
        self, factors: list[sp.Expr], spans: list[sp.Expr], timed: list[sp.Expr]
    ) -> tuple[list[sp.Expr], list[sp.Expr], list[Span]]:
        """d_z[T,n]*x[T,j] is the sum of d_z[t,n]*x[t,j] over t = T..T."""
        deltas = [a for a in timed if self.is_adjoint(a)] or timed
        at = self._time(sorted(deltas, key=str)[0])
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
                when = self._time(access)
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
        keys = sorted(keys, key=lambda e: (_bare(e), str(e)))
        seen: list[sp.Symbol] = []
        for one in (*keys, *sorted(coefficient.atoms(Indexed), key=lambda e: (_bare(e), _pattern(e, bound)))):
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

    # -- coefficients --------------------------------------------------------------------------------------------------

    def canonical(self, expr: sp.Expr) -> sp.Expr:
        """sigmoid(z_f[t,n]) is f[t,n]; a sum that is a forward value gets its name; bound indices of sums are numbered."""
        expr = ir.walk(expr, self._saved)
        for total in sorted(expr.atoms(sp.Sum), key=str):
            expr = expr.xreplace({total: _numbered(total)})
        return expr

    def _saved(self, node: sp.Expr) -> sp.Expr:
        if record_of(node) is None or not node.args:
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
        names = {ir.name_of(a) for a in expr.atoms(Indexed)}
        for equation in self.reference.primal.equations:
            if not isinstance(equation.rhs, (sp.Add, sp.Mul, sp.Sum)) or not isinstance(equation.lhs, Indexed):
                continue
            rhs = equation.rhs.xreplace({})
            if {ir.name_of(a) for a in rhs.atoms(Indexed)} != names:
                continue
            for where in self._placements(equation, expr):
                moved = rhs.xreplace(where)
                if sp.expand(_plain(moved) - _plain(expr)) == 0:
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
            for e in self.reference.primal.equations
            if isinstance(e.lhs, Indexed) and e.lhs.has(t) and not e.rhs.has(sp.Sum) and record_of(e.rhs) is None
        }
        for _ in range(2 * len(definitions)):
            moves = {}
            for access in expr.atoms(Indexed):
                equation = definitions.get(ir.name_of(access))
                by = ir.offset(self._time(access)) if equation is not None else None
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

    # -- putting equations in -------------------------------------------------------------------------------------------

    def expanded(self, expr: sp.Expr, name: str) -> sp.Expr:
        """An adjoint replaced, wherever it stands, by its derived equation (once: what that reads of it stays)."""
        equation = self.reference.equation(name)
        moves = {}
        for access in expr.atoms(Indexed):
            if ir.name_of(access) == name:
                moves[access] = placed(equation.lhs, equation.rhs, access)
        return self.seeded(expr.xreplace(moves)) if moves else expr

    def seeded(self, expr: sp.Expr) -> sp.Expr:
        """The seeds of a vjp as a derivation means them: none for the last state; for the output what the loss says.

        Adjoints that are one by their equations, such as those of the two summands of a gate's argument, get one name.
        """
        moves: dict[sp.Expr, sp.Expr] = {}
        for access in expr.atoms(Indexed):
            tensor = self.tensors.get(ir.name_of(access))
            if tensor is not None and tensor.name in self.same:
                moves[access] = IndexedBase(self.same[tensor.name])[access.indices]
            elif tensor is not None and tensor.role == "seed":
                moves[access] = self._direct(access) if tensor.name == self.reference.seed else sp.Integer(0)
        return expr.xreplace(moves)

    def _direct(self, access: sp.Expr) -> sp.Expr:
        """The direct derivative of the loss by the output: a tensor, or the gradient of the loss that is given."""
        of, at = self.reference, access.indices[0]
        body = access
        if at.is_Integer and (at < 1 or self.last):  # T is more than any number
            return sp.Integer(0)
        if of.direct is not None:
            body = placed(of.primal.tensors[of.primal.meta["output"]].at(), of.direct, access)
            body = span(at, 1, T) * body if at.has(t) else body
        return span(at, T, T) * body if self.last and at.has(t) else body


def _same(of: Reference) -> dict[str, str]:
    """Adjoints whose derived equation is another adjoint at the same place: d_z_f[t,n] = d_net_f[t,n]."""
    found: dict[str, str] = {}
    for equation in of.program.equations:
        if (
            isinstance(equation.lhs, Indexed)
            and isinstance(equation.rhs, Indexed)
            and equation.target in of.program.tensors
        ):
            tensor = of.program.tensors[equation.target]
            if (
                tensor.role == "adjoint"
                and equation.rhs.indices == equation.lhs.indices
                and equation.when == tensor.time
            ):
                if of.program.tensors[ir.name_of(equation.rhs)].role == "adjoint":
                    found[equation.target] = ir.name_of(equation.rhs)
    for name in found:
        while found[name] in found:
            found[name] = found[found[name]]
    return found


def placed(lhs: sp.Expr, rhs: sp.Expr, access: sp.Expr) -> sp.Expr:
    """The right-hand side of an equation at the time and indices of an access; its bound indices are fresh."""
    where: dict[sp.Expr, sp.Expr] = {}
    for own, wanted in zip(lhs.indices, access.indices, strict=True):
        where[t if own.has(t) else own] = sp.expand(wanted - (own - t)) if own.has(t) else wanted
    return freshened(rhs).xreplace({a: b for a, b in where.items() if a != b})


def freshened(expr: sp.Expr) -> sp.Expr:
    """Bound indices (time excepted) get names that stand nowhere else."""
    if isinstance(expr, Indexed) or not expr.has(sp.Sum):
        return expr
    if isinstance(expr, sp.Sum):
        body, limits = Terms._renamed(expr)
        return sp.Sum(freshened(body), *limits)
    return expr.func(*(freshened(a) for a in expr.args))


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


def _meet(ranges: list[Span]) -> Span | None:
    if not ranges:
        return None
    whole = ranges[0]
    for one in ranges[1:]:
        whole = ir.meet(whole, one)
    return whole


@lru_cache(maxsize=20000)
def _bare(expr: sp.Expr) -> str:
    """Tensor names and times of an expression, without its other indices: an order that bound names cannot change."""
    return " ".join(
        sorted(
            f"{ir.name_of(a)}@{a.indices[0] if a.indices and a.indices[0].has(t, T) else ''}"
            for a in expr.atoms(Indexed)
        )
    )


def _pattern(access: sp.Expr, bound: tuple[sp.Symbol, ...]) -> str:
    return str(["_" if s in bound else str(s) for s in access.indices])


def _numbered(total: sp.Sum) -> sp.Expr:
    """A sum of forward values with bound indices named by their order in it."""
    seen: list[sp.Symbol] = []
    own = {s for s, *_ in total.limits}
    for access in sorted(total.function.atoms(Indexed), key=lambda a: (_bare(a), _pattern(a, tuple(own)))):
        seen += [s for s in access.indices if s in own and s not in seen]
    rename = {s: ir.index(f"_{p}") for p, s in enumerate(seen)}
    return sp.Sum(total.function.xreplace(rename), *((s, 1, sp.Symbol(f"|{s}|")) for s in rename.values()))


def _plain(expr: sp.Expr) -> sp.Expr:
    """Sums without their limits and with numbered indices, so that the same sum is the same expression."""
    return expr.xreplace({total: _numbered(total) for total in expr.atoms(sp.Sum)})
