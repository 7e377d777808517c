"""What can be said of an equation: verdicts, findings that name the term and what is off, and the rules that find them.

A rule takes a term of the author's and a derived one, and gives a `Finding` where it knows what the two have in common: all
but a number, the delta, the coefficient, the tensors.  What two coefficients differ by is their ratio, put in words.
compare.py applies the rules.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

import sympy as sp
from sympy.tensor.indexed import Indexed

from derive import ir
from derive.audit.indices import at, timeless, unindexed
from derive.audit.terms import Coefficients, Term
from derive.ir import Span, t

SWAP = "{} stands where {} belongs"


class Verdict(str, Enum):
    """What is said of an equation or of one of its terms."""

    EQUAL = "equal"
    PRODUCT = "multiplied where it must add"
    MISSING = "missing term"
    EXTRA = "extra term"
    SIGN = "wrong sign"
    TIME = "wrong time index"
    RANGE = "wrong range of time"
    SYMBOL = "wrong symbol"
    INDEX = "wrong index order"
    FACTOR = "wrong factor"
    SHAPE = "wrong shape"

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True)
class Finding:
    """One difference: the author's term and the derived one, each None where there is none.

    `detail` says in words what is off, with a {} for each expression of `parts`; `ratio` is the author's coefficient over
    the derived one, where that is known.
    """

    verdict: Verdict
    written: Term | None
    derived: Term | None
    detail: str = ""
    parts: tuple[sp.Expr, ...] = ()
    ratio: sp.Expr | None = None

    def text(self, shown: Callable[[sp.Expr], str] = ir.text) -> str:
        """The detail with its expressions, each written by `shown`."""
        return self.detail.format(*map(shown, self.parts))

    @property
    def through(self) -> tuple[str, ...]:
        """The intermediate quantities by which the author's term came in."""
        return self.written.through if self.written is not None else ()


# -- rules: what two terms can have in common --------------------------------------------------------------------------

Rule = Callable[[Coefficients, Term, Term], Finding | None]


def scaled(coefficients: Coefficients, a: Term, b: Term) -> Finding | None:
    """The same term times a number: -1, 2, 1/2."""
    if a.slot != b.slot:
        return None
    ratio = ratio_of(coefficients, a.coefficient, b.coefficient, b.when)
    if not ratio.is_number:
        return None
    verdict, detail, parts = classified(ratio)
    return Finding(verdict, a, b, detail, parts, ratio)


def other_range(coefficients: Coefficients, a: Term, b: Term) -> Finding | None:
    """The same term over another part of the time."""
    if (a.key, a.bound) != (b.key, b.bound) or a.when == b.when:
        return None
    if not coefficients.equal(a.coefficient, b.coefficient, b.when):
        return None
    if a.when and b.when and a.when[0] == a.when[1] and b.when[0] == b.when[1]:
        return Finding(Verdict.TIME, a, b, SWAP, (at(a.expr, a.when[0]), at(b.expr, b.when[0])))
    return Finding(Verdict.RANGE, a, b, f"stands for {_range(a.when)}, belongs to {_range(b.when)}")


def other_coefficient(coefficients: Coefficients, a: Term, b: Term) -> Finding | None:
    """The same delta with another coefficient."""
    if a.key != b.key or (not a.key and not _related(a.coefficient, b.coefficient)):
        return None
    ratio = ratio_of(coefficients, a.coefficient, b.coefficient, b.when)
    if a.bound != b.bound:
        return Finding(Verdict.FACTOR, a, b, "has another coefficient", (), ratio)
    verdict, detail, parts = classified(ratio, unshared(a.coefficient, b.coefficient))
    if a.when != b.when:
        detail = f"{detail}; and it stands for {_range(a.when)}, belongs to {_range(b.when)}"
    return Finding(verdict, a, b, detail, parts, ratio)


def other_time(coefficients: Coefficients, a: Term, b: Term) -> Finding | None:
    """The same delta at another time; the coefficient may have moved along, or not."""
    if not a.key or [timeless(x) for x in a.key] != [timeless(x) for x in b.key] or a.key == b.key:
        return None
    by = _offset(b.key[0]) - _offset(a.key[0])
    moved = a.coefficient.xreplace({t: t + by})
    if not (
        coefficients.equal(a.coefficient, b.coefficient, b.when) or coefficients.equal(moved, b.coefficient, b.when)
    ):
        return None
    return Finding(Verdict.TIME, a, b, SWAP, (a.key[0], b.key[0]))


def other_delta(coefficients: Coefficients, a: Term, b: Term) -> Finding | None:
    """Another delta with the right coefficient."""
    if len(a.key) != 1 or len(b.key) != 1 or not (isinstance(a.key[0], Indexed) and isinstance(b.key[0], Indexed)):
        return None
    if ir.name_of(a.key[0]) == ir.name_of(b.key[0]) or a.key[0].indices != b.key[0].indices:
        return None
    if a.when != b.when or a.bound != b.bound or not coefficients.equal(a.coefficient, b.coefficient, b.when):
        return None
    return Finding(Verdict.SYMBOL, a, b, SWAP, (a.key[0], b.key[0]))


def other_order(coefficients: Coefficients, a: Term, b: Term) -> Finding | None:
    """The same tensors at the same times, with indices in another order."""
    if not a.key or len(a.key) != len(b.key) or len(a.bound) != len(b.bound):
        return None
    if sorted(map(unindexed, [*a.key, a.coefficient])) != sorted(map(unindexed, [*b.key, b.coefficient])):
        return None
    return Finding(Verdict.INDEX, a, b, "{} has its indices in another order than {}", (a.expr, b.expr))


def _related(a: sp.Expr, b: sp.Expr) -> bool:
    """Whether two coefficients without a delta read some of the same tensors."""
    return bool(ir.names_in(a) & ir.names_in(b))


def _offset(delta: sp.Expr) -> int:
    """By how much the first delta of a key is away from t."""
    found = [ir.offset(x.indices[0]) for x in ([delta] if isinstance(delta, Indexed) else delta.atoms(Indexed))]
    return next((by for by in found if by is not None and -9 < by < 9), 0)


def _range(when: Span | None) -> str:
    if when is None:
        return "no time"
    lo, hi = when
    return f"t = {lo}" if lo == hi else f"t = {lo}..{hi}"


# -- ratios: what two coefficients differ by ---------------------------------------------------------------------------


def ratio_of(coefficients: Coefficients, a: sp.Expr, b: sp.Expr, when: Span | None) -> sp.Expr:
    """a/b with what they share taken out; by the values that they are made of, where that is shorter."""
    candidates = [sp.cancel(sp.factor(a) / sp.factor(b))]
    if not candidates[0].is_number:
        candidates.append(sp.cancel(coefficients.eliminated(a, when) / coefficients.eliminated(b, when)))
        candidates.append(sp.factor(candidates[-1]))
    return min(map(sp.factor, candidates), key=lambda e: (not e.is_number, sp.count_ops(e), len(str(e))))


def unshared(a: sp.Expr, b: sp.Expr) -> tuple[sp.Expr, sp.Expr]:
    """Two products without the factors that stand in both, as they were written."""
    ours, theirs = list(sp.Mul.make_args(a)), list(sp.Mul.make_args(b))
    for one in list(ours):
        if one in theirs:
            ours.remove(one)
            theirs.remove(one)
    return sp.Mul(*ours), sp.Mul(*theirs)


def classified(ratio: sp.Expr, pair: tuple[sp.Expr, sp.Expr] | None = None) -> tuple[Verdict, str, tuple[sp.Expr, ...]]:
    """What the ratio of two coefficients says; `pair` is the same ratio as it was written."""
    if ratio == -1:
        return Verdict.SIGN, "has the opposite sign", ()
    if not ratio.atoms(Indexed):
        return Verdict.FACTOR, "is {} times what it should be", (ratio,)
    sign, rest = ratio.as_coeff_Mul()
    above, below = sp.fraction(rest)
    if sign.is_negative and (below.is_Add or above.is_Add):  # -(o - 1) is 1 - o
        sign, above, below = (-sign, above, -below) if below.is_Add else (-sign, -above, below)
    scale = "" if sign == 1 else ", with the opposite sign" if sign == -1 else f", and {ir.text(sign)} times"
    if isinstance(above, Indexed) and isinstance(below, Indexed):
        if ir.name_of(above) != ir.name_of(below):
            return Verdict.SYMBOL, SWAP + scale, (above, below)
        timed = any(i.has(t) for i in above.indices) and above.indices[1:] == below.indices[1:]
        return (Verdict.TIME if timed else Verdict.INDEX), SWAP + scale, (above, below)
    if above != 1 and above in (below.xreplace({t: t + 1}), below.xreplace({t: t - 1})):
        return Verdict.TIME, SWAP + scale, (above, below)
    if below == 1:
        return Verdict.FACTOR, "has the factor {} too many", (sp.Mul(sign, above),)
    if above == 1:
        return Verdict.FACTOR, "lacks the factor {}" + scale, (below,)
    return Verdict.FACTOR, SWAP, pair or (sp.Mul(sign, above), below)
