"""Operations of the pointwise adjoint equations, counted as the kernels will do them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import sympy as sp
from sympy.tensor.indexed import Indexed

from derive import ir
from derive.ir import Program, span, t
from derive.ir.functions import fma
from derive.passes.normalize import is_constant
from derive.passes.simplify.scope import adjoints


@dataclass(frozen=True)
class Count:
    """Operations per unit and step of the pointwise adjoint equations."""

    stage: str
    multiplications: int
    additions: int
    divisions: int
    calls: int

    def __str__(self) -> str:
        return (
            f"{self.stage:<16} {self.multiplications:>4} multiplications {self.additions:>4} additions "
            f"{self.divisions:>3} divisions {self.calls:>3} calls"
        )


def count(program: Program, stage: str) -> Count:
    """Operations of the adjoint equations that are pointwise in time and units; boundary terms not counted."""
    total: Counter[str] = Counter()
    for equation in adjoints(program):
        if equation.lhs.has(t) and not equation.rhs.has(sp.Sum):
            _count(sp.Add(*(a for a in ir.terms(equation.rhs) if not a.has(span))), total)
    return Count(stage, total["mul"], total["add"], total["div"], total["call"])


def operations(expr: sp.Expr) -> Counter[str]:
    """Operations of one evaluation of an expression without sums: "mul", "add", "div" and "call"."""
    total: Counter[str] = Counter()
    _count(expr, total)
    return total


def _count(expr: sp.Expr, total: Counter[str]) -> None:
    if isinstance(expr, Indexed) or not expr.args:
        return
    if isinstance(expr, fma):
        total["mul"] += 1
        total["add"] += 1
        expr = expr.func(*(-a if a.could_extract_minus_sign() else a for a in expr.args))
    elif isinstance(expr, sp.Add):
        total["add"] += len(expr.args) - 1
    elif isinstance(expr, sp.Mul):
        factors = [a for a in expr.args if not is_constant(a)]
        scale = sp.Mul(*(a for a in expr.args if is_constant(a)))
        factors += [] if scale in (1, -1) else [sp.Symbol("scale")]
        below = [a for a in factors if isinstance(a, sp.Pow) and a.exp.is_negative]
        total["div"] += len(below)
        total["mul"] += max(len(factors) - len(below) - 1, 0)
    elif isinstance(expr, sp.Pow):
        power = abs(expr.exp)
        total["mul"] += int(power) - 1 if power.is_Integer else 0
        total["call"] += 0 if power.is_Integer else 1
        _count(expr.base, total)
        return
    else:
        total["call"] += 1
    for argument in expr.args:
        _count(argument, total)
