"""Unification of sizes: which dimension each axis of a tensor and each index runs over, found from where indices meet.

    z[t, n] = Sum(W[n, j] * x[t, j], j)     the second axis of W is that of x, the first is that of z

Sizes that no state and no input settles are called after the index: V[o, n] has the size O.
"""

from __future__ import annotations

from typing import Any

import sympy as sp
from sympy.tensor.indexed import Indexed

from derive import ir
from derive.errors import DeriveError
from derive.ir import T, t
from derive.notation.writer import Writer


class Sizes:
    """The dimensions of all tensors that a writer collected; DeriveError, with the equation, where there is none.

    `order` are the tensors as the arguments of the function list them; `dims` the sizes that the cell has.
    """

    def __init__(self, where: str, writer: Writer, states: list[str]) -> None:
        self.where, self.writer = where, writer
        self.parent: dict[Any, Any] = {}
        self.order: list[str] = []
        self.rank: dict[str, int] = {}
        self.constants: list[tuple[sp.Expr, sp.Symbol]] = []
        self.timed: dict[str, bool] = {}
        self.spelling: dict[str, tuple[sp.Symbol, ...]] = {}
        for p, (lhs, rhs) in enumerate(writer.equations):
            scope = {s: (p, "free", s) for s in (lhs.indices if isinstance(lhs, Indexed) else ()) if s != t}
            self._visit(lhs, scope, p)
            self._visit(rhs, scope, p)
        for lhs, _ in writer.equations:  # a tensor is spelled as on the left of its equation
            if isinstance(lhs, Indexed):
                self.spelling[ir.name_of(lhs)] = lhs.indices[1:] if self.timed[ir.name_of(lhs)] else lhs.indices
        self.order.sort(key=writer.position)
        self.names: dict[Any, sp.Symbol] = {}
        self._name(states)
        for lhs, symbol in self.constants:
            if symbol not in self.names.values():
                raise DeriveError(
                    f"{self.where}: in the equation of {lhs}, {symbol} is neither an argument of the function nor "
                    f"a size ({', '.join(map(str, self.dims))})"
                )

    def _find(self, node: Any) -> Any:
        while self.parent.setdefault(node, node) != node:
            node = self.parent[node]
        return node

    def _visit(self, expr: sp.Expr, scope: dict[sp.Symbol, Any], equation: int) -> None:
        if isinstance(expr, sp.Sum):
            inner = dict(scope)
            for position, (symbol, _, _) in enumerate(expr.limits):
                if symbol in scope:
                    lhs = self.writer.equations[equation][0]
                    place = "also stands on the left" if scope[symbol][1] == "free" else "is summed around it as well"
                    raise DeriveError(f"{self.where}: in the equation of {lhs}, {symbol} is summed and {place}")
                inner[symbol] = (equation, expr, position)
            self._visit(expr.function, inner, equation)
            return
        if isinstance(expr, Indexed) or (expr.is_Symbol and str(expr) in self.writer.names):
            self._access(expr, scope, equation)
            return
        if expr.is_Symbol:
            self._constant(expr, scope, equation)
        for argument in expr.args:
            self._visit(argument, scope, equation)

    def _constant(self, symbol: sp.Symbol, scope: dict[sp.Symbol, Any], equation: int) -> None:
        """A symbol that is no tensor: the size of a dimension, which is checked when all sizes are known."""
        lhs = self.writer.equations[equation][0]
        if symbol in scope:
            raise DeriveError(
                f"{self.where}: in the equation of {lhs}, the index {symbol} stands outside of any tensor; "
                f"an index has no value of its own"
            )
        self.constants.append((lhs, symbol))

    def _access(self, access: sp.Expr, scope: dict[sp.Symbol, Any], equation: int) -> None:
        label, lhs = ir.name_of(access), self.writer.equations[equation][0]
        indices = access.indices if isinstance(access, Indexed) else ()
        timed = any(i.has(t) for i in indices[:1])
        positions = indices[1:] if timed else indices
        for fixed in (s for s in indices if not s.free_symbols or s == T):
            raise DeriveError(
                f"{self.where}: in the equation of {lhs}, {access} is read or defined at {fixed}; an index is a name "
                f"such as n, time is t or t-1, and the initial states come by themselves"
            )
        if len(set(positions)) < len(positions):
            raise DeriveError(
                f"{self.where}: in the equation of {lhs}, an index stands twice in {access}; a diagonal matrix is "
                f"written as a vector"
            )
        if label not in self.rank:
            self.order.append(label)
            self.rank[label], self.timed[label] = len(positions), timed
            self.spelling[label] = tuple(positions)
        elif (self.rank[label], self.timed[label]) != (len(positions), timed):
            raise DeriveError(
                f"{self.where}: in the equation of {lhs}, {access} has other indices than {label} elsewhere"
            )
        for slot, symbol in enumerate(positions):
            if symbol == t or symbol.has(t):
                raise DeriveError(
                    f"{self.where}: in the equation of {lhs}, {access} has time in the wrong place; time comes first"
                )
            if not symbol.is_Symbol or symbol not in scope:
                raise DeriveError(
                    f"{self.where}: in the equation of {lhs}, the index {symbol} of {access} is neither on the left nor summed"
                )
            self.parent[self._find((label, slot))] = self._find(scope[symbol])

    def _name(self, states: list[str]) -> None:
        written = {ir.name_of(lhs) for lhs, _ in self.writer.equations}
        inputs = [x for x in self.order if self.timed[x] and x not in written and self.rank[x]]
        wanted = [(x, "H") for x in states[:1]] + [(x, "I" if states else "H") for x in inputs[:1]]
        if not states and inputs:
            wanted = [(inputs[0], "H")]
        for label, name in wanted:
            root = self._find((label, 0)) if self.rank.get(label) else None
            if root is not None and self.names.setdefault(root, ir.dimension(name)) != ir.dimension(name):
                raise DeriveError(
                    f"{self.where}: the index of {label} runs over {self.names[root]} as well as over {name}; "
                    f"use different indices for the input and the units"
                )
        families = [name.family for name in self.writer.names.values() if name.family]
        for label in self.order:
            for slot in range(self.rank[label]):
                root = self._find((label, slot))
                if root not in self.names:
                    letter = str(self.spelling[label][slot]).upper()
                    taken = {str(d) for d in self.names.values()} | {"T", "B", *self.order, *families}
                    self.names[root] = ir.dimension(letter if letter not in taken else f"{letter}_{len(taken)}")

    @property
    def dims(self) -> list[sp.Symbol]:
        """The sizes of the cell, I and H first."""
        first = [d for d in (ir.dimension("I"), ir.dimension("H")) if d in self.names.values()]
        return list(dict.fromkeys([*first, *self.names.values()]))

    def tensor(self, label: str) -> tuple[bool, tuple[sp.Symbol, ...], tuple[sp.Symbol, ...]]:
        """Whether a tensor has time, its dimensions, and the indices with which it is written."""
        dims = tuple(self.names[self._find((label, slot))] for slot in range(self.rank[label]))
        return self.timed[label], dims, self.spelling[label]

    def resolve(self, equation: int, expr: sp.Expr) -> sp.Expr:
        """Put the found dimensions into the limits of the sums."""
        if isinstance(expr, sp.Sum):
            limits = []
            for position, (symbol, lo, hi) in enumerate(expr.limits):
                root = self._find((equation, expr, position))
                if symbol != t and root not in self.names:
                    raise DeriveError(f"{self.where}: the summed index {symbol} stands on no tensor")
                limits.append((symbol, lo, hi if symbol == t else self.names[root]))
            return sp.Sum(self.resolve(equation, expr.function), *limits)
        if not expr.has(sp.Sum):
            return expr
        return expr.func(*(self.resolve(equation, a) for a in expr.args))
