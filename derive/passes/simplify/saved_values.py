"""The rule `save_values`: derivatives are written with what the forward pass computed anyway.

    d_tanh_c[t,n]*(1 - tanh(c[t,n])**2)   ->   d_tanh_c[t,n]*(1 - tanh_c[t,n]**2)

No transcendental is left in an adjoint.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from itertools import permutations
from typing import Any

import sympy as sp

from derive import ir
from derive.errors import DeriveError
from derive.ir import Equation, Origin, Program, Tensor, t
from derive.passes.normalize import is_transcendental
from derive.passes.simplify.lifetimes import living
from derive.passes.simplify.scope import adjoint_ids, free_ids


def save_values(program: Program) -> Program:
    """Write derivatives with the values that the forward pass computed anyway.

    Where a derivative calls a function that the forward pass does not (softplus' = sigmoid), the forward pass gets a
    new equation for it, marked Origin.SAVED_DERIVATIVE.
    """
    new = adjoint_ids(program)
    keeper = _Saved(program)
    equations = [keeper.rewrite(e) if e.id in new else e for e in program.equations]
    first = next((p for p, e in enumerate(equations) if e.id in new), len(equations))
    for equation in keeper.added:
        at = max(
            (
                p
                for p, e in enumerate(equations[:first])
                if e.target in {ir.name_of(a) for a in ir.accesses(equation.rhs, keeper.tensors)}
            ),
            default=first - 1,
        )
        equations.insert(at + 1, equation)
        first += 1
    return program.with_equations(equations, keeper.tensors)


class _Saved:
    """Finds the saved value of a call or a root, and adds an equation to the forward pass where there is none."""

    def __init__(self, program: Program) -> None:
        self.program, self.tensors = program, dict(program.tensors)
        self.added: list[Equation] = []
        self.ids = free_ids("F'", program)
        self.defined = [e for e in program.equations if is_transcendental(e.rhs) or isinstance(e.rhs, sp.Pow)]

    def rewrite(self, equation: Equation) -> Equation:
        """Each term on its own: where a term lives decides which saved values are there for it."""
        parts = ir.terms(equation.rhs)
        made = []
        for part in parts:
            life = living(part, equation, self.tensors)
            made.append(ir.walk(part, partial(self._substitute, life=life, part=part)))
        return equation if made == parts else replace(equation, rhs=sp.Add(*made))

    def _substitute(self, node: sp.Expr, life: ir.Span | None, part: sp.Expr) -> sp.Expr:
        if is_transcendental(node):
            return self._find(node, life, part) or self._add(node, life)
        if isinstance(node, sp.Pow) and node.exp.is_Rational and not node.exp.is_Integer:
            return self._power(node, life)
        return node

    def _find(self, node: sp.Expr, life: ir.Span | None, part: sp.Expr) -> sp.Expr | None:
        """The saved value of a call; of several, one whose indices have the order of those around it."""
        found = []
        for equation in [*self.defined, *self.added]:
            for move in self._moves(equation, node, life):
                # tanh(a[k] - a[n]) is -tanh(a[n] - a[k]): SymPy writes one of the two.
                signs = {equation.rhs.xreplace(move): 1, -equation.rhs.xreplace(move): -1}
                if node in signs:
                    found.append(signs[node] * equation.lhs.xreplace(move))
        around = [a for a in ir.accesses(part, self.tensors) if not node.has(a)]
        return next((f for f in found if self._in_order([*around, *ir.accesses(f, self.tensors)])), (*found, None)[0])

    def _in_order(self, reads: list[sp.Expr]) -> bool:
        try:
            ir.ordered_axes(reads, self.tensors)
        except DeriveError:
            return False
        return True

    def _power(self, node: sp.Pow, life: ir.Span | None) -> sp.Expr:
        for equation in self.defined:
            if isinstance(equation.rhs, sp.Pow) and (node.exp / equation.rhs.exp).is_Integer:
                for move in self._moves(equation, node, life):
                    if equation.rhs.base.xreplace(move) == node.base:
                        return equation.lhs.xreplace(move) ** (node.exp / equation.rhs.exp)
        return node

    def _moves(self, equation: Equation, node: sp.Expr, life: ir.Span | None) -> Iterator[dict[Any, Any]]:
        """Renamings of indices and shifts of time that could turn the saved expression into the node.

        tanh(c[t]) is saved on 1..T: a term on 0..T-1 that has tanh(c[t]) of h[t+1] = tanh(c[t]) finds it elsewhere.
        """
        reads = ir.accesses(node, self.tensors)
        symbols = ir.ordered({i for a in reads for i in ir.indices_of(a, self.tensors)})
        own = [s for s in equation.free if s != t]
        for by in (0, 1, -1):
            if life and equation.when and not ir.contains(equation.when, (life[0] + by, life[1] + by)):
                continue
            for names in permutations(symbols, len(own)) if len(symbols) == len(own) else ():
                yield {t: t + by, **dict(zip(own, names, strict=True))}

    def _add(self, node: sp.Expr, life: ir.Span | None) -> sp.Expr:
        # Saved at the step of the equation whose derivative it is: the first on which the term lives becomes step 1.
        by = int(life[0]) - 1 if life is not None and life[0].is_Integer else 0
        here = node.xreplace({t: t + by})
        reads = ir.accesses(here, self.tensors)
        try:
            shapes = ir.ordered_axes(reads, self.tensors)
        except DeriveError:  # it can be written, and no kernel computes it
            shapes = {i: d for i, d in sorted(ir.dims_of(here, self.tensors).items(), key=str)}
        indices = tuple(shapes)
        name = ir.unused_name(f"{type(node).__name__}_{'_'.join(ir.name_of(a) for a in reads[:1])}", self.tensors)
        tensor = Tensor(
            name,
            tuple(shapes[i] for i in indices),
            indices,
            "value",
            # In a term of every step, a value of parameters alone is one of every step as well.
            ir.STEPS if life is not None else None,
            life is not None or any(self.tensors[ir.name_of(a)].batched for a in reads),
            latex=name.replace("_", r"\_"),
        )
        self.tensors[name] = tensor
        self.added.append(Equation(tensor.at(), here, next(self.ids), tensor.time, Origin.SAVED_DERIVATIVE))
        return tensor.at().xreplace({t: t - by})
