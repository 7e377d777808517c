"""Two lists of terms side by side: what is missing, extra or wrong, by name.

An author may stop at other quantities than the derivation does: dL/dz_f by dL/dh, where the derivation goes by dL/df,
dL/dc and dL/dtanh_c.  So derived equations are put in, on both sides, for as long as that brings the two nearer; what
then differs is said in the smallest number of findings.

differences.py compares two lists as they are; here is the search for what to put in.
"""

from __future__ import annotations

import heapq
from collections.abc import Container, Iterable
from dataclasses import dataclass
from itertools import count
from typing import Any

import sympy as sp
from sympy.tensor.indexed import Indexed

from derive import ir
from derive.audit.differences import differences
from derive.audit.findings import Finding, Verdict
from derive.audit.terms import Term, Terms
from derive.ir import Span

PATIENCE = 16  # how many ways of putting equations in are tried without getting nearer


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
        foreign = sum(n not in claimed for n in names if n in terms.derived.reference.program.defined)
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
