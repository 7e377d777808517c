"""The derived side: the adjoint of a cell, prepared so that every quantity of a paper has a name, and its equations put in.

`reference` derives the adjoint.  Textbooks define a delta by the argument of a gate's function; where a cell writes that
argument out, as in f = sigmoid(z_f + p_f c(t-1)), the argument gets a tensor of its own, net_f, so that dL/dnet_f exists.
`Derived` puts derived equations in where their adjoints stand, with the seeds that the author means.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache

import sympy as sp
from sympy.tensor.indexed import Indexed, IndexedBase

from derive import ir
from derive.audit.indices import placed
from derive.ir import Equation, Program, T, Tensor, span, t
from derive.ir.functions import record_of
from derive.notation import Cell, Loss
from derive.passes.adjoint import adjoint_name, vjp
from derive.passes.normalize import normalize


@cache
def reference(cell: Cell, loss: Loss | None = None) -> Reference:
    """The derived adjoint of a cell; with a loss, its direct derivative as well."""
    primal = normalize(_named_arguments(cell.source))
    program = vjp(primal)
    output = primal.facts.output
    seed = f"seed_{output}" if f"seed_{output}" in program.tensors else adjoint_name(output)
    if loss is None:
        return Reference(cell.name, primal, program, seed, None, None, ())
    objective = vjp(loss.of(primal.tensors[output]), [output])
    direct = _inlined(objective, adjoint_name(output))
    targets = tuple(x.name for x in objective.of_role("target"))
    return Reference(cell.name, primal, program, seed, objective, direct, targets)


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


def _inlined(objective: Program, name: str) -> sp.Expr:
    """The gradient of the loss by the output in terms of output and target alone: adjoints of the loss put in."""
    equation = objective.defined[name][0]
    rhs = equation.rhs
    for _ in objective.equations:
        for access in ir.accesses(rhs, objective.tensors):
            inner = objective.defined.get(ir.name_of(access), ())
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
        if (
            record_of(call) is None
            or len(call.args) != 1
            or isinstance(call.args[0], Indexed)
            or name in program.tensors
        ):
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


# -- its equations where they are read ---------------------------------------------------------------------------------


class Derived:
    """The derived side of an audit: its tensors, targets of the loss included, and which of them are adjoints.

    `last` says that the loss looks at the last step only.  `same` maps adjoints that are another adjoint at the same
    place to that one: d_z_f[t,n] = d_net_f[t,n].
    """

    def __init__(self, reference: Reference, last: bool = False) -> None:
        self.reference, self.last = reference, last
        self.tensors = dict(reference.program.tensors)
        if reference.loss is not None:
            self.tensors |= {n: reference.loss.tensors[n] for n in reference.targets}
        self.adjoints = {x.name for x in self.tensors.values() if x.role in ("adjoint", "gradient", "seed")}
        self.same = same_adjoints(reference)

    def is_adjoint(self, expr: sp.Expr) -> bool:
        """Whether an expression is one adjoint at indices."""
        return isinstance(expr, Indexed) and ir.name_of(expr) in self.adjoints

    def has_delta(self, expr: sp.Expr) -> bool:
        """Whether an adjoint stands in an expression."""
        return any(self.is_adjoint(a) for a in expr.atoms(Indexed))

    def time(self, access: sp.Expr) -> sp.Expr | None:
        """The time of an access; None where there is none, and for an intermediate quantity of the author."""
        tensor = self.tensors.get(ir.name_of(access))
        return access.indices[0] if tensor is not None and tensor.time is not None else None

    def expanded(self, expr: sp.Expr, name: str) -> sp.Expr:
        """An adjoint replaced, wherever it stands, by its derived equation (once: what that reads of it stays)."""
        equation = self.reference.equation(name)
        moves = {}
        for access in expr.atoms(Indexed):
            if ir.name_of(access) == name:
                moves[access] = placed(equation.lhs, equation.rhs, access)
        return self.seeded(expr.xreplace(moves)) if moves else expr

    def seeded(self, expr: sp.Expr) -> sp.Expr:
        """The seeds of a vjp as a derivation means them: none for the last state; for the output what the loss says.

        Adjoints that are one by their equations, such as those of the two summands of a gate's argument, get one name.
        """
        moves: dict[sp.Expr, sp.Expr] = {}
        for access in expr.atoms(Indexed):
            tensor = self.tensors.get(ir.name_of(access))
            if tensor is not None and tensor.name in self.same:
                moves[access] = IndexedBase(self.same[tensor.name])[access.indices]
            elif tensor is not None and tensor.role == "seed":
                moves[access] = self._direct(access) if tensor.name == self.reference.seed else sp.Integer(0)
        return expr.xreplace(moves)

    def _direct(self, access: sp.Expr) -> sp.Expr:
        """The direct derivative of the loss by the output: a tensor, or the gradient of the loss that is given."""
        of, at = self.reference, access.indices[0]
        body = access
        if at.is_Integer and (at < 1 or self.last):  # T is more than any number
            return sp.Integer(0)
        if of.direct is not None:
            body = placed(of.primal.tensors[of.primal.facts.output].at(), of.direct, access)
            body = span(at, 1, T) * body if at.has(t) else body
        return span(at, T, T) * body if self.last and at.has(t) else body


def same_adjoints(of: Reference) -> dict[str, str]:
    """Adjoints whose derived equation is another adjoint at the same place: d_z_f[t,n] = d_net_f[t,n]."""
    found: dict[str, str] = {}
    tensors = of.program.tensors
    for equation in of.program.equations:
        lhs, rhs = equation.lhs, equation.rhs
        if not (isinstance(lhs, Indexed) and isinstance(rhs, Indexed) and lhs.indices == rhs.indices):
            continue
        one, other = tensors[equation.target], tensors[ir.name_of(rhs)]
        if one.role == other.role == "adjoint" and equation.when == one.time:
            found[one.name] = other.name
    for name in found:
        while found[name] in found:
            found[name] = found[found[name]]
    return found
