"""From a lowered kernel with its storage to the plan that the C template writes down line by line.

Here the products are merged: the four W_q x of an LSTM, whose weights lie one after the other and whose results do too,
are one GEMM with N = 4H; the four U_q^T d_z_q are one with K = 4H.  Recurrent products become panels: for a block of
units, the columns of all gates side by side, so that the pointwise stage finds every gate of its units in one tile.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import sympy as sp
from sympy.tensor.indexed import Indexed

from derive import ir
from derive.errors import DeriveError
from derive.ir import Equation, Program, Tensor, span
from derive.lower import Lowered, Pair, Phase, Product, Stage
from derive.notation import public_name
from derive.storage import Place, Region, Storage

TILE_VECTORS = 4
# A batch of at most so many sequences takes the known products of many steps at once: its weights are then read once for
# a chunk of steps and not once a step.  A larger batch finds them in its tiles.
HOIST_ROWS = 6


@dataclass(frozen=True)
class Field:
    """A pointer that a stage uses: the tensor `name` at `offset` steps, under the C name `c`."""

    c: str
    name: str
    offset: int
    place: Place
    written: bool
    only_end: bool = False


@dataclass(frozen=True)
class Weight:
    """A block of a parameter array as a matrix: element (k, column) at base + k*k_stride + column*c_stride."""

    array: str
    gate: int
    rows: sp.Expr
    columns: sp.Expr
    transposed: bool


@dataclass(frozen=True)
class Gemm:
    """C[M rows of the chunk][N] (+)= A[M][K] * weight."""

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


@dataclass(frozen=True)
class Pack:
    """An operand of reducing products, packed for all that use it: `strips` on the left, `panels` on the right."""

    name: str
    kind: str
    operand: Place
    offset: int
    width: sp.Expr


@dataclass(frozen=True)
class Reduce:
    """C[M][N] (+)= left[rows][M]^T * right[rows][N], over the rows of a chunk; `accumulate`: C has a summand already."""

    ids: tuple[str, ...]
    text: str
    array: str
    gate: int
    left: Pack
    right: Pack
    rows: sp.Expr
    accumulate: bool = False

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
    known: bool


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
    are those that only known products write.
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

    @property
    def columns(self) -> int:
        return len(self.slots) * self.vectors

    @property
    def known(self) -> tuple[Run, ...]:
        """The runs that a kernel may take for many steps at once."""
        return tuple(r for r in self.runs if self.segments[r.segment].known)

    @property
    def carried(self) -> tuple[Run, ...]:
        return tuple(r for r in self.runs if not self.segments[r.segment].known)


@dataclass
class StagePlan:
    """One stage as C sees it: fields to load, statements to evaluate, places to store."""

    name: str
    dim: sp.Symbol | None
    tile: Tile | None
    scalars: list[Equation]
    pointwise: list[Equation]
    sums: list[Equation]
    totals: list[Equation]
    loads: list[Field] = field(default_factory=list)
    scalar_loads: list[Field] = field(default_factory=list)
    stores: dict[str, Field] = field(default_factory=dict)


@dataclass(frozen=True)
class Round:
    """Products over all steps of a chunk, and the stages that follow them, step by step."""

    gemms: list[Gemm]
    stages: list[StagePlan]


@dataclass
class Kernel:
    """Everything the template needs for one C function."""

    name: str
    program: Program
    direction: int
    fields: list[Field]
    edge_fields: list[Field]
    rounds_before: list[Round]
    loop: list[StagePlan]
    edge: list[StagePlan]
    rounds_after: list[Round]
    reduces: list[Reduce]
    packs: list[Pack]
    regions: tuple[Region, ...]
    totals: list[tuple[str, sp.Symbol | None, Place]]
    boundaries: list[Equation]
    storage: Storage
    initials: list[tuple[Place, str]] = field(default_factory=list)
    finals: list[tuple[Equation, Place, str]] = field(default_factory=list)

    @property
    def gemms(self) -> list[Gemm]:
        return [g for r in [*self.rounds_before, *self.rounds_after] for g in r.gemms]

    @property
    def stages(self) -> list[StagePlan]:
        """All stages in the order of their execution."""
        before, after = ([s for r in rounds for s in r.stages] for rounds in (self.rounds_before, self.rounds_after))
        return [*before, *self.loop, *self.edge, *after]


def schedule(name: str, lowered: Lowered, storage: Storage) -> Kernel:
    """Lowered kernel + storage -> plan."""
    return _Scheduling(name, lowered, storage).run()


def c_name(name: str, offset: int) -> str:
    """The C variable of a tensor at an offset: c, c_prev, d_z_i_next."""
    suffix = {0: "", -1: "_prev", 1: "_next"}[offset]
    base = f"{name}{suffix}".replace("'", "_")
    return f"{base}_" if base in RESERVED else base


# Words of C and C++, and what a stage function or a macro of templates/c/ has a name for.
RESERVED = frozenset(
    """
    auto break case char const continue default do double else enum extern float for goto if inline int long
    register restrict return short signed sizeof static struct switch typedef union unsigned void volatile while
    class new delete this template typename namespace and or not xor bool true false try catch throw private public
    protected operator args real vec ivec uvec at acc row rows row0 unit lanes full block tile load store sum
    first_lanes begin finish multiply sums splat reduce least most put gemm exp tanh log sin cos sqrt size_t T B S V
    H I O ROWS PANEL DEPTH GROUP PAUSE SPLITS share meet idle FUSED SHUFFLE transpose mode restore flush_denormals
    LARGER SMALLER LIMIT SIGN MASK MASKED LANE WHERE KEEP INLINE NOINLINE ALIGNED UNROLL JOIN PUBLIC OK EMPTY
    OVERFLOW WORKSPACE X86 NULL
    """.split()
)


class _Scheduling:
    def __init__(self, name: str, lowered: Lowered, storage: Storage) -> None:
        self.name, self.lowered, self.storage = name, lowered, storage
        self.program, self.tensors = lowered.program, lowered.program.tensors
        self.fields: dict[str, Field] = {}
        self.tiles = 0
        self.packs: dict[str, int] = {}

    def run(self) -> Kernel:
        lowered, places = self.lowered, self.storage.places
        before = self._rounds("before", lowered.before)
        loop = self._plans("stage", lowered.loop, self.fields)
        after = self._rounds("after", lowered.after)
        edge_fields: dict[str, Field] = {}
        edge = self._plans("edge", lowered.edge, edge_fields, self.storage.edge)
        for plan in edge:  # the edge multiplies with the panels of the loop
            twin = next((s.tile for s in loop if s.tile and plan.tile and s.tile.text == plan.tile.text), None)
            if plan.tile and twin:
                plan.tile = replace(plan.tile, pack=twin.pack)
        phases = [*lowered.before, *lowered.after]
        all_totals = [e for s in [*lowered.loop, *(s for p in phases for s in p.stages)] for e in s.totals]
        totals = [(e.target, places[e.target].dim, places[e.target]) for e in all_totals]
        reducing = [p for phase in [*lowered.after, *lowered.before] for p in phase.products if p.kind == "reducing"]
        initials = [
            (p, p.initial) for p in dict.fromkeys(places.values()) if p.kind in ("chunk", "ring") and p.neighbour
        ]
        finals = []
        for boundary in lowered.boundaries:
            if isinstance(boundary.rhs, Indexed) and ir.time_of(boundary.rhs, self.tensors) == ir.T:
                finals.append((boundary, places[ir.name_of(boundary.rhs)], boundary.target))
        reduces = self._reduces(reducing)
        packs = list(dict.fromkeys(p for r in reduces for p in (r.left, r.right)))
        return Kernel(
            self.name,
            self.program,
            lowered.direction,
            list(self.fields.values()),
            list(edge_fields.values()),
            before,
            loop,
            edge,
            after,
            reduces,
            packs,
            self.storage.regions,
            totals,
            lowered.boundaries,
            self.storage,
            initials,
            finals,
        )

    # -- stages --------------------------------------------------------------------------------------------------------

    def _plans(
        self, prefix: str, stages: list[Stage], fields: dict[str, Field], override: dict[str, Place] | None = None
    ) -> list[StagePlan]:
        return [self._plan(f"{prefix}{p + 1}", s, fields, override or {}) for p, s in enumerate(stages)]

    def _rounds(self, prefix: str, phases: list[Phase]) -> list[Round]:
        found: list[Round] = []
        for phase in phases:
            done = sum(len(r.stages) for r in found)
            plans = [self._plan(f"{prefix}{done + p + 1}", s, self.fields, {}) for p, s in enumerate(phase.stages)]
            found.append(Round(self._gemms(phase.products), plans))
        return found

    def _plan(self, name: str, stage: Stage, fields: dict[str, Field], override: dict[str, Place]) -> StagePlan:
        tile = self._tile(stage) if stage.products else None
        plan = StagePlan(name, stage.dim, tile, stage.scalars, stage.pointwise, stage.sums, stage.totals)
        made = {e.target for e in stage.pointwise} | {p.target for p in stage.products}
        row_totals = stage.totals if stage.dim is None else []
        for equation in [*stage.pointwise, *stage.sums, *(stage.totals if stage.dim is not None else [])]:
            ends = _only_at_end(equation.rhs, self.tensors)
            for access in ir.accesses(equation.rhs, self.tensors):
                by = ir.offset(ir.time_of(access, self.tensors)) or 0
                if ir.name_of(access) in made and not by:
                    continue
                self._use(plan.loads, access, by, access in ends, fields)
        scalars_made = {e.target for e in stage.scalars}
        for equation in [*stage.scalars, *row_totals]:
            for access in ir.accesses(equation.rhs, self.tensors):
                by = ir.offset(ir.time_of(access, self.tensors)) or 0
                if ir.name_of(access) not in scalars_made or by:
                    self._use(plan.scalar_loads, access, by, False, fields)
        for target in [*(p.target for p in stage.products), *(e.target for e in stage.equations)]:
            home = override.get(target, self.storage.places[target])
            if target in [e.target for e in stage.totals]:
                home = replace(home, kind="total")
            if home.kind not in ("tile", "local"):
                plan.stores[target] = self._field(target, 0, home, True, False, fields)
        return plan

    def _use(self, loads: list[Field], access: sp.Expr, by: int, only_end: bool, fields: dict[str, Field]) -> None:
        name = ir.name_of(access)
        found = self._field(name, by, self.storage.places[name], False, only_end, fields)
        if found.c not in [f.c for f in loads]:
            loads.append(found)

    def _field(self, name: str, by: int, home: Place, written: bool, only_end: bool, fields: dict[str, Field]) -> Field:
        c = c_name(name, by)
        old = fields.get(c)
        fields[c] = Field(
            c, name, by, home, written or bool(old and old.written), only_end or bool(old and old.only_end)
        )
        return fields[c]

    # -- products ------------------------------------------------------------------------------------------------------

    def _weight(self, access: sp.Expr, target: Tensor) -> Weight:
        """The block of the parameter array behind an access W_q[a, b], seen as [k][column of the target]."""
        tensor = self.tensors[ir.name_of(access)]
        home = self.storage.places[tensor.name]
        first, _ = ir.indices_of(access, self.tensors)
        own = next(i for i in target.indices if i != ir.ROW)
        return Weight(home.array, home.slot, tensor.dims[0], tensor.dims[1], transposed=first == own)

    def _gemms(self, products: list[Product]) -> list[Gemm]:
        found: list[Gemm] = []
        for product in products:
            if product.kind != "parallel":
                continue
            for number, pair in enumerate(product.pairs):
                found.append(self._gemm(product, pair, number > 0))
        merged: list[Gemm] = []
        for item in found:
            last = merged[-1] if merged else None
            joined = _join(last, item) if last else None
            if joined is not None:
                merged[-1] = joined
            else:
                merged.append(item)
        return [replace(g, pack=self._pack_name(g.pack)) for g in merged]

    def _pack_name(self, name: str) -> str:
        """Several products may use one array, each with panels of its own."""
        self.packs[name] = self.packs.get(name, 0) + 1
        return name if self.packs[name] == 1 else f"{name}_{self.packs[name]}"

    def _gemm(self, product: Product, pair: Pair, accumulate: bool) -> Gemm:
        target = self.tensors[product.target]
        weight = self._weight(pair.weight, target)
        operand = self.storage.places[ir.name_of(pair.operand)]
        by = ir.offset(ir.time_of(pair.operand, self.tensors)) or 0
        if operand.kind in ("arg", "tape") and (by > 0 or (by < 0 and not operand.initial)):
            raise DeriveError(
                f"{self.program.name}, {product.ids[-1]}: the time-parallel product of {pair.operand} reads another "
                f"step; assign it to a tensor first"
            )
        home = self.storage.places[product.target]
        n = weight.rows if weight.transposed else weight.columns
        k = weight.columns if weight.transposed else weight.rows
        optional = home.array if home.kind == "arg" and target.role == "gradient" else ""
        return Gemm(
            product.ids,
            f"{product.target} = {pair.weight.base}*{ir.name_of(pair.operand)}",
            operand,
            by,
            home,
            weight,
            n,
            k,
            accumulate,
            optional,
            f"{weight.array}_{'rows' if weight.transposed else 'columns'}",
        )

    def _tile(self, stage: Stage) -> Tile:
        products = sorted(stage.products, key=_knowledge)
        slots = tuple(p.target for p in products)
        vectors = max(1, TILE_VECTORS // len(slots))
        segments: list[Segment] = []
        for number, product in enumerate(products):
            for pair in product.pairs:
                weight = self._weight(pair.weight, self.tensors[product.target])
                operand = self.storage.places[ir.name_of(pair.operand)]
                by = ir.offset(ir.time_of(pair.operand, self.tensors)) or 0
                k = weight.columns if weight.transposed else weight.rows
                new = Segment(operand, by, k, _one(weight, number, len(slots)), pair.known)
                segments = _add_segment(segments, new, number)
        segments.sort(key=lambda s: not s.known)
        if any(None in s.weights for s in segments):
            vectors = 1
        runs, clear, copy = _runs(segments, len(slots), vectors)
        text = "; ".join(
            f"{p.target} = " + " + ".join(f"{q.weight.base}*{q.operand.base}" for q in p.pairs) for p in products
        )
        self.tiles += 1
        ids = tuple(dict.fromkeys(i for p in products for i in p.ids))
        return Tile(f"panels_{self.tiles}", ids, slots, vectors, tuple(segments), runs, clear, copy, text)

    def _reduces(self, products: list[Product]) -> list[Reduce]:
        """One item a parameter array and operand; operands that several need are packed once."""
        found: list[Reduce] = []
        for product in products:
            home = self.storage.places[product.target]
            target = self.tensors[product.target]
            for pair in product.pairs:
                left, right = (
                    Pack("", kind, self.storage.places[ir.name_of(a)], ir.offset(ir.time_of(a, self.tensors)) or 0, dim)
                    for kind, a, dim in zip(("strips", "panels"), (pair.weight, pair.operand), target.dims, strict=True)
                )
                text = f"{product.target} = {ir.name_of(pair.weight)} {ir.name_of(pair.operand)}^T"
                item = Reduce(product.ids, text, home.array, home.slot, left, right, target.dims[0])
                last = found[-1] if found else None
                if last is not None and _stacked_on(last, item):
                    together = replace(last.left, width=last.m + item.m)
                    found[-1] = replace(
                        last, ids=(*last.ids, *item.ids), left=together, text=f"{last.text}, {item.text}"
                    )
                else:
                    found.append(item)
        names: dict[Pack, str] = {}
        for item in found:
            for pack in (item.left, item.right):
                names.setdefault(pack, f"{SIDE[pack.kind]}_{len([p for p in names if p.kind == pack.kind]) + 1}")
        named = [
            replace(r, left=replace(r.left, name=names[r.left]), right=replace(r.right, name=names[r.right]))
            for r in found
        ]
        return [
            replace(r, accumulate=any((e.array, e.gate) == (r.array, r.gate) for e in named[:k]))
            for k, r in enumerate(named)
        ]


SIDE = {"strips": "left", "panels": "right"}


def _knowledge(product: Product) -> int:
    """Slots with known products alone, with both, with carried ones alone: each kind of segment meets neighbours."""
    known = [p.known for p in product.pairs]
    return 0 if all(known) else 1 if any(known) else 2


def _one(weight: Weight, slot: int, slots: int) -> tuple[Weight | None, ...]:
    return tuple(weight if s == slot else None for s in range(slots))


def _runs(
    segments: list[Segment], slots: int, vectors: int
) -> tuple[tuple[Run, ...], tuple[tuple[int, int], ...], tuple[tuple[int, int], ...]]:
    """Calls of the micro-kernel, in order, with the columns to clear before and those that only known products write."""
    runs: list[Run] = []
    written: dict[int, bool] = {}  # column: by a known product only
    clear: list[int] = []
    for number, segment in enumerate(segments):
        for column, width in _stretches([s for s in range(slots) if segment.weights[s] is not None], vectors):
            columns = range(column, column + width)
            old = [c for c in columns if c in written]
            if old and len(old) < width:
                clear += [c for c in columns if c not in written]
                written |= {c: True for c in columns if c not in written}
            start = "zero" if not old else "known" if all(written[c] for c in columns) else "tile"
            start = "tile" if start == "known" and segment.known else start
            runs.append(Run(number, column, width, start, segment.offset > 0))
            written |= dict.fromkeys(columns, segment.known)
    copy = [c for c in sorted(written) if written[c]]
    return tuple(runs), tuple(_together(clear)), tuple(_together([c for c in copy if c not in clear]))


def _stretches(slots: list[int], vectors: int) -> list[tuple[int, int]]:
    """Neighbouring slots as (first column, columns), cut to what a micro-kernel takes."""
    if vectors > 1:  # all slots, and a block may be narrower at the end
        return [(0, len(slots) * vectors)]
    found = []
    for column, width in _together(slots):
        parts = -(-width // TILE_VECTORS)
        bounds = [width * p // parts for p in range(parts + 1)]
        found += [(column + bounds[p], bounds[p + 1] - bounds[p]) for p in range(parts)]
    return found


def _together(columns: list[int]) -> list[tuple[int, int]]:
    """Sorted numbers as (first, count) of neighbours."""
    found: list[tuple[int, int]] = []
    for c in sorted(columns):
        if found and sum(found[-1]) == c:
            found[-1] = (found[-1][0], found[-1][1] + 1)
        else:
            found.append((c, 1))
    return found


def _stacked_on(last: Reduce, item: Reduce) -> bool:
    """Whether two gradients lie one above the other, and their deltas side by side."""
    a, b = last.left, item.left
    return (
        last.array == item.array
        and last.right == item.right
        and a.offset == b.offset
        and item.gate == last.gate + last.m / last.rows
        and _next_to(a.operand, b.operand, last.m / last.rows)
    )


def _next_to(first: Place, second: Place, count: sp.Expr) -> bool:
    return first.region == second.region and first.array == second.array and second.slot == first.slot + count


def _join(a: Gemm, b: Gemm) -> Gemm | None:
    """Two products as one: side by side in N (same operand), or one after the other in K (same target)."""
    if a.weight.array != b.weight.array or a.weight.transposed != b.weight.transposed or a.offset != b.offset:
        return None
    many = (a.n / a.weight.rows) if a.weight.transposed else (a.k / a.weight.rows)
    if b.weight.gate != a.weight.gate + many:
        return None
    ids = (*a.ids, *(i for i in b.ids if i not in a.ids))
    text = f"{a.text}, {b.text}"
    if (
        a.weight.transposed
        and a.operand == b.operand
        and _next_to(a.target, b.target, many)
        and a.accumulate == b.accumulate
    ):
        return replace(a, ids=ids, n=a.n + b.n, text=text)
    if not a.weight.transposed and a.target == b.target and b.accumulate and _next_to(a.operand, b.operand, many):
        return replace(a, ids=ids, k=a.k + b.k, text=text)
    return None


def _add_segment(segments: list[Segment], new: Segment, slot: int) -> list[Segment]:
    """Put a pair into the segment of its operand, or after the segment that it continues."""
    weight = new.weights[slot]
    for p, old in enumerate(segments):
        if (old.operand, old.offset, old.known) == (new.operand, new.offset, new.known) and old.weights[slot] is None:
            return [
                *segments[:p],
                replace(old, weights=(*old.weights[:slot], weight, *old.weights[slot + 1 :])),
                *segments[p + 1 :],
            ]
        first = old.weights[slot]
        if (
            first is not None
            and weight is not None
            and len(new.weights) == 1
            and not weight.transposed
            and first.array == weight.array
            and (old.offset, old.known) == (new.offset, new.known)
        ):
            many = old.k / first.rows
            if weight.gate == first.gate + many and _next_to(old.operand, new.operand, many):
                return [*segments[:p], replace(old, k=old.k + new.k), *segments[p + 1 :]]
    return [*segments, new]


def _only_at_end(rhs: sp.Expr, tensors: dict[str, Tensor]) -> set[sp.Expr]:
    """Accesses of terms that live at t = T only: their pointers are zeros at all other steps."""
    found: set[sp.Expr] = set()
    for term in ir.terms(rhs):
        # Inside of the loop 1 <= t <= T holds; lower.py leaves such a term out at the edge.
        guards = [g for g in term.atoms(span) if g.args[1:] != (1, ir.T)]
        if not guards:
            continue
        if any(g.args[1:] != (ir.T, ir.T) for g in guards):
            raise DeriveError(f"the term {term} lives on a range of time that has no lowering yet")
        reads = [a for a in ir.accesses(term, tensors) if tensors[ir.name_of(a)].role == "seed"]
        if not reads:
            raise DeriveError(f"the term {term} lives at t = T only but reads no seed")
        found |= set(reads)
    return found


def argument_places(program: Program) -> dict[str, Place]:
    """The tensors that the caller owns, by the names of the public interface."""
    gates = list(program.meta["gates"])
    places: dict[str, Place] = {}
    output = program.meta["output"]
    for tensor in program.tensors.values():
        name = tensor.name
        primal = program.tensors[tensor.primal] if tensor.primal in program.tensors else tensor
        dim = next((d for d in tensor.dims if d != ir.B), None)
        if primal.role == "param" and tensor.role in ("param", "gradient"):
            array, slot = parameter(program, primal)
            prefix = "d_" if tensor.role == "gradient" else ""
            places[name] = Place(
                "arg", prefix + array, slot, len(gates) if slot or _stacked(program, primal) else 1, dim
            )
        elif tensor.role in ("input", "target"):
            places[name] = Place("arg", "y" if tensor.role == "target" else _input(program, name), dim=dim, timed=True)
        elif name == output:
            places[name] = Place("arg", "out", dim=dim, timed=True, initial=initial_of(program, name))
        elif tensor.role == "gradient" and primal.role == "input":
            places[name] = Place("arg", f"d_{_input(program, primal.name)}", dim=dim, timed=True)
        elif tensor.role == "seed":
            places[name] = Place(
                "arg", "d_out" if tensor.time is not None else name, dim=dim, timed=tensor.time is not None
            )
        elif tensor.role in ("initial", "final") or (tensor.role == "gradient" and primal.role == "initial"):
            places[name] = Place("arg", name, dim=dim)
        elif tensor.role == "loss":
            places[name] = Place("arg", "loss")
    return places


def initial_of(program: Program, name: str) -> str:
    """The argument that stands for a state at t = 0; empty for what is no state."""
    return f"{name}_0" if name in program.meta["states"] else ""


def _input(program: Program, name: str) -> str:
    return "out" if name == program.meta["output"] else "x"


def _stacked(program: Program, tensor: Tensor) -> bool:
    """Whether the arrays of a family are stacked in one public array: it must have a member for every gate."""
    gates = list(program.meta["gates"])
    members = [x.member for x in program.tensors.values() if x.family == tensor.family and x.role == "param"]
    return bool(tensor.family) and bool(gates) and sorted(members) == sorted(gates)


def parameter(program: Program, tensor: Tensor) -> tuple[str, int]:
    """The public array of a parameter and the gate's position in it."""
    gates = list(program.meta["gates"])
    base = public_name(program, tensor)
    if _stacked(program, tensor):
        return base, gates.index(tensor.member)
    return (f"{base}_{tensor.member}" if tensor.member else base), 0
