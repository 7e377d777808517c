"""Two right-hand sides against each other: what is missing, extra or wrong, by name.

An author may stop at other quantities than the derivation does: dL/dz_f by dL/dh, where the derivation goes by dL/df,
dL/dc and dL/dtanh_c.  So derived equations are put in, on both sides, for as long as that brings the two nearer; what
then differs is said in the smallest number of findings.

`compare` searches for what to put in.  `differences` compares two lists of terms as they are: equal ones are taken away, and
the rest is paired as well as it can be, by the rules of findings.py.
"""

from __future__ import annotations

import heapq
from collections.abc import Container, Iterable
from dataclasses import dataclass, replace
from itertools import count
from typing import Any

import sympy as sp
from sympy.tensor.indexed import Indexed

from derive import ir
from derive.audit.findings import (
    Finding,
    Rule,
    Verdict,
    classified,
    other_coefficient,
    other_delta,
    other_order,
    other_range,
    other_time,
    scaled,
)
from derive.audit.terms import Coefficients, Term, Terms
from derive.ir import Span

LIMIT = 16  # how many ways of putting equations in are tried without getting nearer

# A term with one thing wrong in it is nearer to the truth than a term that is not there and another that should not be.
_WEIGHT = {Verdict.PRODUCT: 2, Verdict.MISSING: 4, Verdict.EXTRA: 4, Verdict.FACTOR: 3, Verdict.RANGE: 3}

# In this order: what a first rule pairs, a later one does not see.
_RULES: tuple[Rule, ...] = (scaled, other_range, other_time, other_delta, other_coefficient, other_order)


@dataclass(frozen=True)
class Comparison:
    """The findings, and the names of the adjoints whose equations were put in to reach them."""

    findings: tuple[Finding, ...]
    expanded: tuple[str, ...]


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
        foreign = sum(n not in claimed for n in names if n in terms.derived.reference.program.defined)
        return sum(_WEIGHT.get(f.verdict, 2) for f in found.findings) + 2 * foreign

    best: tuple[int, int, Comparison] | None = None
    seen: set[frozenset[str]] = set()
    number, idle = count(), 0
    queue: list[tuple[Any, ...]] = [(0, next(number), (), written, derived)]
    while queue and idle < LIMIT:
        _, _, path, left, other = heapq.heappop(queue)
        if frozenset(path) in seen:
            continue
        seen.add(frozenset(path))
        found = Comparison(tuple(differences(terms.coefficients, of(left), of(other))), path)
        idle += 1
        price = cost(found)
        if best is None or (price, len(path)) < best[:2]:
            best, idle = (price, len(path), found), 0
        if not found.findings or (not right and len(found.findings) == 1 and price < 4):
            break
        for name in _open(terms, found, path):
            then = (*path, name)
            moved = terms.derived.expanded(left, name), terms.derived.expanded(other, name)
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
                names += [ir.name_of(a) for a in sorted(one.atoms(Indexed), key=str) if terms.derived.is_adjoint(a)]
    defined = terms.derived.reference.program.defined
    return [n for n in dict.fromkeys(names) if n not in path and n in defined]


# -- two lists of terms ------------------------------------------------------------------------------------------------


def differences(coefficients: Coefficients, written: list[Term], derived: list[Term]) -> list[Finding]:
    """What remains when equal terms are taken away, paired as well as it can be."""
    ours, theirs = _unequal(coefficients, written, derived)
    untouched = len(ours) == len(written)
    findings = _paired(coefficients, ours, theirs, (scaled,))
    if ours and theirs:
        parts = _split(ours, theirs)
        ours, theirs = _unequal(coefficients, parts, _split(theirs, ours))
        untouched = untouched and len(ours) == len(parts)
    findings += _paired(coefficients, ours, theirs, _RULES)
    findings += _products(ours, theirs)
    findings += [Finding(Verdict.EXTRA, a, None) for a in ours]
    findings += [Finding(Verdict.MISSING, None, b) for b in theirs]
    return _whole(_gathered(findings), untouched)


def _unequal(coefficients: Coefficients, written: list[Term], derived: list[Term]) -> tuple[list[Term], list[Term]]:
    """Both lists without what is equal: term by term, then deltas whose coefficients have the same sum."""
    ours, theirs = list(written), list(derived)
    for a in written:
        same = next(
            (b for b in theirs if a.slot == b.slot and coefficients.equal(a.coefficient, b.coefficient, b.when)),
            None,
        )
        if same is not None:
            ours.remove(a)
            theirs.remove(same)
    for slot in dict.fromkeys(x.slot for x in ours):
        left, right = ([x for x in side if x.slot == slot] for side in (ours, theirs))
        if right and coefficients.equal(_total(left), _total(right), slot[2]):
            ours, theirs = [x for x in ours if x not in left], [x for x in theirs if x not in right]
    return ours, theirs


def _total(terms: Iterable[Term]) -> sp.Expr:
    return sp.Add(*(x.coefficient for x in terms))


def _split(terms: list[Term], others: list[Term]) -> list[Term]:
    """Terms with a sum as their coefficient as several, where the other side has several terms with that delta."""
    found: list[Term] = []
    for term in terms:
        several = sum(x.slot == term.slot for x in (*terms, *others)) > 2
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
            if all(a is not None and b is not None and a.slot == b.slot for a, b in pairs):
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
