"""What an audit compares with: the derived adjoint of a cell, prepared so that every quantity of a paper has a name.

Textbooks define a delta by the argument of a gate's function.  Where a cell writes that argument out, as in
f = sigmoid(z_f + p_f c(t-1)), the argument gets a tensor of its own, net_f, so that dL/dnet_f exists.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache

import sympy as sp
from sympy.tensor.indexed import Indexed, IndexedBase

from derive import ir
from derive.ir import Equation, Program, Tensor
from derive.ir.functions import record_of
from derive.notation import Cell, Head
from derive.passes.adjoint import adjoint_name, vjp
from derive.passes.normalize import normalize


@dataclass(frozen=True, eq=False)
class Reference:
    """A cell with its derived adjoint.

    `direct` is the direct derivative of the loss by the output, an expression in the output and the target; None where
    no loss is given: then it is the tensor `seed`.
    """

    name: str
    primal: Program
    program: Program
    seed: str
    loss: Program | None
    direct: sp.Expr | None
    targets: tuple[str, ...]

    def argument_of(self, name: str) -> str | None:
        """The tensor that is the argument of the function in the equation of `name`: z_f for f = sigmoid(z_f)."""
        for equation in self.primal.defined.get(name, ()):
            if record_of(equation.rhs) is not None and isinstance(equation.rhs.args[0], Indexed):
                return ir.name_of(equation.rhs.args[0])
        return None

    def equation(self, adjoint: str) -> Equation:
        """The derived equation of an adjoint."""
        return self.program.defined[adjoint][0]


@cache
def reference(cell: Cell, loss: Head | None = None) -> Reference:
    """The derived adjoint of a cell; with a loss, its direct derivative as well."""
    primal = normalize(_named_arguments(cell.source))
    program = vjp(primal)
    output = primal.facts.output
    seed = f"seed_{output}" if f"seed_{output}" in program.tensors else adjoint_name(output)
    if loss is None:
        return Reference(cell.name, primal, program, seed, None, None, ())
    judge = vjp(loss.of(primal.tensors[output]), [output])
    direct = _inlined(judge, adjoint_name(output))
    targets = tuple(x.name for x in judge.of_role("target"))
    return Reference(cell.name, primal, program, seed, judge, direct, targets)


def _inlined(judge: Program, name: str) -> sp.Expr:
    """The gradient of the loss by the output in terms of output and target alone: adjoints of the loss put in."""
    equation = judge.defined[name][0]
    rhs = equation.rhs
    for _ in judge.equations:
        for access in ir.accesses(rhs, judge.tensors):
            inner = judge.defined.get(ir.name_of(access), ())
            if len(inner) == 1:
                where = dict(zip(getattr(inner[0].lhs, "indices", ()), getattr(access, "indices", ()), strict=True))
                rhs = rhs.xreplace({access: inner[0].rhs.xreplace(where)})
    return rhs


def _named_arguments(program: Program) -> Program:
    """X = function(expression) -> net_X = expression; X = function(net_X)."""
    tensors: dict[str, Tensor] = {}
    equations: list[Equation] = []
    made: dict[str, Tensor] = {}
    for equation in program.equations:
        call = equation.rhs
        name = f"net_{equation.target}"
        if record_of(call) is None or isinstance(call.args[0], Indexed) or name in program.tensors:
            equations.append(equation)
            continue
        target = program.tensors[equation.target]
        net = replace(target, name=name, role="value", time=equation.when, latex=rf"\mathrm{{net}}_{{{target.name}}}",
                      family="net" if target.member else "")  # fmt: skip
        made[equation.target] = net
        lhs = (
            IndexedBase(name)[equation.lhs.indices] if isinstance(equation.lhs, Indexed) else sp.Symbol(name, real=True)
        )
        equations += [replace(equation, lhs=lhs, rhs=call.args[0]), replace(equation, rhs=call.func(lhs))]
    for name, tensor in program.tensors.items():
        if name in made:
            tensors[made[name].name] = made[name]
        tensors[name] = tensor
    return ir.verify(replace(program, tensors=tensors, equations=tuple(equations)))
