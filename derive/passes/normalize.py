"""Normal form: an equation is a sum of contractions and pointwise terms, or one call of a function.

    h[t,n] = o[t,n]*tanh(c[t,n])          ->   tanh_c[t,n] = tanh(c[t,n]);  h[t,n] = o[t,n]*tanh_c[t,n]
    n[t,i] = tanh(b[i] + Sum_j W[i,j]*x[t,j])  ->   the argument gets a tensor of its own

A call that stands inside of a larger expression gets its own tensor, so that its value is there to be saved and its
derivative can be written with it.  So does a sum below anything but addition.  A sum over units is one of two kinds:

    contraction    Sum_k U[n,k]*h[t-1,k]    a matrix of parameters times one vector of the step
    row sum        Sum_n f(h[t,n], ...)     one number a step; a constant factor may stand before it

normal_form.py brings sums into this form.  What is neither can be differentiated and printed, and has no kernel.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import sympy as sp
from sympy.tensor.indexed import Indexed

from derive import ir
from derive.errors import DeriveError
from derive.ir import Equation, Origin, Program, Tensor, t
from derive.ir.functions import record_of
from derive.passes.contraction import contraction
from derive.passes.normal_form import refactored


def normalize(program: Program) -> Program:
    """Program -> Program in normal form, with IDs numbered in order: F1.. for a cell, L1.. for a loss."""
    prefix = program.facts.prefixes[0]
    tensors = dict(program.tensors)
    equations: list[Equation] = []
    for equation in program.equations:
        splitter = _Splitter(equation, tensors, program.name)
        rhs = splitter.split(refactored(equation.rhs, tensors))
        equations += [*splitter.made, replace(equation, rhs=rhs)]
    numbered = [replace(e, id=f"{prefix}{p + 1}") for p, e in enumerate(equations)]
    return ir.verify(replace(program, tensors=_sorted(tensors, numbered), equations=tuple(numbered)))


def _sorted(tensors: dict[str, Tensor], equations: list[Equation]) -> dict[str, Tensor]:
    """Inputs first, then values in the order of their equations."""
    defined = list(dict.fromkeys(e.target for e in equations))
    return {name: tensors[name] for name in [*(x for x in tensors if x not in defined), *defined]}


def is_transcendental(expr: sp.Basic) -> bool:
    """Whether a node is a call that costs more than some multiplications."""
    record = record_of(expr)
    return record is not None and record.transcendental


def is_constant(expr: sp.Expr) -> bool:
    """Whether an expression reads no tensor: numbers and dimensions only."""
    return not expr.has(Indexed) and not expr.has(sp.Sum) and not any(s == t for s in expr.free_symbols)


class _Splitter:
    """Splits the right-hand side of one equation; `made` are the equations that it had to invent."""

    def __init__(self, equation: Equation, tensors: dict[str, Tensor], name: str) -> None:
        self.equation, self.tensors, self.name = equation, tensors, name
        self.made: list[Equation] = []

    def split(self, expr: sp.Expr) -> sp.Expr:
        """The top level: addition, one sum or one call may stay."""
        if isinstance(expr, sp.Add):
            return self._rebuild(expr, [self.split(a) if a.has(sp.Sum) else self.inner(a) for a in expr.args])
        if isinstance(expr, sp.Mul) and expr.has(sp.Sum):
            # A mean keeps its factor. Products of matrices have none: their adjoints are products of matrices again.
            carrying = [a for a in expr.args if a.has(sp.Sum)]
            rows = all(isinstance(a, sp.Sum) and self._stays(a) for a in sp.Add.make_args(carrying[0]) if a.has(sp.Sum))
            if len(carrying) == 1 and rows and all(is_constant(a) for a in expr.args if a is not carrying[0]):
                return self._rebuild(expr, [self.split(a) if a is carrying[0] else a for a in expr.args])
        if isinstance(expr, sp.Sum) and self._stays(expr, contractions=True):
            return self._rebuilt_sum(expr)
        if isinstance(expr, ir.Largest) and expr is self.equation.rhs:
            return expr.func(self._value(expr.function), *expr.limits)
        if expr is self.equation.rhs and is_transcendental(expr):
            rebuilt = self._rebuild(expr, [self.inner(a) for a in expr.args])
            return rebuilt if is_transcendental(rebuilt) else self.inner(rebuilt)
        return self.inner(expr)

    def _stays(self, total: sp.Sum, contractions: bool = False) -> bool:
        """Whether a sum may stand in the equation itself: sums over time and of a row do where they meet no units."""
        if any(symbol == t for symbol, *_ in total.limits):
            return True
        found = contraction(total, self.tensors)
        lhs = ir.indices_of(self.equation.lhs, self.tensors)
        if found is not None:
            summed = [symbol for symbol, *_ in total.limits]
            # Beside other terms the result of a product may have fewer indices than they have.
            return contractions and lhs == tuple(i for i in found[0].indices if i not in summed)
        # What is made of parameters alone is a value of its own, which no step computes again.
        return set(self._indices(total)[0]) == set(lhs) and (total.has(t) or not self.equation.lhs.has(t))

    def _rebuilt_sum(self, total: sp.Sum) -> sp.Expr:
        """A sum whose body is in normal form: U[n,k]*r[t,k]*h[t-1,k] over k -> U[n,k]*r_h[t,k]."""
        found = contraction(total, self.tensors)
        if found is None:
            body, limits = total.function, list(total.limits)
            units = [limit for limit in limits if limit[0] != t]
            if units and len(units) < len(limits):  # over time and units: first one number a step
                row = sp.Sum(body, *units)
                body = self._hoist(self._rebuilt_sum(row), self._name_of_sum(row), "")
                limits = [limit for limit in total.limits if limit[0] == t]
            body = self.inner(body)
            return total if body is total.function else sp.Sum(body, *limits)
        weight, vector = found
        if isinstance(vector, Indexed) and self.tensors[ir.name_of(vector)].time is not None:
            return total
        vector = self.inner(vector)
        if not isinstance(vector, Indexed) or self.tensors[ir.name_of(vector)].time is None:
            names = [ir.name_of(a) for a in ir.accesses(vector, self.tensors)]
            vector = self._hoist(vector, "_".join(names), "", weight.indices)
        return sp.Sum(weight * vector, *total.limits)

    def inner(self, expr: sp.Expr) -> sp.Expr:
        """Below the top level: calls and sums get tensors of their own."""
        if isinstance(expr, Indexed) or is_constant(expr):
            return expr
        if isinstance(expr, sp.Sum):
            return self._hoist(self._rebuilt_sum(expr), self._name_of_sum(expr), "")
        if isinstance(expr, ir.Largest):
            found = expr.func(self._value(expr.function), *expr.limits)
            return self._hoist(found, f"largest_{self._name_of_sum(found)}", "")
        rebuilt = self._rebuild(expr, [self.inner(a) for a in expr.args])
        # With a new argument SymPy may pull a sign out of an odd function: tanh(c - a) becomes -tanh(a - c).
        sign, call = rebuilt.as_coeff_Mul() if is_transcendental(expr) else (sp.Integer(1), rebuilt)
        if is_transcendental(call):
            label, latex = self._name_of_call(call)
            return sign * self._hoist(call, label, latex)
        return rebuilt

    def _value(self, expr: sp.Expr) -> sp.Expr:
        """An expression as a tensor of its own, unless it is one."""
        return expr if isinstance(expr, Indexed) else self._hoist(self.split(expr), self.equation.target, "")

    @staticmethod
    def _rebuild(expr: sp.Expr, children: list[sp.Expr]) -> sp.Expr:
        same = all(new is old for new, old in zip(children, expr.args, strict=True))
        return expr if same else expr.func(*children)

    def _hoist(self, rhs: sp.Expr, label: str, latex: str, order: Sequence[sp.Expr] = ()) -> sp.Expr:
        """A new tensor for a subexpression, over exactly the indices that stand free in it; `order`: that of its indices."""
        for equation in self.made:
            if equation.rhs == rhs:
                return equation.lhs
        indices, dims = self._indices(rhs, order)
        name = ir.unused_name(label, self.tensors)
        # A value of parameters alone is made once for all steps.
        timed = any(x.time is not None for x in self._read(rhs))
        when = (self.equation.when or ir.STEPS) if timed or rhs.has(t) else None
        batched = timed or any(x.batched for x in self._read(rhs))
        tensor = Tensor(name, dims, indices, "value", when, batched, latex=latex or name.replace("_", r"\_"))
        self.tensors[name] = tensor
        part = Equation(tensor.at(), rhs, when=tensor.time, origin=Origin.PART, whole=self.equation.target)
        self.made.append(part)
        return tensor.at()

    def _indices(
        self, rhs: sp.Expr, order: Sequence[sp.Expr] = ()
    ) -> tuple[tuple[sp.Symbol, ...], tuple[sp.Symbol, ...]]:
        """The indices that stand free in an expression, in an order that its accesses have, with their dimensions."""
        bound = {s for total in rhs.atoms(*ir.REDUCTIONS) for s, *_ in total.limits}
        lhs = ir.indices_of(self.equation.lhs, self.tensors)
        if found := self._contracted(rhs):
            dims = ir.dims_of(rhs, self.tensors)
            return tuple(found), tuple(dims[s] for s in found)
        try:
            ranges = ir.ordered_axes(ir.accesses(rhs, self.tensors), self.tensors, order or lhs)
        except DeriveError:  # it can be differentiated and printed; verify_normal says why no kernel computes it
            ranges = ir.dims_of(rhs, self.tensors)
            ranges = {s: ranges[s] for s in (*(i for i in lhs if i in ranges), *ir.ordered(set(ranges) - set(lhs)))}
        kept = {s: d for s, d in ranges.items() if s not in bound}
        return tuple(kept), tuple(kept.values())

    def _read(self, rhs: sp.Expr) -> list[Tensor]:
        return [self.tensors[ir.name_of(a)] for a in ir.accesses(rhs, self.tensors)]

    def _contracted(self, rhs: sp.Expr) -> list[sp.Symbol]:
        """The indices of the result of a contraction, as its weight has them; none where the expression is no contraction."""
        found = contraction(rhs, self.tensors) if isinstance(rhs, sp.Sum) else None
        summed = [symbol for symbol, *_ in rhs.limits] if isinstance(rhs, sp.Sum) else []
        return [i for i in found[0].indices if i not in summed] if found is not None else []

    def _name_of_call(self, call: sp.Expr) -> tuple[str, str]:
        record = record_of(call)
        assert record is not None
        argument = call.args[0]
        if isinstance(argument, Indexed):
            read = self.tensors[ir.name_of(argument)]
            return f"{record.c}_{read.name}", rf"{record.latex} {read.latex or read.name}"
        return f"{record.c}_{self.equation.target}", rf"{record.latex}_{{{self.equation.target}}}"

    def _name_of_sum(self, total: sp.Expr) -> str:
        names = [ir.name_of(a) for a in ir.accesses(total.function, self.tensors)]
        if not names:
            raise DeriveError(f"{self.name}, {self.equation.id}: {total} sums over nothing that depends on the index")
        return "_".join(names[:2])
