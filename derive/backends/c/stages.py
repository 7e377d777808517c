"""The functions of a stage: what each loads, computes and stores, statement by statement.

templates/c/stages.j2 has a macro for each kind of function and for each kind of statement.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import sympy as sp
from sympy.tensor.indexed import Indexed

from derive import ir
from derive.backends.c import layout
from derive.backends.c.addresses import located, rows, stride
from derive.backends.c.kernel import Field, Kernel, StagePlan, Tile
from derive.backends.c.target import LANES
from derive.backends.shared.names import c_name
from derive.backends.shared.orientation import is_along, variable
from derive.backends.shared.printer import Expression
from derive.backends.shared.sizes import size
from derive.backends.shared.values import from_afar, has_units, integrand
from derive.ir import ROW, Equation, Tensor

POSITIONS = "positions(unit)"  # of the units of a vector


@dataclass(frozen=True)
class Statement:
    """A line of C: `kind` names its macro, `c` the variable, `value` what it gets.

    row: from the start of an array to the row.  guard: what must hold, with the words of C around it.  at: a number that
    the kind needs, of a sum or a slot.
    """

    kind: str
    c: str
    value: str = ""
    row: sp.Expr = sp.S.Zero
    ids: str = ""
    guard: str = ""
    at: int = 0

    @property
    def first(self) -> str:
        """C for what a register begins with, of what a row begins and ends with."""
        return "-(real)INFINITY" if self.kind == "largest" else "REAL(0.0)"

    @property
    def whole(self) -> str:
        """The function that makes one number of the lanes of a register."""
        return "largest" if self.kind == "largest" else "sum"


@dataclass(frozen=True)
class Function:
    """A C function.  kind: "tile" and "units" go through units and rows, "sums" row by row, "scalars" through numbers of rows.

    dims: the sizes that statements mention.  before, row: statements before the rows, and for each.  sums: what a row begins
    and ends with, in registers.  totals: the variables that are added up over all rows, with their numbers.  pitch: C for the
    distance from one product of a unit to the next.
    """

    kind: str
    name: str
    stage: StagePlan
    ids: str
    dims: list[str]
    before: list[Statement] = field(default_factory=list)
    row: list[Statement] = field(default_factory=list)
    sums: list[Statement] = field(default_factory=list)
    totals: list[tuple[str, str]] = field(default_factory=list)
    pitch: str = "V"


class Stages:
    """The functions of the stages of one kernel."""

    def __init__(self, kernel: Kernel) -> None:
        self.kernel, self.tensors = kernel, kernel.program.tensors

    def functions(self, stage: StagePlan) -> list[Function]:
        """The functions of a stage, those of its units first."""
        found = []
        if stage.tile or stage.pointwise or stage.sums or (stage.totals and stage.dim is not None):
            found.append(self._row_sums(stage) if has_row_sums(stage, self.tensors) else self._units(stage))
        if scalars(stage):
            found.append(self._scalars(stage))
        return found

    # -- expressions ---------------------------------------------------------------------------------------------------

    def _is_vector(self, equation: Equation) -> Callable[[sp.Expr], bool]:
        return lambda access: is_along(access, equation, self.tensors)

    def expression(self, equation: Equation, rhs: sp.Expr | None = None) -> str:
        """C for the right-hand side of an equation, or for an expression in its place."""
        rhs = equation.rhs if rhs is None else rhs
        spelled = partial(variable, equation=equation, tensors=self.tensors, name=c_name)
        last = from_afar(rhs, self.tensors)
        return Expression(spelled, self._is_vector(equation), last).print(ir.without_guards(rhs))

    def _vector(self, equation: Equation) -> str:
        text, is_vector = self.expression(equation), self._is_vector(equation)
        return text if any(is_vector(a) for a in equation.rhs.atoms(Indexed)) else f"splat({text})"

    def _is_along(self, equation: Equation) -> bool:
        """Whether the result of an equation has a value for each unit of the innermost dimension."""
        return is_along(equation.lhs, equation, self.tensors)

    def _dims(
        self, statements: Sequence[Statement], equations: Sequence[Equation], own: sp.Symbol | None = None
    ) -> list[str]:
        """The dimensions that statements mention, in the order of the program."""
        bodies = [integrand(e.rhs) if e.rhs.has(*ir.REDUCTIONS) else e.rhs for e in equations]
        found = {str(s) for body in bodies for s in body.free_symbols if s.is_integer}
        found |= {str(s) for statement in statements for s in statement.row.free_symbols}
        found |= {str(own)} if own is not None else set()
        return [d for d in self.kernel.program.facts.sizes if d in found]

    # -- statements ----------------------------------------------------------------------------------------------------

    def _row(self, item: Field) -> sp.Expr:
        return ROW * stride(item, rows(item.place, self.kernel.direction, self.kernel.mirrored))

    def _load(self, stage: StagePlan, item: Field) -> Statement:
        """A value of each unit of a row, or of all rows alike; or one number."""
        row = self._row(item) if self.tensors[item.name].batched else sp.Integer(0)
        return Statement("number" if item.c in stage.numbers else "load", item.c, row=row)

    def _store(self, stage: StagePlan, name: str, kind: str = "store") -> list[Statement]:
        item = stage.stores.get(name)
        if item is None:
            return []
        row = self._row(item) if self.tensors[name].batched else sp.S.Zero
        if stage.part == "after" and item.place.kind == "arg":
            kind = f"{kind}_result"
        return [Statement(kind, item.c, row=row, guard=f"if (at->{item.c}) " if item.optional else "")]

    def _lets(self, stage: StagePlan) -> list[Statement]:
        found = []
        for e in stage.pointwise:
            found += [
                Statement("let", c_name(e.target, 0), POSITIONS if ir.is_position(e) else self._vector(e), ids=ids(e)),
                *self._store(stage, e.target),
            ]
        return found

    def _sums(self, stage: StagePlan, kind: str) -> list[Statement]:
        """The sums that leave no value for the units of the innermost dimension."""
        return [
            replace(
                self._add(e, "largest" if isinstance(e.rhs, ir.Largest) else kind),
                row=self._row(stage.stores[e.target]) if self.tensors[e.target].batched else sp.S.Zero,
                at=n,
                guard="+=" if is_partial(e, stage, self.tensors) else "=",
            )
            for n, e in enumerate(stage.sums, 1)
            if not self._is_along(e)
        ]

    def _sums_along(self, stage: StagePlan) -> list[Statement]:
        """The sums over outer dimensions alone, which have a value for each of these units."""
        own = [e for e in stage.sums if self._is_along(e)]
        rows = {e.target: self._row(stage.stores[e.target]) for e in own if self.tensors[e.target].batched}
        return [replace(self._add(e, "add_along"), row=rows.get(e.target, sp.S.Zero)) for e in own]

    def _totals(self, stage: StagePlan) -> list[Equation]:
        return [e for e in stage.totals if has_units(self.tensors[e.target])]

    def _added(self, stage: StagePlan, kind: str) -> list[Statement]:
        return [self._add(e, kind) for e in self._totals(stage)]

    def _add(self, e: Equation, kind: str) -> Statement:
        return Statement(kind, c_name(e.target, 0), self.expression(e, integrand(e.rhs)), ids=ids(e))

    # -- functions -----------------------------------------------------------------------------------------------------

    def _name(self, stage: StagePlan) -> str:
        return f"{self.kernel.name}_{stage.name}"

    def _function(
        self,
        stage: StagePlan,
        kind: str,
        row: list[Statement],
        before: Sequence[Statement] = (),
        sums: Sequence[Statement] = (),
    ) -> Function:
        equations = [*stage.pointwise, *stage.sums, *stage.totals]
        dims = self._dims([*before, *row], equations, stage.dim)
        named = {d: f"SIZE_{d}(at)" for d in self.kernel.program.facts.sizes}
        totals = [(c_name(e.target, 0), size(ir.width(self.tensors[e.target]), named)) for e in self._totals(stage)]
        said = ", ".join(map(ids, equations))
        return Function(kind, self._name(stage), stage, said, dims, list(before), row, list(sums), totals)

    def _units(self, stage: StagePlan) -> Function:
        """Some rows of a block of units, with the tile of its products if it has one."""
        batched = [self.tensors[f.name].batched for f in stage.loads]
        loads = [self._load(stage, f) for f in stage.loads]
        found = self._function(
            stage,
            "tile" if stage.tile else "units",
            before=[s for s, rowwise in zip(loads, batched, strict=True) if not rowwise],
            row=[
                *(self._products(stage, stage.tile) if stage.tile else ()),
                *(s for s, rowwise in zip(loads, batched, strict=True) if rowwise),
                *self._lets(stage),
                *self._sums(stage, "add_lanes"),
                *self._sums_along(stage),
                *self._added(stage, "add"),
            ],
        )
        narrow = stage.tile is not None and layout.narrows(stage.tile)
        return replace(found, pitch=f"full ? V : slot_pitch({stage.dim} - unit)") if narrow else found

    def _products(self, stage: StagePlan, tile: Tile) -> Iterator[Statement]:
        block = sp.Symbol("block", integer=True) * len(tile.slots) * LANES if tile.vectors > 1 else 0
        yield Statement("tile", "tile", located("acc", block), row=tile.columns * LANES)
        for number, slot in enumerate(tile.slots):
            yield Statement("product", c_name(slot, 0), at=number)
            yield from self._store(stage, slot)

    def _row_sums(self, stage: StagePlan) -> Function:
        """A row after the other, its sums in registers."""
        loads = [self._load(stage, f) for f in stage.loads]
        added = [*self._sums_along(stage), *self._added(stage, "add_in_place")]
        registers = [replace(s, row=sp.S.Zero) for s in self._sums(stage, "add_vector")]
        row = [*loads, *self._lets(stage), *registers, *added]
        sizes = {ir.dimension(d): sp.Symbol(f"SIZE_{d}(at)", integer=True) for d in self.kernel.program.facts.sizes}
        sums = [replace(s, row=s.row.xreplace(sizes)) for s in self._sums(stage, "sum")]
        return self._function(stage, "sums", row=row, sums=sums)

    def _scalars(self, stage: StagePlan) -> Function:
        """The numbers of a row."""
        totals = stage.totals if stage.dim is None else []
        equations = [*stage.scalars, *totals]
        row = [
            Statement("number", f.c, row=self._row(f) if self.tensors[f.name].batched else sp.S.Zero)
            for f in stage.scalar_loads
        ]
        for e in stage.scalars:
            row.append(Statement("let_number", c_name(e.target, 0), self.expression(e), ids=ids(e)))
            row += self._store(stage, e.target, "store_number")
        row += [self._add(e, "add_number") for e in totals]
        dims = self._dims(row, equations)
        return Function("scalars", f"{self._name(stage)}_rows", stage, ", ".join(map(ids, equations)), dims, row=row)


def ids(equation: Equation) -> str:
    """The IDs of an equation, as a comment has them."""
    return ", ".join(equation.ids)


def is_partial(equation: Equation, stage: StagePlan, tensors: dict[str, Tensor]) -> bool:
    """Whether a sum of a stage is added up over outer dimensions too, beside or instead of the innermost one."""
    own = ir.unit_indices(equation.lhs, tensors)
    return not set(list(ir.axes(equation, tensors))[:-1]) <= set(own)


def has_row_sums(stage: StagePlan, tensors: dict[str, Tensor]) -> bool:
    """Whether a stage without products adds up the units of the innermost dimension."""
    return not stage.tile and any(not is_along(e.lhs, e, tensors) for e in stage.sums)


def scalars(stage: StagePlan) -> bool:
    """Whether a stage computes numbers of rows."""
    return bool(stage.scalars or (stage.totals and stage.dim is None))
