"""Two lists of terms side by side: what is missing, extra or wrong, by name.

An author may stop at other quantities than the derivation does: dL/dz_f by dL/dh, where the derivation goes by dL/df,
dL/dc and dL/dtanh_c.  So derived equations are put in, on both sides, for as long as that brings the two nearer; what
then differs is said in the smallest number of findings.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Container, Iterable
from dataclasses import dataclass, replace
from enum import Enum
from itertools import count
from typing import Any

import sympy as sp
from sympy.tensor.indexed import Indexed

from derive import ir
from derive.audit.terms import Term, Terms
from derive.ir import Span, T, t

SWAP = "{} stands where {} belongs"
PATIENCE = 16  # how many ways of putting equations in are tried without getting nearer


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


@dataclass(frozen=True)
class Comparison:
    """The findings, and the names of the adjoints whose equations were put in to reach them."""

    findings: tuple[Finding, ...]
    expanded: tuple[str, ...]


# A term with one thing wrong in it is nearer to the truth than a term that is not there and another that should not be.
_WEIGHT = {Verdict.PRODUCT: 2, Verdict.MISSING: 4, Verdict.EXTRA: 4, Verdict.FACTOR: 3, Verdict.RANGE: 3}


def compare(
    terms: Terms,
    written: sp.Expr,
    derived: sp.Expr,
    free: Iterable[sp.Symbol],
    when: Span | None,
    claimed: Container[str] = (),
    right: bool = False,
) -> Comparison:
    """The author's right-hand side against the derived one; both in the names of the reference.

    `free` are the indices of the left-hand side, `when` the range of time on which the two are compared; `claimed` are
    the adjoints that the author has names for: findings are said in these where that can be; `right` says that the two
    have one value, so that the search need not stop before it has no finding.
    """
    free = tuple(free)
    made: dict[sp.Expr, list[Term]] = {}

    def of(expr: sp.Expr) -> list[Term]:
        if expr not in made:
            made[expr] = terms.of(expr, free, when)
        return made[expr]

    def cost(found: Comparison) -> int:
        names = {ir.name_of(a) for f in found.findings if f.derived for k in f.derived.key for a in k.atoms(Indexed)}
        foreign = sum(n not in claimed for n in names if n in terms.reference.program.defined)
        return sum(_WEIGHT.get(f.verdict, 2) for f in found.findings) + 2 * foreign

    best: tuple[int, int, Comparison] | None = None
    seen: set[frozenset[str]] = set()
    number, idle = count(), 0
    queue: list[tuple[Any, ...]] = [(0, next(number), (), written, derived)]
    while queue and idle < PATIENCE:
        _, _, path, left, other = heapq.heappop(queue)
        if frozenset(path) in seen:
            continue
        seen.add(frozenset(path))
        found = Comparison(tuple(differences(terms, of(left), of(other))), path)
        idle += 1
        price = cost(found)
        if best is None or (price, len(path)) < best[:2]:
            best, idle = (price, len(path), found), 0
        if not found.findings or (not right and len(found.findings) == 1 and price < 4):
            break
        for name in _open(terms, found, path):
            then = (*path, name)
            moved = terms.expanded(left, name), terms.expanded(other, name)
            heapq.heappush(queue, (price + len(then), next(number), then, *moved))
    assert best is not None
    return best[2]


def _open(terms: Terms, found: Comparison, path: tuple[str, ...]) -> list[str]:
    """The adjoints that stand in what differs and whose equations were not put in yet; those of derived terms first."""
    names: list[str] = []
    for kind in ("derived", "written"):
        for finding in found.findings:
            term: Term | None = getattr(finding, kind)
            for one in term.key if term is not None else ():
                names += [ir.name_of(a) for a in sorted(one.atoms(Indexed), key=str) if terms.is_adjoint(a)]
    defined = terms.reference.program.defined
    return [n for n in dict.fromkeys(names) if n not in path and n in defined]


# -- one list against another ------------------------------------------------------------------------------------------


def differences(terms: Terms, written: list[Term], derived: list[Term]) -> list[Finding]:
    """What remains when equal terms are taken away, paired as well as it can be."""
    ours, theirs = _unequal(terms, written, derived)
    untouched = len(ours) == len(written)
    findings = _paired(terms, ours, theirs, (_scaled,))
    if ours and theirs:
        parts = _split(ours, theirs)
        ours, theirs = _unequal(terms, parts, _split(theirs, ours))
        untouched = untouched and len(ours) == len(parts)
    findings += _paired(terms, ours, theirs, (_scaled, _same_coefficient, _moved, _renamed, _same_key, _transposed))
    findings += _products(ours, theirs)
    findings += [Finding(Verdict.EXTRA, a, None) for a in ours]
    findings += [Finding(Verdict.MISSING, None, b) for b in theirs]
    return _whole(_gathered(findings), untouched)


def _slot(term: Term) -> tuple[Any, ...]:
    return term.key, term.bound, term.when


def _unequal(terms: Terms, written: list[Term], derived: list[Term]) -> tuple[list[Term], list[Term]]:
    """Both lists without what is equal: term by term, then deltas whose coefficients have the same sum."""
    ours, theirs = list(written), list(derived)
    for a in written:
        same = next(
            (b for b in theirs if _slot(a) == _slot(b) and terms.equal(a.coefficient, b.coefficient, b.when)), None
        )
        if same is not None:
            ours.remove(a)
            theirs.remove(same)
    for slot in dict.fromkeys(map(_slot, ours)):
        left, right = ([x for x in side if _slot(x) == slot] for side in (ours, theirs))
        if right and terms.equal(_total(left), _total(right), slot[2]):
            ours, theirs = [x for x in ours if x not in left], [x for x in theirs if x not in right]
    return ours, theirs


def _total(terms: Iterable[Term]) -> sp.Expr:
    return sp.Add(*(x.coefficient for x in terms))


def _split(terms: list[Term], others: list[Term]) -> list[Term]:
    """Terms with a sum as their coefficient as several, where the other side has several terms with that delta."""
    found: list[Term] = []
    for term in terms:
        several = sum(_slot(x) == _slot(term) for x in (*terms, *others)) > 2
        parts = sp.Add.make_args(sp.expand(term.coefficient)) if several else (term.coefficient,)
        found += [replace(term, coefficient=part) for part in parts]
    return found


def _paired(terms: Terms, ours: list[Term], theirs: list[Term], rules: Iterable[Any]) -> list[Finding]:
    """Pairs of terms that a rule knows, rule by rule; they are taken out of the lists."""
    findings = []
    for rule in rules:
        for a in list(ours):
            for b in list(theirs):
                found = rule(terms, a, b)
                if found is not None:
                    ours.remove(a)
                    theirs.remove(b)
                    findings.append(found)
                    break
    return findings


def _scaled(terms: Terms, a: Term, b: Term) -> Finding | None:
    """The same term times a number: -1, 2, 1/2."""
    if _slot(a) != _slot(b):
        return None
    ratio = _ratio(terms, a.coefficient, b.coefficient, b.when)
    if not ratio.is_number:
        return None
    verdict, detail, parts = _classified(ratio)
    return Finding(verdict, a, b, detail, parts, ratio)


def _same_coefficient(terms: Terms, a: Term, b: Term) -> Finding | None:
    """The same term over another part of the time."""
    if (a.key, a.bound) != (b.key, b.bound) or a.when == b.when:
        return None
    if not terms.equal(a.coefficient, b.coefficient, b.when):
        return None
    if a.when and b.when and a.when[0] == a.when[1] and b.when[0] == b.when[1]:
        return Finding(Verdict.TIME, a, b, SWAP, (at(a.expr, a.when[0]), at(b.expr, b.when[0])))
    return Finding(Verdict.RANGE, a, b, f"stands for {_range(a.when)}, belongs to {_range(b.when)}")


def _same_key(terms: Terms, a: Term, b: Term) -> Finding | None:
    """The same delta with another coefficient."""
    if a.key != b.key or (not a.key and not _related(a.coefficient, b.coefficient)):
        return None
    ratio = _ratio(terms, a.coefficient, b.coefficient, b.when)
    if a.bound != b.bound:
        return Finding(Verdict.FACTOR, a, b, "has another coefficient", (), ratio)
    verdict, detail, parts = _classified(ratio, _unshared(a.coefficient, b.coefficient))
    if a.when != b.when:
        detail = f"{detail}; and it stands for {_range(a.when)}, belongs to {_range(b.when)}"
    return Finding(verdict, a, b, detail, parts, ratio)


def _moved(terms: Terms, a: Term, b: Term) -> Finding | None:
    """The same delta at another time; the coefficient may have moved along, or not."""
    if not a.key or [_timeless(x) for x in a.key] != [_timeless(x) for x in b.key] or a.key == b.key:
        return None
    by = _offset(b.key[0]) - _offset(a.key[0])
    moved = a.coefficient.xreplace({t: t + by})
    if not (terms.equal(a.coefficient, b.coefficient, b.when) or terms.equal(moved, b.coefficient, b.when)):
        return None
    return Finding(Verdict.TIME, a, b, SWAP, (a.key[0], b.key[0]))


def _renamed(terms: Terms, a: Term, b: Term) -> Finding | None:
    """Another delta with the right coefficient."""
    if len(a.key) != 1 or len(b.key) != 1 or not (isinstance(a.key[0], Indexed) and isinstance(b.key[0], Indexed)):
        return None
    if ir.name_of(a.key[0]) == ir.name_of(b.key[0]) or a.key[0].indices != b.key[0].indices:
        return None
    if a.when != b.when or a.bound != b.bound or not terms.equal(a.coefficient, b.coefficient, b.when):
        return None
    return Finding(Verdict.SYMBOL, a, b, SWAP, (a.key[0], b.key[0]))


def _transposed(terms: Terms, a: Term, b: Term) -> Finding | None:
    """The same tensors at the same times, with indices in another order."""
    if not a.key or len(a.key) != len(b.key) or len(a.bound) != len(b.bound):
        return None
    if sorted(map(_unindexed, [*a.key, a.coefficient])) != sorted(map(_unindexed, [*b.key, b.coefficient])):
        return None
    return Finding(Verdict.INDEX, a, b, "{} has its indices in another order than {}", (a.expr, b.expr))


def _products(ours: list[Term], theirs: list[Term]) -> list[Finding]:
    """Two derived terms that the author multiplied: d7*d4 for d7 + d4."""
    findings = []
    for a in list(ours):
        if len(a.key) < 2:
            continue
        parts = [b for b in theirs if b.key and set(b.key) <= set(a.key) and len(b.key) < len(a.key)]
        whole = [k for b in parts for k in b.key]
        if len(parts) >= 2 and sorted(map(str, whole)) == sorted(map(str, a.key)):
            ours.remove(a)
            for b in parts:
                theirs.remove(b)
            total = sp.Add(*(b.expr for b in parts))
            findings.append(
                Finding(
                    Verdict.PRODUCT,
                    a,
                    replace(parts[0], key=(), coefficient=total, bound=()),
                    "the terms are multiplied, they must be added",
                )
            )
    return findings


def _gathered(findings: list[Finding]) -> list[Finding]:
    """One finding for the terms of one delta that are wrong by one number."""
    found: list[Finding] = []
    for one in findings:
        for place, before in enumerate(found):
            if one.ratio is None or not one.ratio.is_number or one.ratio != before.ratio:
                continue
            pairs = (before.written, one.written), (before.derived, one.derived)
            if all(a is not None and b is not None and _slot(a) == _slot(b) for a, b in pairs):
                both = (replace(a, coefficient=a.coefficient + b.coefficient) for a, b in pairs if a and b)
                found[place] = replace(before, written=next(both), derived=next(both))
                break
        else:
            found.append(one)
    return found


def _whole(findings: list[Finding], untouched: bool) -> list[Finding]:
    """One finding where all terms are wrong by the same number."""
    ratios = {f.ratio for f in findings}
    ratio = next(iter(ratios), None)
    if len(findings) < 2 or not untouched or len(ratios) > 1 or ratio is None or not ratio.is_number:
        return findings
    verdict, detail, parts = _classified(ratio)
    return [Finding(verdict, findings[0].written, findings[0].derived, f"{detail}, in every term", parts, ratio)]


# -- what two coefficients differ by -----------------------------------------------------------------------------------


def _ratio(terms: Terms, a: sp.Expr, b: sp.Expr, when: Span | None) -> sp.Expr:
    """a/b with what they share taken out; by the values that they are made of, where that is shorter."""
    candidates = [sp.cancel(sp.factor(a) / sp.factor(b))]
    if not candidates[0].is_number:
        candidates.append(sp.cancel(terms.eliminated(a, when) / terms.eliminated(b, when)))
        candidates.append(sp.factor(candidates[-1]))
    return min(map(sp.factor, candidates), key=lambda e: (not e.is_number, sp.count_ops(e), len(str(e))))


def _unshared(a: sp.Expr, b: sp.Expr) -> tuple[sp.Expr, sp.Expr]:
    """Two products without the factors that stand in both, as they were written."""
    ours, theirs = list(sp.Mul.make_args(a)), list(sp.Mul.make_args(b))
    for one in list(ours):
        if one in theirs:
            ours.remove(one)
            theirs.remove(one)
    return sp.Mul(*ours), sp.Mul(*theirs)


def _classified(
    ratio: sp.Expr, pair: tuple[sp.Expr, sp.Expr] | None = None
) -> tuple[Verdict, str, tuple[sp.Expr, ...]]:
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


def at(expr: sp.Expr, when: sp.Expr) -> sp.Expr:
    """An expression at a fixed time: d[t+1] at T is d[T+1]."""
    moves = {a: a.func(a.base, *(sp.expand(i.xreplace({t: when})) for i in a.indices)) for a in expr.atoms(Indexed)}
    return expr.xreplace(moves)


def _related(a: sp.Expr, b: sp.Expr) -> bool:
    """Whether two coefficients without a delta read some of the same tensors."""
    return bool({ir.name_of(x) for x in a.atoms(Indexed)} & {ir.name_of(x) for x in b.atoms(Indexed)})


def _offset(access: sp.Expr) -> int:
    found = [ir.offset(x.indices[0]) for x in ([access] if isinstance(access, Indexed) else access.atoms(Indexed))]
    return next((by for by in found if by is not None and -9 < by < 9), 0)


def _timeless(expr: sp.Expr) -> str:
    """An expression without its times."""
    return str(
        expr.xreplace({a: a.func(a.base, *(t if i.has(t, T) else i for i in a.indices)) for a in expr.atoms(Indexed)})
    )


def _unindexed(expr: sp.Expr) -> str:
    """An expression without its indices other than time."""
    moves = {
        a: sp.Symbol(f"{ir.name_of(a)}@{a.indices[0] if a.indices and a.indices[0].has(t, T) else ''}")
        for a in expr.atoms(Indexed)
    }
    return str(sp.expand(expr.xreplace(moves)))


def _range(when: Span | None) -> str:
    if when is None:
        return "no time"
    lo, hi = when
    return f"t = {lo}" if lo == hi else f"t = {lo}..{hi}"
