"""Which of an author's quantities reads which."""

from __future__ import annotations

from collections.abc import Sequence

from derive import ir
from derive.audit.written import Derivation


class Dependence:
    """The quantities of a derivation and what their equations read.

    `intermediates` are those that claim nothing: their equations are put in where they are read.
    """

    def __init__(self, derivation: Derivation) -> None:
        self.equations = derivation.equations
        self.intermediates = {e.label for e in self.equations if e.label not in derivation.claims}

    def reads(self, label: str) -> set[str]:
        """The author's names that the equations of a quantity read."""
        return {name for e in self.equations if e.label == label for name in ir.names_in(e.rhs)}

    def innermost(self, names: Sequence[str]) -> str:
        """Of the intermediates by which a term came in, the one that reads none of the others; '' of none."""
        return next((n for n in names if not (set(names) - {n}) & self.inside(n)), "")

    def inside(self, label: str) -> set[str]:
        """The intermediates that are put in where a quantity is read."""
        inner, seen, queue = self.intermediates, set[str](), [label]
        while queue:
            found = (self.reads(queue.pop()) & inner) - seen
            seen |= found
            queue += found
        return seen

    def upstream(self, label: str) -> set[str]:
        """The author's names on which a quantity depends, directly or not."""
        seen: set[str] = set()
        level = {label}
        while level := {name for one in level for name in self.reads(one)} - seen:
            seen |= level
        return seen

    def nearest(self, label: str, names: set[str]) -> set[str]:
        """Of some of the author's names, those that a quantity reads, or else those that what it reads reads, ..."""
        seen: set[str] = set()
        level = {label}
        while level := {n for one in level for name in self.reads(one) for n in self._outside(name)} - seen:
            seen |= level
            if found := level & names - {label}:
                return found
        return set()

    def _outside(self, name: str) -> set[str]:
        """A name; for an intermediate the names that its equations read in the end."""
        if name not in self.intermediates:
            return {name}
        return {n for one in {name, *self.inside(name)} for n in self.reads(one)} - self.intermediates
