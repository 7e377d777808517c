"""Terms as products of factors, and sums of terms with what they share taken out."""

from __future__ import annotations

from collections import Counter

import sympy as sp
from sympy.tensor.indexed import Indexed

from derive import ir
from derive.ir import span


class Monomial:
    """A coefficient times a multiset of factors: one term of one equation."""

    def __init__(self, expr: sp.Expr) -> None:
        self.coefficient, rest = expr.as_coeff_Mul()
        self.factors: Counter[sp.Expr] = Counter()
        for factor in sp.Mul.make_args(rest):
            if isinstance(factor, sp.Pow) and factor.exp.is_Integer and factor.exp > 0:
                self.factors[factor.base] += int(factor.exp)
            elif factor != 1:
                self.factors[factor] += 1

    def expr(self) -> sp.Expr:
        return sp.Mul(self.coefficient, *(f**p for f, p in self.factors.items()))

    def has(self, factors: Counter[sp.Expr]) -> bool:
        return all(self.factors[f] >= p for f, p in factors.items())

    def take(self, factors: Counter[sp.Expr], by: sp.Expr) -> None:
        self.factors -= factors
        self.factors[by] += 1


def factored(expr: sp.Expr) -> sp.Expr:
    """a*b - a*c -> a*(b - c), for a sum of products that share an access."""
    parts = ir.terms(expr)
    if len(parts) < 2 or expr.has(span):
        return expr
    shared = set.intersection(*(set(sp.Mul.make_args(p)) for p in parts))
    common = [f for f in ir.ordered(shared) if isinstance(f, Indexed)]
    if not common:
        return expr
    factor = sp.Mul(*common)
    return sp.Mul(factor, sp.Add(*(p / factor for p in parts)))


def square_root_of_complement(expr: sp.Expr) -> sp.Expr | None:
    """s for 1 - s^2, else None."""
    if isinstance(expr, sp.Add) and len(expr.args) == 2 and sp.Integer(1) in expr.args:
        other = next(a for a in expr.args if a != 1)
        if isinstance(-other, sp.Pow) and (-other).exp == 2:
            return (-other).base
    return None
