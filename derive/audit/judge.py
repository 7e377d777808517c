"""The audit of a derivation: a verdict on each equation by itself, and the error of what all of them together give."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import sympy as sp
from sympy.tensor.indexed import Indexed, IndexedBase

from derive import ir
from derive.audit.compare import Finding, Verdict, at, compare
from derive.audit.notation import Derivation, Written
from derive.audit.terms import BOUND, Marker, Term, Terms, freshened, placed
from derive.audit.values import Errors, Problem, errors
from derive.errors import DeriveError
from derive.ir import Span, T, Tensor, span, t

LENGTHS = (2, 3, 5)
Piece = tuple[sp.Expr, sp.Expr, Span | None]


@dataclass(frozen=True)
class Row:
    """What is said of one of the author's quantities.

    `findings` judge its own equation, with the right quantities put in for all that it reads; `errors` are of its value
    when all of the author's equations are used, by length of the sequence; `own` of its value when only this equation
    is the author's.  `first` is the smallest length at which the value is wrong (None: at none up to 6).  `blame` are
    the author's wrong quantities that it reads; where it reads none, those that what it reads reads, and so on.
    """

    label: str
    claims: str
    lines: tuple[int, ...]
    findings: tuple[Finding, ...]
    by_value: bool
    own: Errors
    errors: Errors
    blame: tuple[str, ...]

    @property
    def verdict(self) -> Verdict:
        """The verdict on the equation itself: that of its first finding."""
        return self.findings[0].verdict if self.findings else Verdict.EQUAL

    @property
    def right(self) -> bool:
        return not self.findings

    @property
    def first(self) -> int | None:
        """The smallest T at which the value is wrong."""
        return self.errors.first


@dataclass(frozen=True)
class Audit:
    """All rows of a derivation, in the order of its equations; `unstated` are parameters without a gradient.

    `obstacle` says why the author's equations have no values together, where they have none.
    """

    derivation: Derivation
    rows: tuple[Row, ...]
    unstated: tuple[str, ...]
    lengths: tuple[int, ...]
    obstacle: str = ""

    @property
    def ok(self) -> bool:
        return all(row.right for row in self.rows)

    def shown(self, expr: sp.Expr) -> str:
        """An expression in the author's names; a derivative of the loss that the author has no name for as ∂L/∂x."""
        made = self.derivation
        names = {tensor: label for label, tensor in made.aliases.items()}
        same = Terms(made.reference).same
        for adjoint, tensor in made.reference.program.tensors.items():
            if tensor.role in ("adjoint", "gradient"):
                names[adjoint] = f"∂L/∂{names.get(tensor.primal, tensor.primal)}"
        names[made.reference.seed] = made.direct or f"∂l/∂{made.reference.primal.meta['output']}"
        for label, adjoint in made.claims.items():
            names[same.get(adjoint, adjoint)] = names[adjoint] = label
        moves = {a: IndexedBase(names[ir.name_of(a)])[a.indices] for a in expr.atoms(Indexed) if ir.name_of(a) in names}
        return ir.text(_lettered(expr.xreplace(moves)))

    def term(self, label: str, term: Term) -> str:
        """A term of an equation with its range of time; under a sum over time where the left-hand side has none."""
        adjoint = self.derivation.reference.program.tensors[self.derivation.claims[label]]
        if term.when is None:
            return self.shown(term.expr)
        lo, hi = term.when
        if lo == hi and adjoint.time is None:
            return self.shown(at(term.expr, lo))
        where = f"t = {lo}" if lo == hi else f"t = {lo}..{hi}"
        return f"{self.shown(term.expr)}   {'for' if adjoint.time is not None else 'summed over'} {where}"

    def innermost(self, finding: Finding) -> str:
        """The intermediate quantity by whose equation a wrong term comes in; '' for the equation itself."""
        return Side(self.derivation).innermost(finding.through)

    def row(self, label: str) -> Row:
        """The row of an author's quantity."""
        for row in self.rows:
            if row.label == label:
                return row
        raise KeyError(f"{label} is none of {', '.join(row.label for row in self.rows)}")


def audit(derivation: Derivation, lengths: Sequence[int] = LENGTHS, seed: int = 0, zero_state: bool = False) -> Audit:
    """Compare every claimed equation of a derivation with the derived one.

    `lengths` are those T for which errors are given; `zero_state` starts from h(0) = c(0) = 0, which hides some errors.
    Raises DeriveError for equations that have no meaning.
    """
    side = Side(derivation)
    claimed = list(dict.fromkeys(e.label for e in derivation.equations if e.label in derivation.claims))
    problem = Problem(derivation, side, seed, zero_state)
    own, together = errors(problem, claimed, tuple(lengths))
    judged = {label: side.judged(label, own[label].right) for label in claimed}
    rows = []
    for label in claimed:
        findings, by_value = judged[label], False
        if findings and own[label].right:  # another form of the same value, which the terms did not show
            findings, by_value = (), True
        rows.append((label, findings, by_value))
    wrong = {label for label, findings, _ in rows if findings}
    done = []
    for label, findings, by_value in rows:
        lines = tuple(e.line for e in derivation.equations if e.label == label)
        blame = tuple(n for n in claimed if n in side.nearest(label, wrong) and n != label)
        target = side.terms.tensors[derivation.claims[label]].primal
        done.append(Row(label, target, lines, findings, by_value, own[label], together[label], blame))
    claims = set(derivation.claims.values())
    params = [x.primal for x in side.terms.reference.program.of_role("gradient")
              if x.name not in claims and side.terms.tensors[x.primal].role == "param"]  # fmt: skip
    return Audit(derivation, tuple(done), tuple(params), tuple(lengths), problem.obstacle)


class Side:
    """The author's equations in the names of the reference."""

    def __init__(self, derivation: Derivation) -> None:
        self.derivation = derivation
        self.of = derivation.reference
        self.terms = Terms(self.of, derivation.last)
        self.where = f"derivation {derivation.name}"
        self.claimed = {self.terms.same.get(a, a) for a in derivation.claims.values()}

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

    def intermediates(self) -> set[str]:
        return {e.label for e in self.derivation.equations if e.label not in self.derivation.claims}

    def reads(self, label: str) -> set[str]:
        """The author's names that the equations of a quantity read."""
        return {ir.name_of(a) for e in self.derivation.equations if e.label == label for a in e.rhs.atoms(Indexed)}

    def innermost(self, names: Sequence[str]) -> str:
        """Of the intermediates by which a term came in, the one that reads none of the others; '' of none."""
        return next((n for n in names if not (set(names) - {n}) & self.inside(n)), "")

    def inside(self, label: str) -> set[str]:
        """The intermediates that are put in where a quantity is read."""
        inner, seen, queue = self.intermediates(), set[str](), [label]
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
        if name not in self.intermediates():
            return {name}
        return {n for one in {name, *self.inside(name)} for n in self.reads(one)} - self.intermediates()

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
                    (_at(equation.lhs, t), equation.rhs.xreplace({t: t - by}) if by else equation.rhs, (lo, hi))
                )
            else:
                found.append((_at(equation.lhs, t), _from(equation.rhs, when), (when, when)))
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
        inner = self.intermediates()
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

    def judged(self, label: str, right: bool) -> tuple[Finding, ...]:
        """The findings on the equation of a claimed quantity; `right` says that its value is."""
        adjoint = self.terms.tensors[self.derivation.claims[label]]
        lhs, body = self.whole(label)
        # Where two deltas are one, such as those of the summands of a gate's argument, an author may say so or may not.
        copied = isinstance(body.as_coeff_Mul()[1], Indexed)
        derived = self.of.equation(adjoint.name if copied else self.terms.same.get(adjoint.name, adjoint.name))
        free = adjoint.indices
        own = lhs.indices[1:] if adjoint.time is not None else getattr(lhs, "indices", ())
        body = _renamed(body, dict(zip(own, free, strict=True)))
        rhs = derived.rhs
        if not copied and isinstance(rhs, Indexed) and adjoint.time is None:
            # The gradient of h(0) is dL/dh[0]; what an author writes for it is the equation of dL/dh at t = 0.
            inner = self.of.equation(ir.name_of(rhs))
            rhs = placed(inner.lhs, inner.rhs, rhs)
        left = _renamed(rhs, dict(zip(ir.indices_of(derived.lhs, self.terms.tensors), free, strict=True)))
        shape = self.shape_of(label)
        extra = [Finding(Verdict.SHAPE, None, None, shape)] if shape else []
        if adjoint.time is None and _loose(body):
            extra.append(Finding(Verdict.RANGE, None, None, "t stands on the right and not on the left: a sum over time "
                                 "is missing, Sum(..., (t, 1, T))"))  # fmt: skip
            body = sp.Sum(body, (t, 1, T))
        when = self.domain(label, adjoint)
        found = compare(self.terms, self.terms.seeded(body), self.terms.seeded(left), free, when, self.claimed, right)
        return (*extra, *found.findings)

    def domain(self, label: str, adjoint: Tensor) -> Span | None:
        """The range on which an equation is compared: 1..T, from 0 where the author's equation reaches that far."""
        if adjoint.time is None:
            return None
        starts = [when[0] for _, _, when in self.pieces(label) if when is not None]
        first = sp.Integer(0 if any(s == 0 for s in starts) else 1)
        return ir.meet((first, T), adjoint.time)

    # -- shapes --------------------------------------------------------------------------------------------------------

    def dims(self) -> tuple[dict[str, tuple[sp.Symbol | None, ...]], dict[str, str]]:
        """The dimensions of every quantity, time left out, and what is wrong with the equations of some of them."""
        known: dict[str, tuple[sp.Symbol | None, ...]] = {}
        wrong: dict[str, str] = {}
        for _ in range(len(self.derivation.equations) + 1):
            for equation in self.derivation.equations:
                self._dims_of(equation, known, wrong)
        return known, wrong

    def _dims_of(
        self, equation: Written, known: dict[str, tuple[sp.Symbol | None, ...]], wrong: dict[str, str]
    ) -> None:
        ranges: dict[sp.Expr, tuple[sp.Symbol, str]] = {}
        for access in sorted(equation.rhs.atoms(Indexed), key=str):
            self._note(access, self.dims_at(access, known), ranges, equation, wrong)
        lhs = equation.lhs.indices if isinstance(equation.lhs, Indexed) else ()
        lhs = lhs[1:] if equation.when is not None else lhs
        if equation.label in self.derivation.claims:
            self._note(equation.lhs, self.dims_at(equation.lhs, known), ranges, equation, wrong)
        before = known.get(equation.label, (None,) * len(lhs))
        known[equation.label] = tuple(
            d if d is not None else ranges.get(s, (None, ""))[0] for d, s in zip(before, lhs, strict=True)
        )

    def dims_at(
        self, access: sp.Expr, known: dict[str, tuple[sp.Symbol | None, ...]]
    ) -> list[tuple[sp.Expr, sp.Symbol]]:
        """(index, dimension) of an access, as far as known."""
        label = ir.name_of(access)
        tensor = self.terms.tensors.get(self.name(label)) if label not in self.intermediates() else None
        if tensor is not None:
            indices = access.indices[1:] if tensor.time is not None else access.indices
            return list(zip(indices, tensor.dims, strict=True))
        indices = access.indices[1:] if access.indices[0].has(t, T) or access.indices[0].is_Integer else access.indices
        found = known.get(label, ())
        return [(s, d) for s, d in zip(indices, found, strict=False) if d is not None]

    def _note(
        self,
        access: sp.Expr,
        pairs: list[tuple[sp.Expr, sp.Symbol]],
        ranges: dict[sp.Expr, tuple[sp.Symbol, str]],
        equation: Written,
        wrong: dict[str, str],
    ) -> None:
        for index, dim in pairs:
            before = ranges.setdefault(index, (dim, ir.text(access)))
            if before[0] != dim:
                wrong[equation.label] = (
                    f"the index {index} runs over {before[0]} in {before[1]} and over {dim} in {ir.text(access)}"
                )

    def shape_of(self, label: str) -> str:
        """What is wrong with the shapes in the equation of a quantity, or of an intermediate that it reads; or ''."""
        _, wrong = self.dims()
        inner = next((n for n in sorted(self.inside(label)) if n in wrong), None)
        return wrong.get(label, "") if inner is None else f"in {inner}: {wrong[inner]}"


def _lettered(expr: sp.Expr) -> sp.Expr:
    """Bound indices with names that a reader knows."""
    used = {str(s) for a in expr.atoms(Indexed) for s in a.free_symbols}
    inner = sorted({s for total in expr.atoms(sp.Sum) for s, *_ in total.limits if str(s).startswith("_")}, key=str)
    free = (ir.index(name) for name in (*BOUND, *(f"k{p}" for p in range(len(inner)))) if name not in used)
    return expr.xreplace(dict(zip(inner, free, strict=False)))


def _at(lhs: sp.Expr, when: sp.Expr) -> sp.Expr:
    return IndexedBase(lhs.base.label.name)[(when, *lhs.indices[1:])]


def _from(expr: sp.Expr, fixed: sp.Expr) -> sp.Expr:
    """An expression at a fixed time, seen from t = that time: d[T], c[T-1] -> d[t], c[t-1]."""
    moves = {}
    for access in expr.atoms(Indexed):
        if access.indices and not access.indices[0].has(t) and (by := sp.expand(access.indices[0] - fixed)).is_Integer:
            moves[access] = access.func(access.base, t + by, *access.indices[1:])
    return expr.xreplace(moves)


def _renamed(expr: sp.Expr, names: dict[sp.Expr, sp.Expr]) -> sp.Expr:
    """Free indices renamed, by way of names that nothing has; bound ones are renamed apart first."""
    between = {a: sp.Dummy(str(a), integer=True) for a, b in names.items()}
    return freshened(expr).xreplace(between).xreplace({between[a]: b for a, b in names.items()})


def _loose(expr: sp.Expr) -> bool:
    """Whether t stands free in an expression."""
    if isinstance(expr, sp.Sum):
        return all(s != t for s, *_ in expr.limits) and _loose(expr.function)
    if isinstance(expr, Indexed):
        return any(i.has(t) for i in expr.indices)
    return any(_loose(a) for a in expr.args)
