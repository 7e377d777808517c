"""The author's side: equations in the names of the reference, which quantity reads which, and the dimensions of each.

`Side` gives equations whole, with those of intermediate quantities put in.  `Dependence` follows what reads what.  `Shapes`
finds dimensions from the tensors with which a quantity shares an index, and the equations in which they do not agree.
"""

from __future__ import annotations

from collections.abc import Sequence

import sympy as sp
from sympy.tensor.indexed import Indexed, IndexedBase

from derive import ir
from derive.audit.indices import defined_at, placed, seen_from
from derive.audit.reference import Derived
from derive.audit.terms import Marker, Terms
from derive.audit.written import Derivation, Written
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
        return ir.intersect((first, T), adjoint.time)


# -- which reads which -------------------------------------------------------------------------------------------------


class Dependence:
    """The quantities of a derivation and what their equations read.

    `intermediates` are those that claim nothing: their equations are put in where they are read.
    """

    def __init__(self, derivation: Derivation) -> None:
        self.equations = derivation.equations
        self.intermediates = {e.label for e in self.equations if e.label not in derivation.claims}

    def reads(self, label: str) -> set[str]:
        """The author's names that the equations of a quantity read."""
        return {name for e in self.equations if e.label == label for name in ir.names_in(e.rhs)}

    def innermost(self, names: Sequence[str]) -> str:
        """Of the intermediates by which a term came in, the one that reads none of the others; '' of none."""
        return next((n for n in names if not (set(names) - {n}) & self.inside(n)), "")

    def inside(self, label: str) -> set[str]:
        """The intermediates that are put in where a quantity is read."""
        inner, seen, queue = self.intermediates, set[str](), [label]
        while queue:
            found = (self.reads(queue.pop()) & inner) - seen
            seen |= found
            queue += found
        return seen

    def upstream(self, label: str) -> set[str]:
        """The author's names on which a quantity depends, directly or not."""
        seen: set[str] = set()
        level = {label}
        while level := {name for one in level for name in self.reads(one)} - seen:
            seen |= level
        return seen

    def nearest(self, label: str, names: set[str]) -> set[str]:
        """Of some of the author's names, those that a quantity reads, or else those that what it reads reads, ..."""
        seen: set[str] = set()
        level = {label}
        while level := {n for one in level for name in self.reads(one) for n in self._outside(name)} - seen:
            seen |= level
            if found := level & names - {label}:
                return found
        return set()

    def _outside(self, name: str) -> set[str]:
        """A name; for an intermediate the names that its equations read in the end."""
        if name not in self.intermediates:
            return {name}
        return {n for one in {name, *self.inside(name)} for n in self.reads(one)} - self.intermediates


# -- dimensions --------------------------------------------------------------------------------------------------------


Dims = tuple[sp.Symbol | None, ...]


class Shapes:
    """The dimensions of every quantity, time left out (`known`), and what is wrong with the equations of some (`wrong`)."""

    def __init__(self, side: Side) -> None:
        self.side, self.equations = side, side.derivation.equations
        self.known: dict[str, Dims] = {}
        self.wrong: dict[str, str] = {}
        for _ in range(len(self.equations) + 1):
            for equation in self.equations:
                self._settle(equation)

    def of(self, label: str) -> str:
        """What is wrong with the shapes in the equation of a quantity, or of an intermediate that it reads; or ''."""
        inner = next((n for n in sorted(self.side.dependence.inside(label)) if n in self.wrong), None)
        return self.wrong.get(label, "") if inner is None else f"in {inner}: {self.wrong[inner]}"

    def _settle(self, equation: Written) -> None:
        ranges: dict[sp.Expr, tuple[sp.Symbol, str]] = {}
        for access in sorted(equation.rhs.atoms(Indexed), key=str):
            self._note(access, ranges, equation)
        lhs = equation.lhs.indices if isinstance(equation.lhs, Indexed) else ()
        lhs = lhs[1:] if equation.when is not None else lhs
        if equation.label in self.side.derivation.claims:
            self._note(equation.lhs, ranges, equation)
        before = self.known.get(equation.label, (None,) * len(lhs))
        self.known[equation.label] = tuple(
            d if d is not None else ranges.get(s, (None, ""))[0] for d, s in zip(before, lhs, strict=True)
        )

    def _note(self, access: sp.Expr, ranges: dict[sp.Expr, tuple[sp.Symbol, str]], equation: Written) -> None:
        for index, dim in self._dims_at(access):
            before = ranges.setdefault(index, (dim, ir.text(access)))
            if before[0] != dim:
                self.wrong[equation.label] = (
                    f"the index {index} runs over {before[0]} in {before[1]} and over {dim} in {ir.text(access)}"
                )

    def _dims_at(self, access: sp.Expr) -> list[tuple[sp.Expr, sp.Symbol]]:
        """(index, dimension) of an access, as far as known."""
        label, side = ir.name_of(access), self.side
        tensor = side.derived.tensors.get(side.name(label)) if label not in side.dependence.intermediates else None
        if tensor is not None:
            indices = access.indices[1:] if tensor.time is not None else access.indices
            return list(zip(indices, tensor.dims, strict=True))
        indices = access.indices[1:] if access.indices[0].has(t, T) or access.indices[0].is_Integer else access.indices
        found = self.known.get(label, ())
        return [(s, d) for s, d in zip(indices, found, strict=False) if d is not None]
