"""The derived equations as an audit uses them: put in where their adjoints stand, with the seeds that the author means."""

from __future__ import annotations

import sympy as sp
from sympy.tensor.indexed import Indexed, IndexedBase

from derive import ir
from derive.audit.indices import placed
from derive.audit.reference import Reference
from derive.ir import T, span, t


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
