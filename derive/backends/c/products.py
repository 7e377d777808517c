"""The products of a kernel as calls of C: of the micro-kernel in a tile, of the large products, of what packs weights.

templates/c/tiles.j2 has the loops around them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial

import sympy as sp

from derive.backends.c import layout
from derive.backends.c.addresses import Rows, Steps, located, rows, steps
from derive.backends.c.kernel import Gemm, Kernel, Run, StagePlan, Tile, Weight, along, group, groups
from derive.backends.c.target import LANES
from derive.backends.shared.orientation import Shift
from derive.backends.shared.sizes import FIRST, Blocks, Least, Quotient, RoundUp, size
from derive.ir import ROW, Space
from derive.passes.storage import Place

UNIT, WIDTH, PITCH, VECTOR = sp.symbols("unit width pitch v", integer=True, positive=True)
NEXT = sp.Symbol("n", integer=True)  # the first unit of a vector


@dataclass(frozen=True)
class Call:
    """A call of the micro-kernel: k values of the rows at `a` meet `panels`; sums begin at `source` and go to `to`, `span` of
    the `columns` values of a row of the tile.

    kind: "call"; "call_before_end" leaves the operand out at the last step, where it is zero; "call_together" may take a
    second operand, that of the call `first`, into the same sums.
    """

    kind: str
    width: str
    few: str
    k: sp.Expr
    a: str
    ld: str
    panels: str
    span: sp.Expr
    columns: sp.Expr
    to: str
    source: str
    first: Call | None = None


@dataclass(frozen=True)
class Columns:
    """Columns of a tile, in values, that are cleared or copied."""

    column: sp.Expr
    width: sp.Expr


@dataclass(frozen=True)
class TileText:
    """A tile as the template sees it: the units of a block, how its panels lie, the calls that fill it.

    shape: "narrow" where the last units share vectors, "vectors" where a block has several vectors of units, else "fixed".
    depth: values in the panels of one unit.  joined: whether one call may take what is known and what is not.
    """

    tile: Tile
    name: str
    dim: sp.Symbol
    when: str
    shape: str
    block: sp.Expr
    depth: sp.Expr
    columns: sp.Expr
    known_buffer: str
    known: list[Call]
    recurrent: list[Call]
    clear: list[Columns]
    copy: list[Columns]
    joined: bool
    adds_rows: bool

    @property
    def loops(self) -> list[tuple[str, str]]:
        """The loops over outer dimensions."""
        return _loops(self.tile.outer)

    @property
    def start(self) -> sp.Expr:
        """The units of the groups before this one, as panels hold them."""
        return group(self.tile.outer) * RoundUp(self.dim, LANES)

    @property
    def known_block(self) -> sp.Expr:
        """The number of a block among those of all groups, in the buffer of known products."""
        return group(self.tile.outer) * Blocks(self.dim, self.block) + Quotient(UNIT, self.block)

    @property
    def otherwise(self) -> str:
        """C for when known products are made in the tile: unless they are hoisted, or join what is recurrent."""
        return "else if (few)" if self.joined else "else"


@dataclass(frozen=True)
class Matrix:
    """A weight as C sees it: value (k, column) at `at` + k*k_stride + column*c_stride."""

    at: str
    k_stride: sp.Expr
    c_stride: sp.Expr


@dataclass(frozen=True)
class Panels:
    """Panels of a whole matrix [k][n], of which each column has `depth` values, `before` of them those of other matrices."""

    kind = "pack_whole"
    at: str
    text: str
    guard: str
    before: sp.Expr
    depth: sp.Expr
    matrix: Matrix
    n: sp.Expr
    k: sp.Expr
    loops: list[tuple[str, str]]


@dataclass(frozen=True)
class PackColumns:
    """One vector column of a panel, or its first `room` values."""

    at: sp.Expr
    width: sp.Expr
    room: sp.Expr
    matrix: Matrix
    columns: sp.Expr
    k: sp.Expr


@dataclass(frozen=True)
class PackTile:
    """What packs the panels of a block of units, and what calls it; `groups` are (whether known, the columns of each run)."""

    kind = "pack_blocks"
    text: TileText
    groups: list[tuple[str, list[list[PackColumns]]]]


@dataclass(frozen=True)
class GemmCall:
    """A large product for all steps of a chunk."""

    kind = "gemm"
    gemm: Gemm
    guard: str
    steps: Steps
    to: str
    towards: str
    ld: str
    panels: str
    loops: list[tuple[str, str]]


def _loops(outer: Space) -> list[tuple[str, str]]:
    return [(str(variable), str(dim)) for variable, dim in groups(outer)]


def matrix(weight: Weight, units: sp.Expr | int = 0) -> Matrix:
    """A weight from a column on."""
    k_stride, c_stride = (sp.Integer(1), weight.columns) if weight.transposed else (weight.columns, sp.Integer(1))
    base = located(rows(weight.place, 1).base, weight.start)
    return Matrix(base + (f" + {size(units * c_stride)}" if units else ""), k_stride, c_stride)


class Products:
    """The calls of one kernel."""

    def __init__(self, kernel: Kernel) -> None:
        self.kernel = kernel

    def rows(self, place: Place, shift: Shift = ()) -> Rows:
        """The rows of a place, moved by the loops over outer dimensions."""
        found = rows(place, self.kernel.direction, self.kernel.mirrored)
        initial = found.initial and replace(found.initial, inner=found.initial.inner + along(shift))
        return replace(found, inner=found.inner + along(shift), initial=initial)

    def gemm(self, found: Gemm) -> GemmCall:
        """A large product."""
        target = self.rows(found.target, found.target_shift)
        guard = f"if (a->{found.optional}) " if found.optional else ""
        operand = steps(self.rows(found.operand, found.operand_shift), found.offset)
        panels = located(f"w.{found.pack}", group(found.batch) * RoundUp(found.n, LANES) * found.k)
        loops = _loops(found.batch)
        return GemmCall(found, guard, operand, target.at(FIRST), target.towards, target.stride, panels, loops)

    def packing(self) -> list[Panels | PackTile]:
        """What is packed before the first chunk."""
        found: list[Panels | PackTile] = []
        for g in self.kernel.gemms:
            guard = f"if (a->{g.optional}) " if g.optional else ""
            panels = located(f"w.{g.pack}", group(g.batch) * RoundUp(g.n, LANES) * g.k)
            own = matrix(g.weight)
            found.append(Panels(panels, "", guard, sp.Integer(0), g.k, own, g.n, g.k, _loops(g.batch)))
        for tile, dim in layout.tiles(self.kernel):
            found += self._whole(tile, dim) if layout.packs_whole(self.kernel, tile) else [self._blocks(tile, dim)]
        return found

    def _whole(self, tile: Tile, dim: sp.Symbol) -> Iterator[Panels]:
        for number, run in enumerate(tile.runs):
            segment = tile.segments[run.segment]
            weight = next(w for w in segment.weights if w is not None)
            before, depth = layout.values_before(tile, run), layout.panel_depth(tile)
            text = tile.text if not number else ""
            yield Panels(f"w.{tile.pack}", text, "", before, depth, matrix(weight), dim, segment.k, [])

    def _blocks(self, tile: Tile, dim: sp.Symbol) -> PackTile:
        text = self.tile(tile, dim, "", "", False, False)
        groups = (("known", tile.hoistable), ("carried", tile.carried))
        return PackTile(text, [(name, [list(self._columns(text, r)) for r in runs]) for name, runs in groups if runs])

    def _columns(self, text: TileText, run: Run) -> Iterator[PackColumns]:
        """The columns of the panel of a run, in each vector of units."""
        tile = text.tile
        segment, before = tile.segments[run.segment], self._before(tile, run)
        width, units = (WIDTH if layout.varies(tile) else sp.Integer(run.width)) * LANES, UNIT
        for number, weight in enumerate(
            w for w in segment.weights[run.column : run.column + run.width] if w is not None
        ):
            at, room = before + number * LANES, LANES
            if text.shape == "narrow":
                at, room = before + number * PITCH, Least(LANES, width - number * PITCH)
            elif text.shape == "vectors":
                at, units = before + (VECTOR * len(tile.slots) + number) * LANES, NEXT
            yield PackColumns(at, width, room, matrix(weight, units), text.dim - units, segment.k)

    @staticmethod
    def _before(tile: Tile, run: Run) -> sp.Expr:
        """Where the panel of a run begins in its block: the runs lie one after the other."""
        return layout.values_before(tile, run) * (WIDTH if layout.varies(tile) else 1) * LANES

    # -- tiles ---------------------------------------------------------------------------------------------------------

    def stage(self, stage: StagePlan, when: sp.Expr) -> TileText:
        """The tile of a stage in the loop over steps, or at t = 0."""
        assert stage.tile is not None and stage.dim is not None
        in_loop = stage.part == "loop"
        return self.tile(
            stage.tile, stage.dim, f"{self.kernel.name}_{stage.name}", size(when), bool(stage.sums), in_loop, when
        )

    def hoisted(self, stage: StagePlan) -> TileText:
        """The known products of a tile for all steps of a chunk."""
        assert stage.tile is not None and stage.dim is not None
        return self.tile(stage.tile, stage.dim, "", "first", False, False)

    def tile(
        self,
        tile: Tile,
        dim: sp.Symbol,
        name: str,
        when: str,
        adds_rows: bool,
        in_loop: bool,
        step: sp.Expr | None = None,
    ) -> TileText:
        """A tile of a stage; `step` None: that of a chunk, before its loop."""
        columns, joined = tile.columns * LANES, layout.joinable(tile)
        call = partial(self._call, tile, columns, step)
        known = [call(run, "acc" if step is not None else "to", "0") for run in tile.hoistable]
        recurrent = []
        for run in tile.carried if step is not None else ():
            kind = "call_together" if joined else "call_before_end" if run.skip and in_loop else "call"
            recurrent.append(call(run, "acc", "few", kind, known[0] if joined else None))
        shape = "narrow" if layout.narrows(tile) else "vectors" if tile.vectors > 1 else "fixed"
        clear, copy = ([Columns(c * LANES, n * LANES) for c, n in found] for found in (tile.clear, tile.copy))
        block, depth = tile.vectors * LANES, layout.panel_depth(tile)
        buffer = layout.hoisted(tile)
        return TileText(
            tile,
            name,
            dim,
            when,
            shape,
            block,
            depth,
            columns,
            buffer,
            known,
            recurrent,
            clear,
            copy,
            joined,
            adds_rows,
        )

    def _call(
        self,
        tile: Tile,
        columns: sp.Expr,
        step: sp.Expr | None,
        run: Run,
        to: str,
        few: str,
        kind: str = "call",
        first: Call | None = None,
    ) -> Call:
        segment = tile.segments[run.segment]
        found = self.rows(segment.operand, segment.shift)
        if step is None:
            address = (
                f"{found.at(FIRST + segment.offset)} + (ptrdiff_t)s * {found.towards}{located('', ROW * found.ld)}"
            )
            ld = found.stride
        else:
            address, ld = found.read(step, segment.offset, ROW)
        width = "width" if layout.varies(tile) else str(run.width)
        column = run.column * LANES
        sources = {"zero": "NULL", "known": located("known", column), "tile": located(to, column)}
        panels = located("panels", self._before(tile, run))
        target = located(to, column)
        return Call(
            kind,
            width,
            few,
            segment.k,
            address,
            ld,
            panels,
            run.width * LANES,
            columns,
            target,
            sources[run.start],
            first,
        )
