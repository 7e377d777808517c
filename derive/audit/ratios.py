"""What two coefficients differ by: their ratio, and what it says in words."""

from __future__ import annotations

import sympy as sp
from sympy.tensor.indexed import Indexed

from derive import ir
from derive.audit.coefficients import Coefficients
from derive.audit.findings import Verdict
from derive.ir import Span, t

SWAP = "{} stands where {} belongs"


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
