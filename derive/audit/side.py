"""The author's side: equations in the names of the reference, whole, with those of intermediate quantities put in."""

from __future__ import annotations

import sympy as sp
from sympy.tensor.indexed import Indexed, IndexedBase

from derive import ir
from derive.audit.dependence import Dependence
from derive.audit.derived import Derived
from derive.audit.indices import defined_at, placed, seen_from
from derive.audit.terms import Marker, Terms
from derive.audit.written import Derivation
from derive.errors import DeriveError
from derive.ir import Span, T, Tensor, span, t

Piece = tuple[sp.Expr, sp.Expr, Span | None]


class Side:
    """The author's equations in the names of the reference."""

    def __init__(self, derivation: Derivation) -> None:
        self.derivation = derivation
        self.of = derivation.reference
        self.derived = Derived(self.of, derivation.last)
        self.terms = Terms(self.derived)
        self.dependence = Dependence(derivation)
        self.where = f"derivation {derivation.name}"
        self.claimed = {self.derived.same.get(a, a) for a in derivation.claims.values()}

    # -- names ---------------------------------------------------------------------------------------------------------

    def name(self, label: str) -> str:
        """The tensor of the reference that an author's name stands for; the name itself for an intermediate."""
        made = self.derivation
        return made.claims.get(label) or made.aliases.get(label) or (self.of.seed if label == made.direct else label)

    def named(self, expr: sp.Expr) -> sp.Expr:
        """An author's expression with names of the reference; intermediates keep theirs."""
        moves: dict[sp.Expr, sp.Expr] = {}
        for access in expr.atoms(Indexed):
            name = self.name(ir.name_of(access))
            if name != ir.name_of(access):
                moves[access] = IndexedBase(name)[access.indices]
        return expr.xreplace(moves)

    # -- equations -----------------------------------------------------------------------------------------------------

    def pieces(self, label: str) -> list[Piece]:
        """The equations of a quantity as (left at time t, right, range of t); no time: (left, right, None)."""
        equations = [e for e in self.derivation.equations if e.label == label]
        fixed = [sp.sympify(e.when) for e in equations if e.when is not None and not e.when.has(t)]
        found: list[Piece] = []
        for equation in equations:
            when = equation.when
            if when is None:
                found.append((equation.lhs, equation.rhs, None))
            elif when.has(t):
                by = when - t
                lo, hi = sp.Integer(1) + by, T + by
                while lo in fixed:
                    lo += 1
                while hi in fixed:
                    hi -= 1
                found.append(
                    (defined_at(equation.lhs, t), equation.rhs.xreplace({t: t - by}) if by else equation.rhs, (lo, hi))
                )
            else:
                found.append((defined_at(equation.lhs, t), seen_from(equation.rhs, when), (when, when)))
        return found

    def whole(self, label: str, chain: tuple[str, ...] = ()) -> tuple[sp.Expr, sp.Expr]:
        """One (left, right) for a quantity: its pieces, each on its range, with intermediates put in."""
        pieces = self.pieces(label)
        lhs = pieces[0][0]
        total: sp.Expr = sp.Integer(0)
        for left, right, when in pieces:
            body = self.inlined(right, (*chain, label))
            same = dict(zip(getattr(left, "indices", ()), getattr(lhs, "indices", ()), strict=True))
            body = body.xreplace({a: b for a, b in same.items() if a != b})
            plain = when is None or (len(pieces) == 1 and not self.terms.linear(body))
            total += body if plain or when is None else span(t, *when) * body
        return lhs, total

    def inlined(self, expr: sp.Expr, chain: tuple[str, ...]) -> sp.Expr:
        """An author's expression in names of the reference, with the equations of intermediates put in."""
        moves: dict[sp.Expr, sp.Expr] = {}
        inner = self.dependence.intermediates
        for access in expr.atoms(Indexed) | {s for s in expr.free_symbols if str(s) in inner}:
            label = ir.name_of(access)
            if label not in inner:
                continue
            if label in chain:
                raise DeriveError(
                    f"{self.where}: {label} depends on itself ({' -> '.join([*chain[chain.index(label) :], label])}), so it "
                    f'must be said what it is: @derivation(..., {label}="dL/d...")'
                )
            left, right = self.whole(label, chain)
            body = placed(left, right, access) if isinstance(access, Indexed) else right
            moves[access] = Marker(label) * body if self.terms.linear(body) else body
        return self.named(expr.xreplace(moves))

    def domain(self, label: str, adjoint: Tensor) -> Span | None:
        """The range on which an equation is compared: 1..T, from 0 where the author's equation reaches that far."""
        if adjoint.time is None:
            return None
        starts = [when[0] for _, _, when in self.pieces(label) if when is not None]
        first = sp.Integer(0 if any(s == 0 for s in starts) else 1)
        return ir.meet((first, T), adjoint.time)
