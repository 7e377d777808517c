"""Dimensions of an author's quantities, found from the tensors with which they share an index."""

from __future__ import annotations

import sympy as sp
from sympy.tensor.indexed import Indexed

from derive import ir
from derive.audit.side import Side
from derive.audit.written import Written
from derive.ir import T, t

Dims = tuple[sp.Symbol | None, ...]


class Shapes:
    """The dimensions of every quantity, time left out (`known`), and what is wrong with the equations of some (`wrong`)."""

    def __init__(self, side: Side) -> None:
        self.side, self.equations = side, side.derivation.equations
        self.known: dict[str, Dims] = {}
        self.wrong: dict[str, str] = {}
        for _ in range(len(self.equations) + 1):
            for equation in self.equations:
                self._settle(equation)

    def of(self, label: str) -> str:
        """What is wrong with the shapes in the equation of a quantity, or of an intermediate that it reads; or ''."""
        inner = next((n for n in sorted(self.side.dependence.inside(label)) if n in self.wrong), None)
        return self.wrong.get(label, "") if inner is None else f"in {inner}: {self.wrong[inner]}"

    def _settle(self, equation: Written) -> None:
        ranges: dict[sp.Expr, tuple[sp.Symbol, str]] = {}
        for access in sorted(equation.rhs.atoms(Indexed), key=str):
            self._note(access, ranges, equation)
        lhs = equation.lhs.indices if isinstance(equation.lhs, Indexed) else ()
        lhs = lhs[1:] if equation.when is not None else lhs
        if equation.label in self.side.derivation.claims:
            self._note(equation.lhs, ranges, equation)
        before = self.known.get(equation.label, (None,) * len(lhs))
        self.known[equation.label] = tuple(
            d if d is not None else ranges.get(s, (None, ""))[0] for d, s in zip(before, lhs, strict=True)
        )

    def _note(self, access: sp.Expr, ranges: dict[sp.Expr, tuple[sp.Symbol, str]], equation: Written) -> None:
        for index, dim in self._dims_at(access):
            before = ranges.setdefault(index, (dim, ir.text(access)))
            if before[0] != dim:
                self.wrong[equation.label] = (
                    f"the index {index} runs over {before[0]} in {before[1]} and over {dim} in {ir.text(access)}"
                )

    def _dims_at(self, access: sp.Expr) -> list[tuple[sp.Expr, sp.Symbol]]:
        """(index, dimension) of an access, as far as known."""
        label, side = ir.name_of(access), self.side
        tensor = side.derived.tensors.get(side.name(label)) if label not in side.dependence.intermediates else None
        if tensor is not None:
            indices = access.indices[1:] if tensor.time is not None else access.indices
            return list(zip(indices, tensor.dims, strict=True))
        indices = access.indices[1:] if access.indices[0].has(t, T) or access.indices[0].is_Integer else access.indices
        found = self.known.get(label, ())
        return [(s, d) for s, d in zip(indices, found, strict=False) if d is not None]
