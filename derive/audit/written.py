"""A derivation by hand as its author wrote it: the equations, and what the names in them stand for."""

from __future__ import annotations

from dataclasses import dataclass

import sympy as sp
from sympy.tensor.indexed import Indexed

from derive.audit.reference import Reference
from derive.ir import T, Tensor, t


@dataclass(frozen=True)
class Written:
    """One equation as the author wrote it: the access on the left, the right-hand side, the line of the file."""

    label: str
    lhs: sp.Expr
    rhs: sp.Expr
    line: int

    @property
    def when(self) -> sp.Expr | None:
        """The time on the left: t, t-1, T, ...; None where there is none."""
        first = self.lhs.indices[0] if isinstance(self.lhs, Indexed) else None
        return first if first is not None and (first.has(t) or first.has(T) or first.is_Integer) else None


@dataclass(frozen=True, eq=False)
class Derivation:
    """A derivation by hand.

    `claims` maps the author's names to adjoints of the reference, `aliases` to tensors of the cell; `direct` is the
    author's name for the direct derivative of the loss by the output; `last` says that the loss looks at h(T) only.
    """

    name: str
    doc: str
    reference: Reference
    equations: tuple[Written, ...]
    claims: dict[str, str]
    aliases: dict[str, str]
    direct: str | None
    last: bool

    @property
    def title(self) -> str:
        """The first line of the documentation."""
        return next(iter(self.doc.splitlines()), "")

    def assigned(self, label: str) -> bool:
        """Whether an equation defines a name."""
        return any(e.label == label for e in self.equations)

    def tensor(self, label: str) -> Tensor | None:
        """The tensor that a name stands for; None for an intermediate quantity."""
        of = self.reference
        name = self.claims.get(label) or self.aliases.get(label) or (of.seed if label == self.direct else label)
        if label in of.targets and of.loss is not None:
            return of.loss.tensors[label]
        return of.program.tensors.get(name) if name != label or not self.assigned(label) else None
