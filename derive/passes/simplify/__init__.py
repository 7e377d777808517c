"""Fewer operations, and better conditioned ones: the passes between `vjp` and the kernels.

    save_values     tanh(c[t,n]) in a derivative -> the saved tanh_c[t,n]; no transcendental is left in an adjoint
    make_carries    d_c[t+1]*f[t+1] -> carry_c[t+1] with carry_c[t] = d_c[t]*f[t]: one value crosses the step
    fold_constants  the adjoint of L is 1: constants disappear into their readers
    inline          adjoints that are read once disappear into their reader (their IDs stay with it)
    share_products  d_h*o stands in two equations -> computed once; a*(1-s^2) beside a*s -> fma(-(a*s), s, a)
    fold_copies     d_p = seed_p: readers read the original

Each rule is a function Program -> Program in a file of its own; counts.py counts what it saved.

Products stay products: s*(1-s) is never expanded, for s - s^2 loses all accuracy where the gate saturates.  The one
difference that is formed, fma(-(a*s), s, a), errs by a rounding of a*s, which is what the rounding of s itself costs.
"""

from __future__ import annotations

from collections.abc import Callable

from derive import ir
from derive.ir import Program
from derive.passes.simplify.carries import make_carries
from derive.passes.simplify.counts import Count, count, operations
from derive.passes.simplify.folding import fold_constants, fold_copies
from derive.passes.simplify.inlining import inline
from derive.passes.simplify.saved_values import save_values
from derive.passes.simplify.scope import adjoints
from derive.passes.simplify.sharing import share_products

__all__ = [
    "Count",
    "RULES",
    "adjoints",
    "count",
    "fold_constants",
    "fold_copies",
    "inline",
    "make_carries",
    "operations",
    "save_values",
    "share_products",
    "simplify",
]

RULES: tuple[Callable[[Program], Program], ...] = (
    save_values,
    make_carries,
    fold_constants,
    inline,
    share_products,
    fold_copies,
)


def simplify(program: Program) -> tuple[Program, list[Count]]:
    """All passes in order, and the operation counts before the first and after each."""
    counts = [count(program, "derived")]
    for rule in RULES:
        program = ir.verify(rule(program))
        counts.append(count(program, rule.__name__))
    return program, counts
