"""The functions of a stage: what each loads, computes and stores, statement by statement.

templates/c/stages.j2 has a macro for each kind of function and for each kind of statement.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import sympy as sp
from sympy.tensor.indexed import Indexed

from derive import ir
from derive.backends.c import layout
from derive.backends.c.addresses import located, rows, stride
from derive.backends.c.kernel import Field, Kernel, StagePlan, Tile
from derive.backends.c.target import LANES
from derive.backends.shared.names import c_name
from derive.backends.shared.printer import Expression
from derive.backends.shared.values import from_afar, has_units, integrand
from derive.ir import ROW, Equation


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


@dataclass(frozen=True)
class Function:
    """A C function.  kind: "tile" and "units" go through units and rows, "sums" row by row, "scalars" through numbers of rows.

    dims: the sizes that statements mention.  before, row: statements before the rows, and for each.  sums: what a row begins
    and ends with, in registers.  totals: the variables that are added up over all rows.  pitch: C for the distance from one
    product of a unit to the next.
    """

    kind: str
    name: str
    stage: StagePlan
    ids: str
    dims: list[str]
    before: list[Statement] = field(default_factory=list)
    row: list[Statement] = field(default_factory=list)
    sums: list[Statement] = field(default_factory=list)
    totals: list[str] = field(default_factory=list)
    pitch: str = "V"


class Stages:
    """The functions of the stages of one kernel."""

    def __init__(self, kernel: Kernel) -> None:
        self.kernel, self.tensors = kernel, kernel.program.tensors

    def functions(self, stage: StagePlan) -> list[Function]:
        """The functions of a stage, those of its units first."""
        found = []
        if stage.tile or stage.pointwise or stage.sums or (stage.totals and stage.dim is not None):
            found.append(self._row_sums(stage) if stage.sums and not stage.tile else self._units(stage))
        if scalars(stage):
            found.append(self._scalars(stage))
        return found

    # -- expressions ---------------------------------------------------------------------------------------------------

    def _is_vector(self, access: sp.Expr) -> bool:
        return self._has_units(ir.name_of(access))

    def _has_units(self, name: str) -> bool:
        return has_units(self.tensors[name])

    def _spelled(self, access: sp.Expr) -> str:
        by = ir.offset(ir.time_of(access, self.tensors)) if isinstance(access, Indexed) else 0
        return c_name(ir.name_of(access), by or 0)

    def expression(self, rhs: sp.Expr) -> str:
        """C for a right-hand side."""
        return Expression(self._spelled, self._is_vector, from_afar(rhs, self.tensors)).print(ir.without_guards(rhs))

    def _vector(self, rhs: sp.Expr) -> str:
        text = self.expression(rhs)
        return text if any(self._is_vector(a) for a in rhs.atoms(Indexed)) else f"splat({text})"

    def _dims(self, stage: StagePlan, equations: list[Equation], fields: list[Field], own: bool) -> list[str]:
        """The dimensions that statements mention, in the order of the program."""
        found = {str(s) for e in equations for s in e.rhs.free_symbols if s.is_integer}
        found |= {str(f.place.dim) for f in fields if f.place.dim is not None}
        found |= {str(stage.dim)} if own and stage.dim is not None else set()
        return [d for d in self.kernel.program.facts.sizes if d in found]

    # -- statements ----------------------------------------------------------------------------------------------------

    def _row(self, item: Field) -> sp.Expr:
        return ROW * stride(item, rows(item.place, self.kernel.direction, self.kernel.mirrored))

    def _load(self, item: Field) -> Statement:
        """A value of each unit of a row, or of all rows alike; or one number of a row."""
        row = self._row(item) if self.tensors[item.name].batched else sp.Integer(0)
        return Statement("load" if self._has_units(item.name) else "number", item.c, row=row)

    def _store(self, stage: StagePlan, name: str, kind: str = "store") -> list[Statement]:
        item = stage.stores.get(name)
        if item is None:
            return []
        return [Statement(kind, item.c, row=self._row(item), guard=f"if (at->{item.c}) " if item.optional else "")]

    def _lets(self, stage: StagePlan) -> list[Statement]:
        found = []
        for e in stage.pointwise:
            found += [
                Statement("let", c_name(e.target, 0), self._vector(e.rhs), ids=ids(e)),
                *self._store(stage, e.target),
            ]
        return found

    def _sums(self, stage: StagePlan, kind: str) -> list[Statement]:
        return [
            replace(self._add(e, kind), row=self._row(stage.stores[e.target]), at=n)
            for n, e in enumerate(stage.sums, 1)
        ]

    def _totals(self, stage: StagePlan) -> list[Equation]:
        return [e for e in stage.totals if self._has_units(e.target)]

    def _added(self, stage: StagePlan, kind: str) -> list[Statement]:
        return [self._add(e, kind) for e in self._totals(stage)]

    def _add(self, e: Equation, kind: str) -> Statement:
        return Statement(kind, c_name(e.target, 0), self.expression(integrand(e.rhs)), ids=ids(e))

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
        fields = [*stage.loads, *stage.stores.values(), *stage.scalar_loads]
        dims = self._dims(stage, [*equations, *stage.scalars], fields, own=True)
        totals = [c_name(e.target, 0) for e in self._totals(stage)]
        said = ", ".join(map(ids, equations))
        return Function(kind, self._name(stage), stage, said, dims, list(before), row, list(sums), totals)

    def _units(self, stage: StagePlan) -> Function:
        """Some rows of a block of units, with the tile of its products if it has one."""
        batched = [self.tensors[f.name].batched for f in stage.loads]
        loads = [self._load(f) for f in stage.loads]
        found = self._function(
            stage,
            "tile" if stage.tile else "units",
            before=[s for s, rowwise in zip(loads, batched, strict=True) if not rowwise],
            row=[
                *(self._products(stage, stage.tile) if stage.tile else ()),
                *(s for s, rowwise in zip(loads, batched, strict=True) if rowwise),
                *self._lets(stage),
                *self._sums(stage, "add_lanes"),
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
        loads = [self._load(f) for f in stage.loads]
        added = self._added(stage, "add_in_place")
        row = [*loads, *self._lets(stage), *self._sums(stage, "add_vector"), *added]
        return self._function(stage, "sums", row=row, sums=self._sums(stage, "sum"))

    def _scalars(self, stage: StagePlan) -> Function:
        """The numbers of a row."""
        totals = stage.totals if stage.dim is None else []
        equations = [*stage.scalars, *totals]
        row = [Statement("number", f.c, row=self._row(f)) for f in stage.scalar_loads]
        for e in stage.scalars:
            row.append(Statement("let_number", c_name(e.target, 0), self.expression(e.rhs), ids=ids(e)))
            row += self._store(stage, e.target, "store_number")
        row += [self._add(e, "add_number") for e in totals]
        dims = self._dims(stage, equations, stage.scalar_loads, own=False)
        return Function("scalars", f"{self._name(stage)}_rows", stage, ", ".join(map(ids, equations)), dims, row=row)


def ids(equation: Equation) -> str:
    """The IDs of an equation, as a comment has them."""
    return ", ".join(equation.ids)


def scalars(stage: StagePlan) -> bool:
    """Whether a stage computes numbers of rows."""
    return bool(stage.scalars or (stage.totals and stage.dim is None))
