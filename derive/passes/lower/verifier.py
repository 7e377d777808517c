"""The verifier of lowered kernels: every equation in one place, everything made before it is read.

A kernel executes its parts in order, phases and loops, and the edge after all of them.  A phase multiplies first and then
runs its stages; products that sum over time come when all else of a chunk is done.  A stage takes its scalars, its
products, its pointwise equations one by one, then sums and totals.  What is checked:

    placed    every equation of the program is made once, by the products or stages of one part, or is a boundary or zero
    whole     a product is the sum that its equation says, and its operands are whole rows before it begins
    ordered   nothing reads what a later part, stage or equation makes; another step is read only where it is done
    shaped    pointwise equations run over the units of their stage and hold no sum; a row sum is one sum over units

`lower` and `fuse` hand their results to it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import sympy as sp

from derive import ir
from derive.errors import EngineError
from derive.ir import ROW, STEPS, Equation, t
from derive.passes.lower.lowered import Lowered, Phase, Product, Stage, over

# Within a stage: what may be read by what comes later in it.
SCALAR, PRODUCT, POINTWISE, LAST = range(4)


@dataclass(frozen=True, order=True)
class Moment:
    """When something is computed: part, stage of it, kind within the stage, position within the kind.

    `what` is "before", "phase", "loop", "edge" or "after".
    """

    part: int
    stage: int
    kind: int
    position: int
    what: str = field(compare=False)

    @property
    def place(self) -> str:
        name = self.what if self.what in ("before", "edge", "after") else f"part {self.part + 1} ({self.what})"
        return f"{name}, stage {self.stage + 1}"


def verify_lowered(lowered: Lowered) -> Lowered:
    """Check a kernel; return it or raise an EngineError that names kernel, equation and what is wrong with its place."""
    _Verifier(lowered).run()
    return lowered


class _Verifier:
    def __init__(self, lowered: Lowered) -> None:
        self.lowered, self.program = lowered, lowered.program
        self.tensors = lowered.program.tensors
        self.stages = list(_stages(lowered))
        self.made: dict[str, Moment] = {}  # outside of the edge
        self.at_edge: dict[str, Moment] = {}
        self.sums: set[str] = {e.target for s in self.stages for e in s[1].sums}
        self.equations = {e.target: e for e in self.program.equations if not self._is_apart(e)}

    def _is_apart(self, equation: Equation) -> bool:
        return equation in self.lowered.boundaries or equation in self.lowered.zeros

    def fail(self, ids: str, words: str) -> EngineError:
        return EngineError(f"{self.program.name}: the lowered kernel is wrong at {ids}: {words}")

    def run(self) -> None:
        self._place()
        for moment, product in self._products():
            self._product(moment, product)
        for moment, stage, equation in self._pointwise():
            self._equation(moment, stage, equation)

    # -- placed --------------------------------------------------------------------------------------------------------

    def _place(self) -> None:
        seen: Counter[str] = Counter()
        for moment, target in self._targets():
            table = self.at_edge if moment.what == "edge" else self.made
            if target in table:
                raise self.fail(target, f"it is made twice: in {table[target].place}, and in {moment.place}")
            table[target] = moment
            seen[target] += table is self.made
        for target, equation in self.equations.items():
            if target not in self.made:
                raise self.fail(equation.id, f"no part of the kernel makes {target}")
        for target in seen:
            if target not in self.equations:
                raise self.fail(target, "a part of the kernel makes it, and no equation of the program defines it")

    def _targets(self) -> Iterator[tuple[Moment, str]]:
        yield from ((m, p.target) for m, p in self._products())
        yield from ((m, e.target) for m, _, e in self._pointwise())

    def _products(self) -> Iterator[tuple[Moment, Product]]:
        for moment, stage in self.stages:
            for position, product in enumerate(stage.products):
                yield replace(moment, kind=PRODUCT, position=position), product

    def _pointwise(self) -> Iterator[tuple[Moment, Stage, Equation]]:
        for moment, stage in self.stages:
            kinds = ((SCALAR, stage.scalars), (POINTWISE, stage.pointwise), (LAST, [*stage.sums, *stage.totals]))
            for kind, equations in kinds:
                for position, equation in enumerate(equations):
                    yield replace(moment, kind=kind, position=position), stage, equation

    # -- whole ---------------------------------------------------------------------------------------------------------

    def _product(self, moment: Moment, product: Product) -> None:
        ids = ", ".join(product.ids)
        equation = self.equations.get(product.target)
        if equation is not None:
            self._sums_over_time(ids, equation)
        if equation is not None and moment.what != "edge" and not _same(product, equation):
            raise self.fail(ids, f"the pairs of {product.target} are not the sum {ir.text(equation.rhs)}")
        wanted = "recurrent" if moment.what in ("loop", "edge") else "parallel"
        if product.kind not in (wanted, "reducing") or (product.kind == "reducing" and wanted == "recurrent"):
            raise self.fail(ids, f"{product.target} is a {product.kind} product in {moment.place}")
        for pair in product.pairs:
            for access in ir.accesses(pair.weight * pair.operand, self.tensors):
                self._read(ids, moment, access, whole=True)
                inside = self.made.get(ir.name_of(access))
                if pair.hoistable and (
                    ir.offset(ir.time_of(access, self.tensors)) or (inside is not None and inside.part >= moment.part)
                ):
                    raise self.fail(ids, f"{access} is taken to be known before the loop")

    # -- ordered -------------------------------------------------------------------------------------------------------

    def _equation(self, moment: Moment, stage: Stage, equation: Equation) -> None:
        self._shape(moment, stage, equation)
        for access in ir.accesses(equation.rhs, self.tensors):
            self._read(equation.id, moment, access, whole=False, stage=stage)

    def _read(self, ids: str, moment: Moment, access: sp.Expr, whole: bool, stage: Stage | None = None) -> None:
        name, by = ir.name_of(access), ir.offset(ir.time_of(access, self.tensors)) or 0
        edge = moment.what == "edge"
        own = edge and not by and self.tensors[name].time is not None
        table = self.at_edge if own else self.made
        made = table.get(name)
        if made is None:
            if edge and self.tensors[name].time is not None and not self._lives_at(name, by):
                raise self.fail(ids, f"{access} is read at t = 0, where it does not exist")
            if name in self.equations and not self._is_input(name):
                raise self.fail(ids, f"nothing makes {access} for it at t = 0")
            return
        if by:
            if by * (self.lowered.direction or 1) > 0:
                raise self.fail(ids, f"{access} is read before the loop over time comes to its step")
            if made.part > moment.part:
                raise self.fail(ids, f"{access} is read in {moment.place} and made in {made.place}")
            return
        same = (made.part, made.stage) == (moment.part, moment.stage)
        if made >= moment or (same and whole):
            raise self.fail(ids, f"{access} is read in {moment.place} and made in {made.place}, not before it")
        if same and name in self.sums:
            raise self.fail(ids, f"{access} is read in the stage that adds it up")
        if same and stage is not None and ir.units(self.tensors[name]) not in ((), stage.space):
            raise self.fail(ids, f"{access} has other units than the stage that makes and reads it")

    def _is_input(self, name: str) -> bool:
        return name not in self.program.defined

    def _lives_at(self, name: str, by: int) -> bool:
        life = self.tensors[name].time
        return life is None or (bool(life[0] <= by) and not (life[1].is_Integer and life[1] < by))

    # -- shaped --------------------------------------------------------------------------------------------------------

    def _sums_over_time(self, ids: str, equation: Equation) -> None:
        """A kernel adds up the steps 1..T; a sum over others would lose or invent some."""
        for total in equation.rhs.atoms(sp.Sum):
            if any(symbol == t and (low, high) != STEPS for symbol, low, high in total.limits):
                raise self.fail(ids, f"{ir.text(total)} runs over other steps than 1..T")

    def _shape(self, moment: Moment, stage: Stage, equation: Equation) -> None:
        ids, target = equation.id, equation.target
        totals = list(ir.terms(equation.rhs)) if equation.rhs != 0 else []
        self._sums_over_time(ids, equation)
        if moment.kind == LAST:
            summed = [tuple(s for s, *_ in x.limits) for term in totals for x in term.atoms(*ir.REDUCTIONS)]
            timed = self.tensors[target].time is not None or moment.what in ("before", "after")
            right = all((t in symbols or ROW in symbols) != timed for symbols in summed)
            if not right or len(summed) != len(totals):
                raise self.fail(ids, f"{ir.text(equation.rhs)} is no {'row sum' if timed else 'total'}")
        elif equation.rhs.has(*ir.REDUCTIONS):
            raise self.fail(ids, f"{ir.text(equation.rhs)} holds a sum, and stands among pointwise equations")
        own = ir.units(self.tensors[target])
        if moment.kind == POINTWISE and own != stage.space:
            raise self.fail(ids, f"{target} has units of {over(own)}, its stage runs over {over(stage.space)}")
        if (
            moment.kind in (POINTWISE, LAST)
            and (runs := ir.space(self.equations.get(target, equation), self.tensors)) != stage.space
        ):
            raise self.fail(ids, f"{target} is made over {over(runs)}, its stage runs over {over(stage.space)}")
        if moment.kind == SCALAR and own:
            raise self.fail(ids, f"{target} has units and stands among the numbers of a row")


def _stages(lowered: Lowered) -> Iterator[tuple[Moment, Stage]]:
    """The stages in the order of their execution; the products of a phase are a stage of their own before its stages."""
    reducing: list[Product] = []
    for position, stage in enumerate(lowered.before):
        yield Moment(-1, position, 0, 0, "before"), stage
    for number, part in enumerate(lowered.parts):
        what, stages = "loop", list(part.stages)
        if isinstance(part, Phase):
            reducing += [p for p in part.products if p.kind == "reducing"]
            what = "phase"
            stages = [Stage((), products=[p for p in part.products if p.kind != "reducing"]), *stages]
        for position, stage in enumerate(stages):
            yield Moment(number, position, 0, 0, what), stage
    last = len(lowered.parts)
    yield Moment(last, 0, 0, 0, "phase"), Stage((), products=reducing)
    for position, stage in enumerate(lowered.edge):
        yield Moment(last + 1, position, 0, 0, "edge"), stage
    for position, stage in enumerate(lowered.after):
        yield Moment(last + 2, position, 0, 0, "after"), stage


def _same(product: Product, equation: Equation) -> bool:
    """Whether the pairs of a product are the terms of the equation that it makes."""
    pairs = Counter(sp.Mul(p.weight, p.operand) for p in product.pairs)
    terms: Counter[sp.Expr] = Counter()
    for total in (total for term in ir.terms(equation.rhs) for total in term.atoms(sp.Sum)):
        number, body = total.function.as_coeff_Mul()
        terms[body] += number
    return pairs == terms
