"""Phases and stages: what can be evaluated together, and in which order; and the step t = 0 of an adjoint."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import sympy as sp

from derive import ir
from derive.ir import Equation, Space, span
from derive.passes.lower.lowered import Phase, Product, Stage
from derive.passes.lower.placement import inner_equation, is_boundary
from derive.passes.lower.splitting import Split


def _apart(stage: Stage) -> list[Stage]:
    """A stage without the largest values of its rows, and one with them: they are found row by row, and no tile is beside."""
    largest = [e for e in stage.sums if isinstance(e.rhs, ir.Largest)]
    rest = replace(stage, sums=[e for e in stage.sums if e not in largest])
    return [s for s in (rest, Stage(stage.space, sums=largest)) if s.equations or s.products] if largest else [stage]


class Stages:
    """Makes phases and stages of the equations of a split program whose products have their kinds."""

    def __init__(self, split: Split) -> None:
        self.split, self.program = split, split.program
        self.tensors, self.products = split.program.tensors, split.products
        self.once = {*ir.prepared(split.program), *ir.concluded(split.program)}

    def _equation(self, name: str) -> Equation:
        return inner_equation(self.program, name)

    def phases(self, names: Sequence[str]) -> list[Phase]:
        """A product belongs to the phase after that in which its operand is made; weight gradients wait for all."""
        number: dict[str, int] = {}
        for name in names:
            later = 1 if name in self.products and self.products[name].kind != "reducing" else 0
            reads = [ir.name_of(a) for a in ir.accesses(self._equation(name).rhs, self.tensors)]
            number[name] = max((number[r] + later for r in reads if r in number), default=0)
        count = max(number.values(), default=-1) + 1
        return [Phase(*self._phase([n for n in names if number[n] == k])) for k in range(count)]

    def _phase(self, names: list[str]) -> tuple[list[Product], list[Stage]]:
        order = list(self.tensors)
        products = [self.products[n] for n in names if n in self.products]
        products.sort(
            key=lambda p: (
                p.kind,
                order.index(ir.name_of(p.pairs[0].weight if p.kind != "reducing" else self.tensors[p.target].at())),
            )
        )
        return products, self.stages([n for n in names if n not in self.products])

    def stages(self, names: Sequence[str], edge: bool = False) -> list[Stage]:
        """The stages that compute some tensors, in order; `edge`: at t = 0, where some of their terms are zero."""
        level: dict[str, int] = {}
        equations = {n: self._alive(self._equation(n)) if edge else self._equation(n) for n in names}
        for name in names:
            level[name] = self._level(name, equations[name], level)
        stages: list[Stage] = []
        for number in range(max(level.values(), default=-1) + 1):
            here = [n for n in names if level[n] == number]
            spaces = list(dict.fromkeys(space for n in here if (space := self._space(n))))
            made = {space: Stage(space) for space in spaces or [()]}
            first = next(iter(made.values()))
            for name in here:
                space = self._space(name)
                if not space and self._is_total(
                    name
                ):  # of numbers of a row: after them, in a loop over rows of its own
                    made.setdefault((), Stage(()))
                self._put(made[space] if space or self._is_total(name) else first, name, equations[name])
            stages += [part for stage in made.values() for part in _apart(stage)]
        return stages

    def _put(self, stage: Stage, name: str, equation: Equation) -> None:
        if name in self.products:
            stage.products.append(self.products[name])
        elif self._is_total(name):
            stage.totals.append(equation)
        elif name in self.split.sums:
            stage.sums.append(equation)
        elif self._is_scalar(name):
            stage.scalars.append(equation)
        else:
            stage.pointwise.append(equation)

    def _is_total(self, name: str) -> bool:
        """Whether it sums over time and rows."""
        return self.tensors[name].time is None and name not in self.once

    def _is_scalar(self, name: str) -> bool:
        return not ir.units(self.tensors[name])

    def _space(self, name: str) -> Space:
        """The space over whose units an equation runs; of a product, that of its result."""
        if name in self.products:
            return ir.units(self.tensors[name])
        return ir.space(self._equation(name), self.tensors)

    def _level(self, name: str, equation: Equation, level: dict[str, int]) -> int:
        """The stage that computes a tensor.

        A sum is ready one stage after that in which its terms are added up; a product needs its whole operand row.
        """
        found = 0
        for access in ir.accesses(equation.rhs, self.tensors):
            read = ir.name_of(access)
            if read not in level or (
                self.tensors[name].time is not None and ir.offset(ir.time_of(access, self.tensors))
            ):
                continue
            later = (
                read in self.split.sums or (name in self.products) or self._space(read) not in (self._space(name), ())
            )
            found = max(found, level[read] + (1 if later else 0))
        return found

    # -- the edge ------------------------------------------------------------------------------------------------------

    def edge(self, names: Sequence[str]) -> list[Stage]:
        """The step t = 0 of an adjoint: what lives there, with the terms that are not zero there."""
        alive = []
        for name in names:
            life = self.tensors[name].time
            if life is not None and life[0] == 0 and (when := self._equation(name).when) and when[0] == 0:
                alive.append(name)
        needed = {
            ir.name_of(e.rhs)
            for e in self.program.equations
            if is_boundary(e, self.tensors) and ir.time_of(e.rhs, self.tensors) == 0
        }
        for name in reversed(alive):
            if name in needed:
                reads = ir.accesses(self._alive(self._equation(name)).rhs, self.tensors)
                needed |= {ir.name_of(a) for a in reads if not ir.offset(ir.time_of(a, self.tensors))}
        # Products that an edge equation reads are defined on its own span.
        chosen = [n for n in names if n in needed and n in alive]
        return self.stages(chosen, edge=True)

    def _alive(self, equation: Equation) -> Equation:
        """The equation at t = 0, without the terms that read outside of a span there."""
        kept = [
            term
            for term in ir.terms(equation.rhs)
            if all(self._lives_there(a) for a in ir.accesses(term, self.tensors))
            and all(f.args[1] == 0 for f in term.atoms(span))
        ]
        return replace(equation, rhs=sp.Add(*kept))

    def _lives_there(self, access: sp.Expr) -> bool:
        """Whether an access stands inside of its span at t = 0."""
        by = ir.offset(ir.time_of(access, self.tensors))
        life = self.tensors[ir.name_of(access)].time
        if by is None or life is None:
            return True
        return bool(life[0] <= by) and not (life[1].is_Integer and life[1] < by)
