"""Two lists of terms side by side: equal ones are taken away, and the rest is paired as well as it can be."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import sympy as sp
from sympy.tensor.indexed import Indexed

from derive import ir
from derive.audit.coefficients import Coefficients
from derive.audit.findings import Finding, Verdict
from derive.audit.indices import at, timeless, unindexed
from derive.audit.ratios import SWAP, classified, ratio_of, unshared
from derive.audit.terms import Term
from derive.ir import Span, t

Rule = Callable[[Coefficients, Term, Term], Finding | None]


def differences(coefficients: Coefficients, written: list[Term], derived: list[Term]) -> list[Finding]:
    """What remains when equal terms are taken away, paired as well as it can be."""
    ours, theirs = _unequal(coefficients, written, derived)
    untouched = len(ours) == len(written)
    findings = _paired(coefficients, ours, theirs, (_scaled,))
    if ours and theirs:
        parts = _split(ours, theirs)
        ours, theirs = _unequal(coefficients, parts, _split(theirs, ours))
        untouched = untouched and len(ours) == len(parts)
    findings += _paired(
        coefficients, ours, theirs, (_scaled, _same_coefficient, _moved, _renamed, _same_key, _transposed)
    )
    findings += _products(ours, theirs)
    findings += [Finding(Verdict.EXTRA, a, None) for a in ours]
    findings += [Finding(Verdict.MISSING, None, b) for b in theirs]
    return _whole(_gathered(findings), untouched)


def _slot(term: Term) -> tuple[Any, ...]:
    return term.key, term.bound, term.when


def _unequal(coefficients: Coefficients, written: list[Term], derived: list[Term]) -> tuple[list[Term], list[Term]]:
    """Both lists without what is equal: term by term, then deltas whose coefficients have the same sum."""
    ours, theirs = list(written), list(derived)
    for a in written:
        same = next(
            (b for b in theirs if _slot(a) == _slot(b) and coefficients.equal(a.coefficient, b.coefficient, b.when)),
            None,
        )
        if same is not None:
            ours.remove(a)
            theirs.remove(same)
    for slot in dict.fromkeys(map(_slot, ours)):
        left, right = ([x for x in side if _slot(x) == slot] for side in (ours, theirs))
        if right and coefficients.equal(_total(left), _total(right), slot[2]):
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


def _paired(coefficients: Coefficients, ours: list[Term], theirs: list[Term], rules: Iterable[Rule]) -> list[Finding]:
    """Pairs of terms that a rule knows, rule by rule; they are taken out of the lists."""
    findings = []
    for rule in rules:
        for a in list(ours):
            for b in list(theirs):
                found = rule(coefficients, a, b)
                if found is not None:
                    ours.remove(a)
                    theirs.remove(b)
                    findings.append(found)
                    break
    return findings


# -- rules: what two terms can have in common ----------------------------------------------------------------------------


def _scaled(coefficients: Coefficients, a: Term, b: Term) -> Finding | None:
    """The same term times a number: -1, 2, 1/2."""
    if _slot(a) != _slot(b):
        return None
    ratio = ratio_of(coefficients, a.coefficient, b.coefficient, b.when)
    if not ratio.is_number:
        return None
    verdict, detail, parts = classified(ratio)
    return Finding(verdict, a, b, detail, parts, ratio)


def _same_coefficient(coefficients: Coefficients, a: Term, b: Term) -> Finding | None:
    """The same term over another part of the time."""
    if (a.key, a.bound) != (b.key, b.bound) or a.when == b.when:
        return None
    if not coefficients.equal(a.coefficient, b.coefficient, b.when):
        return None
    if a.when and b.when and a.when[0] == a.when[1] and b.when[0] == b.when[1]:
        return Finding(Verdict.TIME, a, b, SWAP, (at(a.expr, a.when[0]), at(b.expr, b.when[0])))
    return Finding(Verdict.RANGE, a, b, f"stands for {_range(a.when)}, belongs to {_range(b.when)}")


def _same_key(coefficients: Coefficients, a: Term, b: Term) -> Finding | None:
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


def _moved(coefficients: Coefficients, a: Term, b: Term) -> Finding | None:
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


def _renamed(coefficients: Coefficients, a: Term, b: Term) -> Finding | None:
    """Another delta with the right coefficient."""
    if len(a.key) != 1 or len(b.key) != 1 or not (isinstance(a.key[0], Indexed) and isinstance(b.key[0], Indexed)):
        return None
    if ir.name_of(a.key[0]) == ir.name_of(b.key[0]) or a.key[0].indices != b.key[0].indices:
        return None
    if a.when != b.when or a.bound != b.bound or not coefficients.equal(a.coefficient, b.coefficient, b.when):
        return None
    return Finding(Verdict.SYMBOL, a, b, SWAP, (a.key[0], b.key[0]))


def _transposed(coefficients: Coefficients, a: Term, b: Term) -> Finding | None:
    """The same tensors at the same times, with indices in another order."""
    if not a.key or len(a.key) != len(b.key) or len(a.bound) != len(b.bound):
        return None
    if sorted(map(unindexed, [*a.key, a.coefficient])) != sorted(map(unindexed, [*b.key, b.coefficient])):
        return None
    return Finding(Verdict.INDEX, a, b, "{} has its indices in another order than {}", (a.expr, b.expr))


# -- several terms at once --------------------------------------------------------------------------------------------


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
    verdict, detail, parts = classified(ratio)
    return [Finding(verdict, findings[0].written, findings[0].derived, f"{detail}, in every term", parts, ratio)]


# -- what the rules ask ------------------------------------------------------------------------------------------------


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
