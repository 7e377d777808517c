"""Coefficients of forward values: one form for each, and whether two of them are the same function of the forward pass."""

from __future__ import annotations

import sympy as sp
from sympy.tensor.indexed import Indexed, IndexedBase

from derive import ir
from derive.audit.derived import Derived
from derive.audit.indices import numbered, plain
from derive.ir import Equation, Span, t
from derive.ir.functions import record_of


class Coefficients:
    """Brings coefficients into one form; knows the values that the forward pass saves."""

    def __init__(self, derived: Derived) -> None:
        self.derived, self.primal = derived, derived.reference.primal
        self.saved = {
            (e.rhs.func, ir.name_of(e.rhs.args[0])): e.target
            for e in self.primal.equations
            if record_of(e.rhs) is not None and isinstance(e.rhs.args[0], Indexed)
        }

    def canonical(self, expr: sp.Expr) -> sp.Expr:
        """sigmoid(z_f[t,n]) is f[t,n]; a sum that is a forward value gets its name; bound indices of sums are numbered."""
        expr = ir.walk(expr, self._saved)
        for total in sorted(expr.atoms(sp.Sum), key=str):
            expr = expr.xreplace({total: numbered(total)})
        return expr

    def _saved(self, node: sp.Expr) -> sp.Expr:
        if record_of(node) is None or not node.args:
            return node
        argument = node.args[0]
        argument = argument if isinstance(argument, Indexed) else self._recognised(argument)
        if isinstance(argument, Indexed):
            name = self.saved.get((node.func, ir.name_of(argument)))
            if name is not None:
                return IndexedBase(name)[argument.indices]
        return node if argument is node.args[0] else node.func(argument)

    def _recognised(self, expr: sp.Expr) -> sp.Expr:
        """The forward value whose equation has this right-hand side, at whatever time and indices; else the expression."""
        names = ir.names_in(expr)
        for equation in self.primal.equations:
            if not isinstance(equation.rhs, (sp.Add, sp.Mul, sp.Sum)) or not isinstance(equation.lhs, Indexed):
                continue
            if ir.names_in(equation.rhs) != names:
                continue
            for where in self._placements(equation, expr):
                moved = equation.rhs.xreplace(where)
                if sp.expand(plain(moved) - plain(expr)) == 0:
                    return equation.lhs.xreplace(where)
        return expr

    @staticmethod
    def _placements(equation: Equation, expr: sp.Expr) -> list[dict[sp.Expr, sp.Expr]]:
        """Times and indices at which the equation could stand in the expression."""
        bound = {s for total in expr.atoms(sp.Sum) for s, *_ in total.limits}
        free = sorted(
            {s for a in expr.atoms(Indexed) for s in a.indices if s.is_Symbol and s not in bound and s != t}, key=str
        )
        own = [s for s in equation.lhs.indices if s != t]
        found = []
        for by in (0, -1, 1):
            for symbol in free if len(own) == 1 else [None]:
                where = {t: t + by} if by else {}
                found.append({**where, **({own[0]: symbol} if symbol is not None else {})})
        return found

    def eliminated(self, expr: sp.Expr, when: Span | None) -> sp.Expr:
        """The same value with forward values that are products and sums of others put in: h[t] becomes o[t]*tanh_c[t].

        Only at times at which the equation holds: h[t-1] stays, for at t = 1 it is the initial state.
        """
        lo = when[0] if when is not None and when[0].is_Integer else sp.Integer(1)
        definitions = {
            e.target: e
            for e in self.primal.equations
            if isinstance(e.lhs, Indexed) and e.lhs.has(t) and not e.rhs.has(sp.Sum) and record_of(e.rhs) is None
        }
        for _ in range(2 * len(definitions)):
            moves = {}
            for access in expr.atoms(Indexed):
                equation = definitions.get(ir.name_of(access))
                by = ir.offset(self.derived.time(access)) if equation is not None else None
                if equation is None or by is None or lo + by < 1:
                    continue
                where = dict(zip(equation.lhs.indices[1:], access.indices[1:], strict=True))
                moves[access] = equation.rhs.xreplace({**where, t: t + by})
            if not moves:
                break
            expr = self.canonical(expr.xreplace(moves))
        return sp.expand(expr)

    def equal(self, a: sp.Expr, b: sp.Expr, when: Span | None) -> bool:
        """Whether two coefficients are the same function of the forward pass."""
        if a == b or sp.expand(a - b) == 0:
            return True
        left, right = self.eliminated(a, when), self.eliminated(b, when)
        return left == right or sp.expand(left - right) == 0 or sp.cancel(left - right) == 0
