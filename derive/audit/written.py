"""A derivation as its author wrote it: the record, what each name in it stands for, and whether its equations have a meaning.

`Derivation` holds the equations, each a `Written`.  `Meaning` decides, in the order that notation.py gives, whether a name
is a tensor of the cell, a derivative of the loss, or a quantity of the author's own.  `check_equations` says what an author
can get wrong in the notation: left-hand sides, numbers of indices, indices that stand nowhere else.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import sympy as sp
from sympy.tensor.indexed import Indexed

from derive import ir
from derive.audit.reference import Reference
from derive.errors import DeriveError
from derive.ir import T, Tensor, t
from derive.notation.writer import Name
from derive.passes.adjoint import adjoint_name


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


# -- what names stand for ----------------------------------------------------------------------------------------------


CLAIM = re.compile(r"^\s*(?:d|∂)L\s*/\s*(?:d|∂)\s*(\w+)\s*$")


class Meaning:
    """What each name in the equations `found` stands for; `said` is what the decorator says of some.

    `claims` maps names to adjoints, `aliases` to tensors of the cell; `direct` is the name of the direct derivative of
    the loss by the output, None where nothing is called so.
    """

    def __init__(
        self, where: str, of: Reference, names: Mapping[str, Name], found: Sequence[Written], said: Mapping[str, str]
    ) -> None:
        self.where, self.of, self.said = where, of, said
        self.primal = of.primal
        self.assigned = {e.label for e in found}
        self.claims: dict[str, str] = {}
        self.aliases: dict[str, str] = {}
        read = {name for e in found for side in (e.lhs, e.rhs) for name in ir.names_in(side)}
        strangers = [label for label in sorted(read | self.assigned) if not self._known(label, names[label])]
        self._check_strangers(strangers)
        self.direct = strangers[0] if strangers else None

    def _known(self, label: str, item: Name) -> bool:
        """Whether a name stands for something; what it claims is noted."""
        said = self.said.get(label) or self.said.get(item.family)
        if said is not None:
            self._note(label, item, said)
            return True
        if label in self.primal.tensors:
            if label in self.assigned:
                raise DeriveError(
                    f"{self.where}: {label} is a tensor of the cell {self.of.name} and is assigned; forward equations "
                    f"belong into the cell (give one of your own, by @cell), gradients need names of their own"
                )
            return True
        if (claim := self._by_name(label, item)) is not None:
            self.claims[label] = claim
            return True
        return label in self.assigned or label in self.of.targets

    def _check_strangers(self, strangers: Sequence[str]) -> None:
        """One name may be unknown where no loss is given: it is the direct derivative."""
        if len(strangers) > 1 or (strangers and self.of.loss is not None):
            known = ", ".join([*self.primal.tensors, *self.of.targets])
            raise DeriveError(
                f"{self.where}: {', '.join(strangers)} {'is' if len(strangers) == 1 else 'are'} read, but no equation defines "
                f"{'it' if len(strangers) == 1 else 'them'}; "
                f"{'' if self.of.loss is not None else 'one such name may be the direct derivative of the loss by the output; '}"
                f'write the equation, or say what it is: {strangers[0]}="dL/dh" or {strangers[0]}="W". The cell has: {known}'
            )

    def _note(self, label: str, item: Name, said: str) -> None:
        """A claim or an alias, as the decorator says it."""
        match = CLAIM.match(said)
        target = match.group(1) if match else said.strip()
        family = label not in self.said and bool(item.member)
        full = f"{target}_{item.member}" if family else target
        if full not in self.primal.tensors and family and target == "net" and item.member in self.primal.tensors:
            full = self.of.argument_of(item.member) or full
        elif full.startswith("net_") and full not in self.primal.tensors:
            full = self.of.argument_of(full.removeprefix("net_")) or full
        if full not in self.primal.tensors:
            members = sorted(x.name for x in self.primal.tensors.values() if x.family == target)
            hint = (
                f"{target} is a family: {', '.join(members)}"
                if members
                else f"the cell {self.of.name} has: {', '.join(self.primal.tensors)}; net_X is the argument of the function in X"
            )
            raise DeriveError(
                f'{self.where}: {label}="{said}" speaks of {full}, which is no tensor of the cell; {hint}'
            )
        if not match:
            if label in self.assigned:
                raise DeriveError(
                    f'{self.where}: {label}="{said}" makes {label} another name for {full}, but it is assigned; if it is a '
                    f'gradient, write {label}="dL/d{said}"'
                )
            self.aliases[label] = full
            return
        adjoint = adjoint_name(full)
        if adjoint not in self.of.program.tensors:
            raise DeriveError(f"{self.where}: the loss does not depend on {full}, so there is no dL/d{full}")
        self.claims[label] = adjoint

    def _by_name(self, label: str, item: Name) -> str | None:
        """dW_f and d_W_f are the derivative by W_f."""
        family, member = item.family or label, item.member
        for start in ("d_", "d"):
            base = family.removeprefix(start)
            full = f"{base}_{member}" if member else base
            full = full if full in self.primal.tensors else re.sub(r"^([a-z]+)0$", r"\1_0", full)
            if family.startswith(start) and adjoint_name(full) in self.of.program.tensors:
                return adjoint_name(full)
        return None


# -- what equations may not say ----------------------------------------------------------------------------------------


def check_equations(where: str, found: Derivation) -> None:
    """Left-hand sides, numbers of indices, and that every index of a right-hand side is on the left or summed."""
    rank: dict[str, sp.Expr] = {}
    for equation in found.equations:
        line = f"{where}, line {equation.line}"
        _check_left(line, equation, found)
        before = rank.setdefault(equation.label, equation.lhs)
        if len(getattr(before, "indices", ())) != len(getattr(equation.lhs, "indices", ())):
            raise DeriveError(f"{line}: {ir.text(equation.lhs)} has other indices than {ir.text(before)} above")
    for equation in found.equations:
        line = f"{where}, line {equation.line}, in the equation of {ir.text(equation.lhs)}"
        _check_right(line, equation.rhs, set(getattr(equation.lhs, "free_symbols", ())), found, rank)


def _check_left(line: str, equation: Written, found: Derivation) -> None:
    indices, when = getattr(equation.lhs, "indices", ()), equation.when
    left = ir.text(equation.lhs)
    if when is not None and when.has(t) and when not in (t, t - 1, t + 1):
        raise DeriveError(f"{line}: {left} is defined at time {when}; write t, t-1, t+1 or a fixed time such as T")
    if len(set(indices)) < len(indices):
        raise DeriveError(f"{line}: {left} has an index twice")
    for index in indices[1:] if when is not None else indices:
        if not index.is_Symbol:
            raise DeriveError(
                f"{line}: {left} has {index} as an index; an index is a name such as n, and time comes first"
            )
    if equation.label in found.claims:
        tensor = found.reference.program.tensors[found.claims[equation.label]]
        if len(indices) != tensor.rank or (when is not None) != (tensor.time is not None):
            raise DeriveError(
                f"{line}: {left} claims to be the derivative of the loss by {tensor.primal} and must be written as "
                f"{_spelled(equation.label, tensor)}"
            )


def _check_right(line: str, expr: sp.Expr, scope: set[sp.Symbol], found: Derivation, rank: dict[str, sp.Expr]) -> None:
    if isinstance(expr, sp.Sum):
        own = {symbol for symbol, *_ in expr.limits}
        if own & scope:
            raise DeriveError(f"{line}, {ir.text(sp.Tuple(*(own & scope))[0])} is summed and also stands on the left or in "
                              f"another sum around it; give the sum an index of its own")  # fmt: skip
        return _check_right(line, expr.function, scope | own, found, rank)
    if not isinstance(expr, Indexed):
        for argument in expr.args:
            _check_right(line, argument, scope, found, rank)
        return None
    label, read = ir.name_of(expr), ir.text(expr)
    tensor = found.tensor(label)
    if tensor is not None and len(expr.indices) != tensor.rank:
        raise DeriveError(f"{line}, {read} has {len(expr.indices)} indices, it must be {_spelled(label, tensor)}")
    if tensor is None and len(expr.indices) != len(rank[label].indices):
        raise DeriveError(f"{line}, {read} has other indices than {ir.text(rank[label])}")
    timed = (
        tensor.time is not None
        if tensor is not None
        else any(e.label == label and e.when is not None for e in found.equations)
    )
    for place, index in enumerate(expr.indices):
        if place == 0 and timed:
            by = sp.expand(index - (t if index.has(t) else T if index.has(T) else 0))
            if not by.is_Integer:
                raise DeriveError(
                    f"{line}, {read} is read at time {index}; write t, t+1, t-1, T, 1 or the like, time first"
                )
        elif not index.is_Symbol or index in (t, T):
            raise DeriveError(
                f"{line}, {read} has {index} as an index; an index is a name such as n, and time comes first"
            )
        elif index not in scope:
            raise DeriveError(
                f"{line}, the index {index} of {read} is neither on the left nor summed; write Sum(..., {index}) around it"
            )
    return None


def _spelled(label: str, tensor: Tensor) -> str:
    return f"{label}[{', '.join([*(['t'] if tensor.time is not None else []), *map(str, tensor.indices)])}]"
