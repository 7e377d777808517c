"""What a lowered kernel is made of: products of matrices, stages of pointwise equations, phases around a loop over time."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import sympy as sp

from derive.ir import Equation, Program, Space
from derive.passes.contraction import Contraction


@dataclass(frozen=True)
class Pair:
    """One summand of a product: weight times operand, summed over what `shape` calls inner; `hoistable`: see fuse.py.

    Of a weight gradient, left times right, summed over time and rows: `shape` is that of the weight.
    """

    weight: sp.Expr
    operand: sp.Expr
    shape: Contraction
    hoistable: bool = False


@dataclass(frozen=True)
class Product:
    """target[t,row,n] = sum of pairs (parallel, recurrent); target[n,j] += left[t,row,n]*right[t,row,j] (reducing)."""

    target: str
    kind: str
    pairs: tuple[Pair, ...]
    ids: tuple[str, ...]


class OverSpace:
    """What has equations over the units of a space."""

    space: Space

    @property
    def dim(self) -> sp.Symbol | None:
        """The innermost dimension of the space, whose units lie side by side in memory."""
        return self.space[-1] if self.space else None

    @property
    def outer(self) -> Space:
        """The other dimensions of the space."""
        return self.space[:-1]


@dataclass
class Stage(OverSpace):
    """Equations over the units of a space, evaluated together; a step of the loop is a list of stages.

    In order: `scalars` (one number a row), `products` (recurrent, into the tile), `pointwise`, then `sums` over units of the
    row (read by later stages) and `totals` over time and rows (parameter gradients).  Without a space: for each row.
    """

    space: Space
    scalars: list[Equation] = field(default_factory=list)
    products: list[Product] = field(default_factory=list)
    pointwise: list[Equation] = field(default_factory=list)
    sums: list[Equation] = field(default_factory=list)
    totals: list[Equation] = field(default_factory=list)

    @property
    def equations(self) -> list[Equation]:
        return [*self.scalars, *self.pointwise, *self.sums, *self.totals]

    @property
    def targets(self) -> list[str]:
        """All that the stage makes."""
        return [*(p.target for p in self.products), *(e.target for e in self.equations)]


@dataclass
class Phase:
    """Products for all steps at once, and the stages that follow; the next phase multiplies with what these made."""

    products: list[Product] = field(default_factory=list)
    stages: list[Stage] = field(default_factory=list)


@dataclass
class Loop:
    """Stages that run step by step, because a step reads what the one before it made."""

    stages: list[Stage] = field(default_factory=list)


@dataclass
class Lowered:
    """One kernel: a sweep over time in one direction, as parts that follow each other in every chunk of steps.

    A part is a `Phase`, for all steps of the chunk at once, or a `Loop` over them; a cell of two layers has two loops with
    the upper layer's product between them.  `edge` is the step beyond the far end (t = 0 of an adjoint), `zeros` are
    gradients of parameters on which nothing depends.  `before` makes values of parameters alone, ahead of the first step, and
    `after` what is made of sums over time, behind all of them; both have neither time nor rows.
    """

    program: Program
    direction: int
    parts: list[Phase | Loop]
    edge: list[Stage]
    boundaries: list[Equation]
    zeros: list[Equation] = field(default_factory=list)
    before: list[Stage] = field(default_factory=list)
    after: list[Stage] = field(default_factory=list)

    @property
    def phases(self) -> list[Phase]:
        return [p for p in self.parts if isinstance(p, Phase)]

    @property
    def loops(self) -> list[Loop]:
        return [p for p in self.parts if isinstance(p, Loop)]

    @property
    def stages(self) -> list[Stage]:
        """The stages of all parts."""
        return [s for p in self.parts for s in p.stages]

    def with_part(self, number: int, part: Phase | Loop) -> Lowered:
        return replace(self, parts=[part if n == number else p for n, p in enumerate(self.parts)])

    def dump(self) -> str:
        """The kernel as a person reads it."""
        lines = [
            f"kernel {self.program.name}, time {'+' if self.direction > 0 else '-' if self.direction < 0 else '='}"
        ]
        for title, products, stages in (
            ("before", [], self.before),
            *((*(("phase", p.products) if isinstance(p, Phase) else ("loop", [])), p.stages) for p in self.parts),
            ("edge", [], self.edge),
            ("after", [], self.after),
        ):
            lines += [f"  {title}:"] if products or stages else []
            lines += [f"    {_product_text(p)}" for p in products]
            for number, stage in enumerate(stages, 1):
                lines += [f"    stage {number} over {over(stage.space)}"]
                lines += [f"      {_product_text(p)}" for p in stage.products]
                lines += [
                    f"      {kind:<9} {e}"
                    for kind in ("scalars", "pointwise", "sums", "totals")
                    for e in getattr(stage, kind)
                ]
        return "\n".join([*lines, *(f"  boundary {e}" for e in self.boundaries), *(f"  zero {e}" for e in self.zeros)])


def over(space: Space) -> str:
    """A space in words."""
    return " x ".join(map(str, space)) or "rows"


def _product_text(product: Product) -> str:
    pairs = " + ".join(f"{p.weight}*{p.operand}" for p in product.pairs)
    return f"{product.kind} {product.target} = {pairs}   [{', '.join(product.ids)}]"
