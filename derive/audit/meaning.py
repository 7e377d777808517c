"""What each name of an author stands for: a tensor of the cell, a derivative of the loss, or a quantity of their own.

The order in which that is decided is in notation.py.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from derive import ir
from derive.audit.reference import Reference
from derive.audit.written import Written
from derive.errors import DeriveError
from derive.notation.writer import Name
from derive.passes.adjoint import adjoint_name

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
