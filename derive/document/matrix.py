"""Equations as vectors and matrices, recovered from their indices: W x + U h + b, U^T delta, delta x^T, circled dot.

An expression over free indices becomes a small tree.  How it reads is `latex`; what it means is fixed by the kinds
below, so that a test can evaluate the tree and compare it with the equation.

    leaf     a tensor at a time                   times    matrix times vector (or vector^T times vector: `dot`)
    turned   the transpose of a matrix            outer    u v^T
    had      entry by entry                       add      signed sum; numbers and scalars are added to every entry
    scale    number or scalar tensor times        total    sum over time
    apply    a function of every entry            power    a power of every entry
    ones     the vector of ones                   when     1 on a range of time, else 0
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import sympy as sp
from sympy.tensor.indexed import Indexed

from derive import ir
from derive.document.formula import Formula, called, constant_factor, joined, joined_arguments, spread
from derive.ir import Equation, span, t
from derive.ir.functions import fma, record_for, record_of


class NoMatrixForm(Exception):
    """An expression that no product of matrices says: it is printed with its indices."""


@dataclass(frozen=True)
class Node:
    """A node of the tree: its kind, its operands, and what it carries (an access, a number, a function)."""

    kind: str
    args: tuple[Node, ...] = ()
    data: Any = None


class Matrices:
    """Trees of the equations of one program."""

    def __init__(self, formula: Formula) -> None:
        self.formula, self.tensors, self.order = formula, formula.tensors, formula.sequence

    def of(self, equation: Equation) -> Node:
        """The right-hand side of an equation; NoMatrixForm where there is none."""
        return self.tree(spread(equation.rhs), ir.indices_of(equation.lhs, self.tensors))

    def _free(self, expr: sp.Expr, free: tuple[sp.Symbol, ...]) -> tuple[sp.Symbol, ...]:
        return tuple(s for s in free if expr.has(s))

    def tree(self, expr: sp.Expr, free: tuple[sp.Symbol, ...]) -> Node:
        """The tree of an expression whose value has one axis for each of `free`."""
        if isinstance(expr, Indexed) or (expr.is_Symbol and str(expr) in self.tensors):
            return self._leaf(expr, free)
        if not self.order.reads(expr) and not expr.has(span):
            return Node("number", data=expr)
        if isinstance(expr, fma):
            return self.tree(sp.Add(expr.args[2], sp.Mul(*expr.args[:2])), free)
        if isinstance(expr, sp.Add):
            return Node("add", tuple(self.tree(a, free) for a in self.order.terms(expr)), bool(free))
        if isinstance(expr, span):
            return Node("when", data=expr)
        if isinstance(expr, sp.Pow) and expr.exp.is_Rational:
            return Node("power", (self.tree(expr.base, free),), expr.exp)
        if isinstance(expr, sp.Sum):
            return self._sum(expr, free)
        if isinstance(expr, sp.Mul):
            return self._product(expr, free)
        if record_of(expr) is not None:
            return Node("apply", tuple(self.tree(a, self._free(a, free)) for a in expr.args), expr.func)
        raise NoMatrixForm(str(expr))

    def _leaf(self, access: sp.Expr, free: tuple[sp.Symbol, ...]) -> Node:
        own = ir.indices_of(access, self.tensors)
        node = Node("leaf", data=access)
        if own == self._free(access, free):
            return node
        if len(own) == 2 and own == self._free(access, free)[::-1]:
            return Node("turned", (node,))
        raise NoMatrixForm(str(access))

    def _product(self, expr: sp.Expr, free: tuple[sp.Symbol, ...]) -> Node:
        number, rest = constant_factor(expr)
        factors = self.order.factors(rest)
        scalars = [self.tree(f, ()) for f in factors if not self._free(f, free)]
        scalars = [Node("number", data=number), *scalars] if number != 1 else scalars
        bodies = [f for f in factors if self._free(f, free)]
        if not bodies:
            return _scaled(scalars[:-1], scalars[-1])
        if len(free) < 2 or any(len(self._free(f, free)) == 2 for f in bodies):
            parts = [self.tree(f, self._free(f, free)) for f in bodies]
            if len({self._free(f, free) for f in bodies}) > 1:
                raise NoMatrixForm(str(expr))
            return _scaled(scalars, _had(parts))
        left, right = ([self.tree(f, (s,)) for f in bodies if f.has(s)] for s in free)
        if not left or not right:
            raise NoMatrixForm(str(expr))
        return _scaled(scalars, Node("outer", (_had(left), _had(right))))

    def _sum(self, expr: sp.Sum, free: tuple[sp.Symbol, ...]) -> Node:
        *inner, (symbol, _lo, hi) = expr.limits
        body = sp.Sum(expr.function, *inner) if inner else expr.function
        if symbol == t:
            return Node("total", (self.tree(body, free),), symbol)
        if isinstance(body, sp.Add):
            return Node("add", tuple(self._sum(sp.Sum(a, expr.limits[-1]), free) for a in self.order.terms(body)), 0)
        number, rest = constant_factor(body)
        factors = self.order.factors(rest)
        summed = [f for f in factors if f.has(symbol)]
        outside = [f for f in factors if not f.has(symbol)]
        matrices = [f for f in summed if self._free(f, free)]
        vectors = [self.tree(f, (symbol,)) for f in summed if f not in matrices]
        if len(matrices) > 1 or len(free) > 1:
            raise NoMatrixForm(str(expr))
        if matrices:
            vector = _had(vectors) if vectors else Node("ones", data=hi)
            matrix = self.tree(matrices[0], (self._free(matrices[0], free)[0], symbol))
            found = Node("times", (matrix, vector))
        elif len(vectors) == 2:
            found = Node("dot", tuple(vectors))
        else:
            found = Node("dot", (Node("ones", data=hi), _had(vectors)))
        if number == 1 and not outside:
            return found
        around = [self.tree(f, self._free(f, free)) for f in outside if self._free(f, free)]
        scalars = [Node("number", data=number)] if number != 1 else []
        scalars += [self.tree(f, ()) for f in outside if not self._free(f, free)]
        if around and not matrices:
            return _scaled([*scalars, found], _had(around))
        return _scaled(scalars, _had([*around, found]))

    # -- how it reads ---------------------------------------------------------------------------------------------

    def latex(self, node: Node, braces: bool = False) -> str:
        """LaTeX of a tree; with `braces` every matrix and vector says its shape below itself."""
        return joined(self.parts(node, braces))

    def parts(self, node: Node, braces: bool = False) -> list[str]:
        """The signed summands of a tree."""
        if node.kind != "add":
            return [self._text(node, braces)]
        return [self._term(a, bool(node.data), braces) for a in node.args]

    def _term(self, node: Node, spread: Any, braces: bool) -> str:
        """A summand; a scalar tensor among vectors is spread over the entries by the vector of ones."""
        found = self._text(node, braces)
        return rf"{found}\,\mathbf{{1}}" if spread and self._is_scalar(node) else found

    def _is_scalar(self, node: Node) -> bool:
        if node.kind == "leaf":
            return not ir.indices_of(node.data, self.tensors)
        if node.kind in ("dot", "when"):
            return True
        if node.kind == "scale":
            return all(self._is_scalar(a) or a.kind == "number" for a in node.args)
        if node.kind in ("power", "total", "apply"):
            return self._is_scalar(node.args[0])
        return False

    def _text(self, node: Node, braces: bool = False) -> str:
        show: Callable[[Node], str] = lambda a: self._text(a, braces)  # noqa: E731
        if node.kind == "leaf":
            return self._leaf_text(node.data, braces)
        if node.kind in ("number", "when"):
            return str(self.formula.doprint(node.data))
        if node.kind == "ones":
            return r"\mathbf{1}"
        if node.kind == "turned":
            return f"{self._closed(node.args[0], braces)}^{{\\top}}"
        if node.kind == "times":
            return rf"{self._closed(node.args[0], braces)}\,{self._closed(node.args[1], braces)}"
        if node.kind in ("outer", "dot"):
            left, right = (self._closed(a, braces) for a in node.args)
            return rf"{left}\,{right}^{{\top}}" if node.kind == "outer" else rf"{left}^{{\top}}{right}"
        if node.kind == "had":
            return r" \odot ".join(self._closed(a, braces) for a in node.args)
        if node.kind == "scale":
            if node.args[0].data == -1 and len(node.args) == 2 and node.args[1].kind == "had":
                return f"-{self._text(node.args[1], braces)}"
            return _signed([self._closed(a, braces) for a in node.args])
        if node.kind == "total":
            inside = self._closed if node.args[0].kind == "add" else self._text
            return rf"\sum_{{t}} {inside(node.args[0], braces)}"
        if node.kind == "power":
            return self._power(node, braces)
        if node.kind == "apply":
            record = record_for(node.data)
            assert record is not None
            arguments = [show(a) for a in node.args]
            if "{0}" in record.latex:
                return called(record.latex, arguments)
            return rf"{record.latex}\bigl({joined_arguments(arguments)}\bigr)"
        return joined(self.parts(node, braces))

    def _leaf_text(self, access: sp.Expr, braces: bool) -> str:
        tensor = self.tensors[ir.name_of(access)]
        when = ir.time_of(access, self.tensors)
        letter = self.formula.names.letters[tensor.name]
        found = letter.latex((), "" if when is None else str(self.formula.doprint(when)))
        shape = r" \times ".join(map(str, tensor.dims))
        return rf"\underbrace{{{found}}}_{{{shape}}}" if braces and shape else found

    def _power(self, node: Node, braces: bool) -> str:
        inside = node.args[0]
        if node.data == -1:
            return rf"\frac{{1}}{{{self._text(inside, braces)}}}"
        if node.data == sp.Rational(-1, 2):
            return rf"\frac{{1}}{{\sqrt{{{self._text(inside, braces)}}}}}"
        if node.data == sp.Rational(1, 2):
            return rf"\sqrt{{{self._text(inside, braces)}}}"
        dot = "" if self._is_scalar(inside) else r"\odot "
        return rf"{self._closed(inside, braces)}^{{{dot}{self.formula.doprint(node.data)}}}"

    def _closed(self, node: Node, braces: bool) -> str:
        inside = self._text(node, braces)
        if node.kind == "add" or (node.kind == "had" and len(node.args) > 1) or node.kind in ("outer", "scale"):
            return rf"\bigl({inside}\bigr)"
        return inside


def _had(parts: list[Node]) -> Node:
    flat = [b for a in parts for b in (a.args if a.kind == "had" else (a,))]
    return flat[0] if len(flat) == 1 else Node("had", tuple(flat))


def _scaled(scalars: list[Node], body: Node) -> Node:
    return Node("scale", (*scalars, body)) if scalars else body


def _signed(parts: list[str]) -> str:
    """Factors side by side; a leading -1 is a sign."""
    if parts[0] == "-1":
        return "-" + r"\,".join(parts[1:])
    return r"\,".join(parts)
