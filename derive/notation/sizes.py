"""Unification of sizes: which dimension each axis of a tensor and each index runs over, found from where indices meet.

    z[t, n] = Sum(W[n, j] * x[t, j], j)     the second axis of W is that of x, the first is that of z

Sizes that no state and no input settles are called after the index: V[o, n] has the size O.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import sympy as sp
from sympy.tensor.indexed import Indexed

from derive import ir
from derive.ir import T, t
from derive.notation.reserved import is_reserved
from derive.notation.symbols import whole
from derive.notation.writer import Writer


def free_size(name: str, taken: Collection[str]) -> str:
    """The name of a size; with a number behind it where C or the cell has another use for it."""
    if is_reserved(name) and name != "O":
        name = name.replace("_", "")  # macros have whole families of names, such as M_PI and SIZE_MAX
    taken = {*taken, "INPUT", "HIDDEN", "OUTPUT"}  # the keywords input_size, hidden_size, output_size
    number, found = 1, name
    while found in taken or (is_reserved(found) and found != "O"):
        number += 1
        found = f"{name}{number}"
    return found


class Sizes:
    """The dimensions of all tensors that a writer collected; DeriveError, with the equation, where there is none.

    `order` are the tensors as the arguments of the function list them; `dims` the sizes that the cell has.
    """

    def __init__(self, where: str, writer: Writer, states: list[str]) -> None:
        self.where, self.writer = where, writer
        self.parent: dict[Any, Any] = {}
        self.order: list[str] = []
        self.rank: dict[str, int] = {}
        self.constants: list[tuple[int, sp.Symbol]] = []
        self.limits: list[tuple[int, sp.Symbol, sp.Symbol]] = []
        self.timed: dict[str, bool] = {}
        self.first: dict[str, tuple[sp.Expr, int]] = {}
        self.spelling: dict[str, tuple[sp.Symbol, ...]] = {}
        for p, (lhs, rhs) in enumerate(writer.equations):
            scope = {s: (p, "free", s) for s in (lhs.indices if isinstance(lhs, Indexed) else ()) if s != t}
            self._visit(lhs, scope, p)
            if ir.name_of(lhs) not in writer.places:
                self._visit(rhs, scope, p)
        for lhs, _ in writer.equations:  # a tensor is spelled as on the left of its equation
            if isinstance(lhs, Indexed):
                self.spelling[ir.name_of(lhs)] = lhs.indices[1:] if self.timed[ir.name_of(lhs)] else lhs.indices
        self.order.sort(key=writer.position)
        self.names: dict[Any, sp.Symbol] = {}
        self._name(states)
        for p, symbol in self.constants:
            if symbol not in self.names.values():
                raise writer.mistake(
                    p,
                    f"{symbol} is neither an argument of the function nor a size ({', '.join(map(str, self.dims))})",
                )

    def _find(self, node: Any) -> Any:
        while self.parent.setdefault(node, node) != node:
            node = self.parent[node]
        return node

    def _visit(self, expr: sp.Expr, scope: dict[sp.Symbol, Any], equation: int) -> None:
        if isinstance(expr, ir.REDUCTIONS):
            inner = dict(scope)
            for position, limit in enumerate(expr.limits):
                symbol = limit[0]
                if symbol in inner:
                    place = (
                        "also stands on the left"
                        if scope.get(symbol, ("", ""))[1] == "free"
                        else ("is summed around it as well")
                    )
                    raise self.writer.mistake(equation, f"{symbol} is summed and {place}")
                self._limits(limit, equation)
                inner[symbol] = (equation, expr, position)
            self._visit(expr.function, inner, equation)
            return
        if isinstance(expr, Indexed) or (expr.is_Symbol and str(expr) in self.writer.names):
            self._access(expr, scope, equation)
            return
        if expr.is_Symbol and expr not in {whole(s) for s in scope}:
            self._constant(expr, scope, equation)
        for argument in expr.args:
            self._visit(argument, scope, equation)

    def _limits(self, limit: sp.Tuple, equation: int) -> None:
        """A sum goes over all of its index: what SymPy's own Sum leaves out is not in the equations of a unit."""
        symbol, *ends = limit
        if tuple(ends) in ((1, T if symbol == t else whole(symbol)),):
            return
        if len(ends) == 2 and ends[0] == 1 and ends[1].is_Symbol and symbol != t and ends[1] not in (t, T):
            self.limits.append((equation, symbol, ends[1]))
            return
        shown = f"from {ends[0]} to {ends[1]}" if len(ends) == 2 else "without limits"
        raise self.writer.mistake(
            equation,
            f"the sum over {symbol} goes {shown}; a sum goes over all of its index, written with the Sum of derive.notation: "
            f"Sum(..., {symbol}). For a part of the units take a parameter that weighs them",
        )

    def _constant(self, symbol: sp.Symbol, scope: dict[sp.Symbol, Any], equation: int) -> None:
        """A symbol that is no tensor: the size of a dimension, which is checked when all sizes are known."""
        if symbol in scope:
            raise self.writer.mistake(
                equation,
                f"the index {symbol} stands outside of any tensor; an index has no value of its own, its number from 0 is "
                f"position({symbol})",
            )
        self.constants.append((equation, symbol))

    def _access(self, access: sp.Expr, scope: dict[sp.Symbol, Any], equation: int) -> None:
        label, mistake = ir.name_of(access), self.writer.mistake
        indices = access.indices if isinstance(access, Indexed) else ()
        timed = any(i.has(t) for i in indices[:1])
        positions = indices[1:] if timed else indices
        for fixed in (s for s in indices if not s.free_symbols or s == T):
            raise mistake(
                equation,
                f"{access} is read or defined at {fixed}; an index is a name such as n, time is t or t-1, and the initial "
                f"states come by themselves",
            )
        if len(set(positions)) < len(positions):
            raise mistake(equation, f"an index stands twice in {access}; a diagonal matrix is written as a vector")
        if label not in self.rank:
            self.order.append(label)
            self.rank[label], self.timed[label] = len(positions), timed
            self.spelling[label], self.first[label] = tuple(positions), (access, equation)
        elif (self.rank[label], self.timed[label]) != (len(positions), timed):
            other, line = self.first[label]
            raise mistake(
                equation,
                f"{access} has other indices than {label} elsewhere: {other} on line {self.writer.lines[line].number}",
            )
        for slot, symbol in enumerate(positions):
            if symbol == t or symbol.has(t):
                raise mistake(equation, f"{access} has time in the wrong place; time comes first")
            if not symbol.is_Symbol or symbol not in scope:
                raise mistake(
                    equation,
                    f"the index {symbol} of {access} is neither on the left nor summed",
                )
            self._unify((label, slot), scope[symbol])

    def _unify(self, a: Any, b: Any) -> None:
        """Two axes are of one size."""
        self.parent[self._find(a)] = self._find(b)

    def _name(self, states: list[str]) -> None:
        written = [ir.name_of(lhs) for lhs, _ in self.writer.equations]
        inputs = [x for x in self.order if self.timed[x] and x not in written and self.rank[x] == 1]
        if states and self.rank.get(states[0]) == 1:  # of several inputs one may have the size of the units
            units = self._find((states[0], 0))
            inputs.sort(key=lambda x: self._find((x, 0)) == units)
        # What has several axes a step has no one size: they are named by their indices.
        wanted = [(x, "H") for x in states[:1] if self.rank.get(x) == 1]
        wanted += [(x, "I" if states else "H") for x in inputs[:1]]
        for label, name in wanted:  # an input under the index of the units has their size
            if self.rank.get(label):
                self.names.setdefault(self._find((label, 0)), ir.dimension(name))
        if not states and self.rank.get(written[-1]):  # the output of a head
            self.names.setdefault(self._find((written[-1], 0)), ir.dimension("O"))
        for label in self.order:
            for slot in range(self.rank[label]):
                root = self._find((label, slot))
                if root not in self.names:
                    self.names[root] = self._free(str(self.spelling[label][slot]).upper())

    def _free(self, letter: str) -> sp.Symbol:
        """A size named by a letter, or by the letter and a number where C or the cell has another use for it."""
        families = [x.family for x in self.writer.names.values() if x.family]
        taken = {str(d) for d in self.names.values()} | {"T", "B", "I", "H", *self.order, *families}
        return ir.dimension(free_size(letter, taken))

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
        if isinstance(expr, ir.REDUCTIONS):
            limits = []
            for position, (symbol, lo, hi) in enumerate(expr.limits):
                root = self._find((equation, expr, position))
                if symbol != t and root not in self.names:
                    raise self.writer.mistake(equation, f"the summed index {symbol} stands on no tensor")
                if (equation, symbol, hi) in self.limits and str(hi) != str(self.names[root]):
                    raise self.writer.mistake(
                        equation, f"the sum over {symbol} goes to {hi}, but {symbol} runs over {self.names[root]}"
                    )
                limits.append((symbol, lo, hi if symbol == t else self.names[root]))
            inside = self.resolve(equation, expr.function)
            sizes = {whole(symbol): hi for symbol, _, hi in limits if inside.has(whole(symbol))}
            count = sp.Mul(*sizes.values())  # of a mean: divided by once, and not for each of its terms
            return expr.func(inside.xreplace(sizes) * count, *limits) / count
        if not expr.has(*ir.REDUCTIONS):
            return expr
        return expr.func(*(self.resolve(equation, a) for a in expr.args))
