"""The plan of a kernel: records of everything that the C template writes down line by line.  schedule.py makes them."""

from __future__ import annotations

from dataclasses import dataclass, field

import sympy as sp

from derive.backends.shared.orientation import Shift
from derive.ir import Equation, Program, Space
from derive.passes.lower.lowered import OverSpace, over
from derive.passes.storage import Place, Region, Storage


def groups(outer: Space) -> list[tuple[sp.Symbol, sp.Symbol]]:
    """The loops over the outer dimensions of a space: variable and size of each."""
    return [(sp.Symbol(f"group{n}", integer=True), dim) for n, dim in enumerate(outer, 1)]


def along(shift: Shift) -> sp.Expr:
    """Values by which something has moved in these loops."""
    return sp.Add(*(sp.Symbol(f"group{n}", integer=True) * values for n, values in enumerate(shift, 1)))


def group(outer: Space) -> sp.Expr:
    """The number of the unit of the outer dimensions."""
    found: sp.Expr = sp.Integer(0)
    for variable, dim in groups(outer):
        found = found * dim + variable
    return found


@dataclass(frozen=True)
class Field:
    """A pointer that a stage uses: the tensor `name` at `offset` steps, under the C name `c`.

    `optional`: the caller may pass NULL for the array, and then nothing is stored.
    """

    c: str
    name: str
    offset: int
    place: Place
    written: bool
    only_end: bool = False
    optional: bool = False


@dataclass(frozen=True)
class Weight:
    """A block of an array as a matrix: element (k, column) at base + k*k_stride + column*c_stride.

    `count` such matrices belong to a gate; `shift` leads from one to the next, or to the columns of the next group of units.
    """

    place: Place
    rows: sp.Expr
    columns: sp.Expr
    transposed: bool
    count: sp.Expr = sp.S.One
    shift: Shift = ()

    @property
    def start(self) -> sp.Expr:
        """Values before the matrix."""
        return self.place.slot * self.count * self.rows * self.columns + along(self.shift)


@dataclass(frozen=True)
class Gemm:
    """C[M rows of the chunk][N] (+)= A[M][K] * weight; with a `batch` one such product for each of its units."""

    ids: tuple[str, ...]
    text: str
    operand: Place
    offset: int
    target: Place
    weight: Weight
    n: sp.Expr
    k: sp.Expr
    accumulate: bool
    optional: str
    pack: str
    batch: Space = ()
    operand_shift: Shift = ()
    target_shift: Shift = ()


@dataclass(frozen=True)
class Pack:
    """An operand of weight gradients, packed for all that use it: `strips` on the left, `panels` on the right."""

    name: str
    kind: str
    operand: Place
    offset: int
    width: sp.Expr
    shift: Shift = ()


@dataclass(frozen=True)
class Reduce:
    """C[M][N] (+)= left[rows][M]^T * right[rows][N], over the rows of a chunk; `accumulate`: C has a summand already.

    With a `batch` one such product for each of its units.
    """

    ids: tuple[str, ...]
    text: str
    place: Place
    left: Pack
    right: Pack
    rows: sp.Expr
    accumulate: bool = False
    batch: Space = ()

    @property
    def count(self) -> sp.Expr:
        """Numbers of the result."""
        return sp.Mul(*self.batch) * self.m * self.n

    @property
    def start(self) -> sp.Expr:
        """Values before the result in its array."""
        return self.place.slot * sp.Mul(*self.batch) * self.rows * self.n

    @property
    def m(self) -> sp.Expr:
        return self.left.width

    @property
    def n(self) -> sp.Expr:
        return self.right.width


@dataclass(frozen=True)
class Segment:
    """One operand of a tile: K values of a row, and the weights that meet them, per slot (None: zero)."""

    operand: Place
    offset: int
    k: sp.Expr
    weights: tuple[Weight | None, ...]
    hoistable: bool
    shift: Shift = ()


@dataclass(frozen=True)
class Run:
    """One call of the micro-kernel: a segment times the columns [column, column + width) of the tile.

    `start` says what the products are added to: nothing, what is `known` before the loop, or the `tile` as it is.
    `skip`: the operand is zero at the last step.
    """

    segment: int
    column: int
    width: int
    start: str
    skip: bool


@dataclass(frozen=True)
class Tile:
    """The products of a stage: for a tile of rows and a block of units, `vectors` vector columns per slot.

    Column v*slots + s is vector v of slot s.  `clear` are columns that runs add to and no known product begins; `copy`
    are those that only known products write.  `outer` are the dimensions around that of the units: a tile for each of theirs.
    """

    pack: str
    ids: tuple[str, ...]
    slots: tuple[str, ...]
    vectors: int
    segments: tuple[Segment, ...]
    runs: tuple[Run, ...]
    clear: tuple[tuple[int, int], ...]
    copy: tuple[tuple[int, int], ...]
    text: str
    outer: Space = ()

    @property
    def columns(self) -> int:
        return len(self.slots) * self.vectors

    @property
    def hoistable(self) -> tuple[Run, ...]:
        """The runs that a kernel may take for many steps at once."""
        return tuple(r for r in self.runs if self.segments[r.segment].hoistable)

    @property
    def carried(self) -> tuple[Run, ...]:
        return tuple(r for r in self.runs if not self.segments[r.segment].hoistable)


@dataclass
class StagePlan(OverSpace):
    """One stage as C sees it: fields to load, statements to evaluate, places to store.

    `part` says what it belongs to: "before", "phase", "loop", "edge" or "after".  `shifts`: how a field moves with the units of
    the outer dimensions of the space, by its C name.  `numbers`: the fields that are read as one number for all units of the
    innermost dimension.
    """

    name: str
    part: str
    space: Space
    tile: Tile | None
    scalars: list[Equation]
    pointwise: list[Equation]
    sums: list[Equation]
    totals: list[Equation]
    loads: list[Field] = field(default_factory=list)
    scalar_loads: list[Field] = field(default_factory=list)
    stores: dict[str, Field] = field(default_factory=dict)
    shifts: dict[str, Shift] = field(default_factory=dict)
    numbers: set[str] = field(default_factory=set)


@dataclass(frozen=True)
class PhasePlan:
    """Products over all steps of a chunk, and the stages that follow them, step by step."""

    gemms: list[Gemm]
    stages: list[StagePlan]
    is_loop: bool = False


@dataclass(frozen=True)
class LoopPlan:
    """A loop over the steps of a chunk, in which a step reads what the one before it made.

    `finals` are made in it, and copied where a row ends: a double buffer forgets them.  `regions` have a neighbouring step
    that is cleared where a row begins: all chunks, and the double buffer of this loop, which no other loop may touch.
    """

    stages: list[StagePlan]
    finals: list[Final]
    regions: list[Region]
    is_loop: bool = True

    @property
    def hoistable(self) -> list[StagePlan]:
        """The stages with products whose operands are known before the loop."""
        return [s for s in self.stages if s.tile and s.tile.hoistable]


@dataclass(frozen=True)
class Final:
    """A final state, copied to `array` where a row ends; `name` is the state, `initial` the array of its initial value."""

    equation: Equation
    name: str
    place: Place
    array: str
    initial: str


@dataclass
class Kernel:
    """Everything the template needs for one C function.

    Where sequences end at different steps: `repeated` arrays keep the last value of a row, `cleared` ones get zeros after it,
    and of `edge_results`, the gradients of initial states, a row that does not run at all has the seed of its final state.
    """

    name: str
    program: Program
    direction: int
    fields: list[Field]
    edge_fields: list[Field]
    parts: list[PhasePlan | LoopPlan]
    edge: list[StagePlan]
    reduces: list[Reduce]
    packs: list[Pack]
    regions: tuple[Region, ...]
    totals: list[tuple[str, sp.Expr | None, Place]]
    boundaries: list[Equation]
    storage: Storage
    initials: list[tuple[Place, str]] = field(default_factory=list)
    late_finals: list[Final] = field(default_factory=list)
    edge_results: list[tuple[Place, str]] = field(default_factory=list)
    repeated: list[tuple[str, str]] = field(default_factory=list)
    cleared: list[tuple[str, str]] = field(default_factory=list)
    zeros: list[tuple[Equation, Place, sp.Expr]] = field(default_factory=list)
    mirrored: bool = False
    before: list[StagePlan] = field(default_factory=list)
    after: list[StagePlan] = field(default_factory=list)

    @property
    def phases(self) -> list[PhasePlan]:
        return [p for p in self.parts if isinstance(p, PhasePlan)]

    @property
    def loops(self) -> list[LoopPlan]:
        return [p for p in self.parts if isinstance(p, LoopPlan)]

    @property
    def loop_stages(self) -> list[StagePlan]:
        """The stages of all loops."""
        return [s for loop in self.loops for s in loop.stages]

    @property
    def phase_stages(self) -> list[StagePlan]:
        """The stages of all phases."""
        return [s for phase in self.phases for s in phase.stages]

    @property
    def gemms(self) -> list[Gemm]:
        return [g for phase in self.phases for g in phase.gemms]

    @property
    def finals(self) -> list[Final]:
        return [*(f for loop in self.loops for f in loop.finals), *self.late_finals]

    @property
    def stages(self) -> list[StagePlan]:
        """All stages; those of the edge, the last to be executed, stand behind those of the loops."""
        last = max((n for n, p in enumerate(self.parts) if p.is_loop), default=-1) + 1
        before, after = ([s for p in parts for s in p.stages] for parts in (self.parts[:last], self.parts[last:]))
        return [*self.before, *before, *self.edge, *after, *self.after]

    def dump(self) -> str:
        """The plan as a person reads it: buffers, then what each part does with which products, loads and stores."""
        lines = [f"plan {self.program.name}"]
        for r in self.regions:
            lines.append(
                f"  buffer {r.name}: {r.slots} x {r.dim or 1}{', and a neighbouring step' if r.neighbour else ''}"
            )
        lines += ["  before"] * bool(self.before) + [line for stage in self.before for line in _dumped(stage)]
        for part in self.parts:
            lines.append("  loop" if isinstance(part, LoopPlan) else "  phase")
            if isinstance(part, PhasePlan):
                for g in part.gemms:
                    lines.append(
                        f"    gemm [{', '.join(g.ids)}] N={g.n} K={g.k}{' +=' if g.accumulate else ''}: {g.text}"
                    )
            for stage in part.stages:
                lines += _dumped(stage)
        for title, stages in (("edge", self.edge), ("after", self.after)):
            lines += [f"  {title}"] * bool(stages) + [line for stage in stages for line in _dumped(stage)]
        for x in self.reduces:
            lines.append(f"  weight gradient [{', '.join(x.ids)}] {x.place.array}: M={x.m} N={x.n}: {x.text}")
        lines += [f"  final {x.array} = {x.name}[T]" for x in self.finals]
        lines += [f"  zero {place.array}" for _, place, _ in self.zeros]
        return "\n".join(lines)


def _dumped(stage: StagePlan) -> list[str]:
    lines = [f"    {stage.name} over {over(stage.space)}"]
    if stage.tile:
        t = stage.tile
        lines.append(f"      tile [{', '.join(t.ids)}] of {len(t.slots)} slots x {t.vectors} vectors: {t.text}")
        for s in t.segments:
            known = ", known before the loop" if s.hoistable else ""
            lines.append(
                f"        K={s.k} from {s.operand.array or s.operand.kind}[t{f'{s.offset:+}' if s.offset else ''}]{known}"
            )
    loads = ", ".join(f.c for f in [*stage.scalar_loads, *stage.loads])
    lines += [f"      load {loads}"] if loads else []
    kinds = (("row", stage.scalars), ("unit", stage.pointwise), ("sum", stage.sums), ("total", stage.totals))
    lines += [f"      {kind:<5} {e}" for kind, equations in kinds for e in equations]
    stores = ", ".join(f"{name} -> {f.place.array}" for name, f in stage.stores.items())
    return [*lines, *([f"      store {stores}"] if stores else [])]
