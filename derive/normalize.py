"""Normal form: an equation is a sum of contractions and pointwise terms, or one call of a function.

    h[t,n] = o[t,n]*tanh(c[t,n])          ->   tanh_c[t,n] = tanh(c[t,n]);  h[t,n] = o[t,n]*tanh_c[t,n]
    n[t,i] = tanh(b[i] + Sum_j W[i,j]*x[t,j])  ->   the argument gets a tensor of its own

A call that stands inside of a larger expression gets its own tensor, so that its value is there to be saved and its
derivative can be written with it.  A sum below anything but addition and constant factors gets one too.
"""

from __future__ import annotations

from dataclasses import replace

import sympy as sp
from sympy.tensor.indexed import Indexed

from derive import ir
from derive.errors import DeriveError
from derive.functions import record_of
from derive.ir import Equation, Program, Tensor, t


def normalize(program: Program) -> Program:
    """Program -> Program in normal form, with IDs numbered in order: F1.. for a cell, L1.. for a loss."""
    prefix = program.meta.get("prefixes", ("F", "B"))[0]
    tensors = dict(program.tensors)
    equations: list[Equation] = []
    for equation in program.equations:
        splitter = _Splitter(equation, tensors, program.name)
        rhs = splitter.split(equation.rhs)
        equations += [*splitter.made, replace(equation, rhs=rhs)]
    numbered = [replace(e, id=f"{prefix}{p + 1}") for p, e in enumerate(equations)]
    result = replace(program, tensors=_sorted(tensors, numbered), equations=tuple(numbered))
    return ir.verify(result)


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
        """The top level: addition, constant factors, one sum or one call may stay."""
        if isinstance(expr, sp.Add):
            return self._rebuild(expr, [self.split(a) if a.has(sp.Sum) else self.inner(a) for a in expr.args])
        if isinstance(expr, sp.Mul) and expr.has(sp.Sum):
            carrying = [a for a in expr.args if a.has(sp.Sum)]
            if len(carrying) == 1 and all(is_constant(a) for a in expr.args if a is not carrying[0]):
                return self._rebuild(expr, [self.split(a) if a is carrying[0] else a for a in expr.args])
        if isinstance(expr, sp.Sum):
            body = self._operand(self.inner(expr.function, bound=tuple(s for s, *_ in expr.limits)), expr.limits)
            return expr if body is expr.function else sp.Sum(body, *expr.limits)
        if expr is self.equation.rhs and is_transcendental(expr):
            rebuilt = self._rebuild(expr, [self.inner(a) for a in expr.args])
            return rebuilt if is_transcendental(rebuilt) else self.inner(rebuilt)
        return self.inner(expr)

    def _operand(self, body: sp.Expr, limits: tuple[sp.Tuple, ...]) -> sp.Expr:
        """U[n,k]*r[t,k]*h[t-1,k] under a sum over k -> U[n,k]*r_h[t,k]: a matrix meets one vector, made beforehand."""
        if len(limits) != 1 or not isinstance(body, sp.Mul):
            return body
        symbol = limits[0][0]
        weights = [
            f
            for f in body.args
            if isinstance(f, Indexed)
            and len(f.indices) == 2
            and symbol in f.indices
            and self.tensors[ir.name_of(f)].time is None
        ]
        rest = [f for f in body.args if f not in weights and f.has(symbol)]
        if len(weights) != 1 or not rest or (len(rest) == 1 and isinstance(rest[0], Indexed)):
            return body
        vector = sp.Mul(*rest)
        names = [ir.name_of(a) for a in ir.accesses(vector, self.tensors)]
        others = [f for f in body.args if f not in weights and f not in rest]
        return sp.Mul(weights[0], self._hoist(vector, "_".join(names), ""), *others)

    def inner(self, expr: sp.Expr, bound: tuple[sp.Symbol, ...] = ()) -> sp.Expr:
        """Below the top level: calls and sums get tensors of their own."""
        if isinstance(expr, Indexed) or not expr.args:
            return expr
        if isinstance(expr, sp.Sum):
            return self._hoist(self.split(expr), self._name_of_sum(expr), "")
        rebuilt = self._rebuild(expr, [self.inner(a, bound) for a in expr.args])
        # With a new argument SymPy may pull a sign out of an odd function: tanh(c - a) becomes -tanh(a - c).
        sign, call = rebuilt.as_coeff_Mul() if is_transcendental(expr) else (sp.Integer(1), rebuilt)
        if is_transcendental(call):
            label, latex = self._name_of_call(call)
            return sign * self._hoist(call, label, latex)
        return rebuilt

    @staticmethod
    def _rebuild(expr: sp.Expr, children: list[sp.Expr]) -> sp.Expr:
        same = all(new is old for new, old in zip(children, expr.args, strict=True))
        return expr if same else expr.func(*children)

    def _hoist(self, rhs: sp.Expr, label: str, latex: str) -> sp.Expr:
        """A new tensor for a subexpression, over exactly the indices that stand free in it."""
        for equation in self.made:
            if equation.rhs == rhs:
                return equation.lhs
        indices, dims = self._indices(rhs)
        timed = rhs.has(t)
        name = ir.unused_name(label, self.tensors)
        tensor = Tensor(
            name,
            dims,
            indices,
            "value",
            self.equation.when if timed else None,
            any(self.tensors[ir.name_of(a)].batched for a in ir.accesses(rhs, self.tensors)),
            latex or name.replace("_", r"\_"),
        )
        self.tensors[name] = tensor
        self.made.append(Equation(tensor.at(), rhs, when=tensor.time, note=f"part of {self.equation.target}"))
        return tensor.at()

    def _indices(self, rhs: sp.Expr) -> tuple[tuple[sp.Symbol, ...], tuple[sp.Symbol, ...]]:
        bound = {s for total in rhs.atoms(sp.Sum) for s, *_ in total.limits}
        ranges = {s: d for s, d in ir.dims_of(rhs, self.tensors).items() if s not in bound}
        lhs = ir.indices_of(self.equation.lhs, self.tensors)
        indices = tuple(s for s in lhs if s in ranges) + tuple(s for s in ir.ordered(ranges) if s not in lhs)
        return indices, tuple(ranges[s] for s in indices)

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
