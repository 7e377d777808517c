"""The audit of a derivation: a verdict on each equation by itself, and the error of what all of them together give."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import sympy as sp
from sympy.tensor.indexed import Indexed, IndexedBase

from derive import ir
from derive.audit.compare import compare
from derive.audit.findings import Finding, Verdict
from derive.audit.indices import at, lettered, placed, reads_time, renamed
from derive.audit.reference import same_adjoints
from derive.audit.side import Dependence, Shapes, Side
from derive.audit.terms import Term
from derive.audit.values import Errors, Problem, errors
from derive.audit.written import Derivation
from derive.ir import T, t

LENGTHS = (2, 3, 5)


@dataclass(frozen=True)
class Row:
    """What is said of one of the author's quantities.

    `findings` are about its own equation, with the right quantities put in for all that it reads; `errors` are of its value
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
        same = same_adjoints(made.reference)
        for adjoint, tensor in made.reference.program.tensors.items():
            if tensor.role in ("adjoint", "gradient"):
                names[adjoint] = f"∂L/∂{names.get(tensor.primal, tensor.primal)}"
        names[made.reference.seed] = made.direct or f"∂l/∂{made.reference.primal.facts.output}"
        for label, adjoint in made.claims.items():
            names[same.get(adjoint, adjoint)] = names[adjoint] = label
        moves = {a: IndexedBase(names[ir.name_of(a)])[a.indices] for a in expr.atoms(Indexed) if ir.name_of(a) in names}
        return ir.text(lettered(expr.xreplace(moves)))

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
        return Dependence(self.derivation).innermost(finding.through)

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
    shapes = Shapes(side)
    claimed = list(dict.fromkeys(e.label for e in derivation.equations if e.label in derivation.claims))
    problem = Problem(side, shapes, seed, zero_state)
    own, together = errors(problem, claimed, tuple(lengths))
    found = {label: judged(side, shapes, label, own[label].right) for label in claimed}
    # Another form of the same value, which the terms did not show:
    by_value = {label for label in claimed if found[label] and own[label].right}
    found |= dict.fromkeys(by_value, ())
    wrong = {label for label in claimed if found[label]}
    rows = []
    for label in claimed:
        lines = tuple(e.line for e in derivation.equations if e.label == label)
        blame = tuple(n for n in claimed if n in side.dependence.nearest(label, wrong) and n != label)
        target = side.derived.tensors[derivation.claims[label]].primal
        rows.append(Row(label, target, lines, found[label], label in by_value, own[label], together[label], blame))
    claims = set(derivation.claims.values())
    params = [x.primal for x in side.of.program.of_role("gradient")
              if x.name not in claims and side.derived.tensors[x.primal].role == "param"]  # fmt: skip
    return Audit(derivation, tuple(rows), tuple(params), tuple(lengths), problem.obstacle)


def judged(side: Side, shapes: Shapes, label: str, right: bool) -> tuple[Finding, ...]:
    """The findings on the equation of a claimed quantity; `right` says that its value is."""
    adjoint = side.derived.tensors[side.derivation.claims[label]]
    lhs, body = side.whole(label)
    # Where two deltas are one, such as those of the summands of a gate's argument, an author may say so or may not.
    copied = isinstance(body.as_coeff_Mul()[1], Indexed)
    derived = side.of.equation(adjoint.name if copied else side.derived.same.get(adjoint.name, adjoint.name))
    free = adjoint.indices
    own = lhs.indices[1:] if adjoint.time is not None else getattr(lhs, "indices", ())
    body = renamed(body, dict(zip(own, free, strict=True)))
    rhs = derived.rhs
    if not copied and isinstance(rhs, Indexed) and adjoint.time is None:
        # The gradient of h(0) is dL/dh[0]; what an author writes for it is the equation of dL/dh at t = 0.
        inner = side.of.equation(ir.name_of(rhs))
        rhs = placed(inner.lhs, inner.rhs, rhs)
    left = renamed(rhs, dict(zip(ir.indices_of(derived.lhs, side.derived.tensors), free, strict=True)))
    shape = shapes.of(label)
    extra = [Finding(Verdict.SHAPE, None, None, shape)] if shape else []
    if adjoint.time is None and reads_time(body):
        extra.append(Finding(Verdict.RANGE, None, None, "t stands on the right and not on the left: a sum over time "
                             "is missing, Sum(..., (t, 1, T))"))  # fmt: skip
        body = sp.Sum(body, (t, 1, T))
    when = side.domain(label, adjoint)
    found = compare(side.terms, side.derived.seeded(body), side.derived.seeded(left), free, when, side.claimed, right)
    return (*extra, *found.findings)
