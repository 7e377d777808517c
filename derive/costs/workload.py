"""The work of a scheduled kernel as numbers: its products, its pointwise operations, its memory, its chain of steps."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import astuple, dataclass
from math import ceil, inf, log2, prod
from typing import Any

import sympy as sp
from sympy.tensor.indexed import Indexed

from derive import ir
from derive.backends.c import layout
from derive.backends.c.kernel import Kernel, Segment, StagePlan, Tile
from derive.backends.c.target import TARGET, InstructionSet
from derive.backends.shared.sizes import number
from derive.ir import Equation, functions
from derive.passes.simplify import operations

CHAINS = 4  # partial sums that one number of a product is cut into, at most


@dataclass(frozen=True)
class Product:
    """C[m][n] += A[m][k] * B[k][n], `times` times; `weights`: numbers that each time reads again, of packed parameters.

    kind: parallel, recurrent or weight gradient.  optional: the result that the caller may leave out.
    """

    ids: tuple[str, ...]
    kind: str
    m: int
    n: int
    k: int
    times: int
    weights: int = 0
    optional: str = ""

    @property
    def flop(self) -> int:
        """Two for each multiply-add."""
        return 2 * self.m * self.n * self.k * self.times


@dataclass(frozen=True)
class Pointwise:
    """Operations of the equations that are no products, over all steps, sequences and units.

    `calls` are those of transcendental functions.  `slots`: passes through a multiplier, those of the polynomials that
    the calls are made of included; an addition may ride along.
    """

    multiplications: int = 0
    additions: int = 0
    divisions: int = 0
    calls: int = 0
    slots: int = 0

    def __add__(self, other: Pointwise) -> Pointwise:
        return Pointwise(*(a + b for a, b in zip(astuple(self), astuple(other), strict=True)))

    def times(self, count: int) -> Pointwise:
        """The same, `count` times."""
        return Pointwise(*(a * count for a in astuple(self)))


class Workload:
    """One kernel at one set of sizes (T, B and the dimensions, as given by name), in one dtype.

    hoist: whether products that are known before the loop and belong to its tiles are made for many steps at once.
    """

    def __init__(self, kernel: Kernel, sizes: Mapping[str, int], dtype: type, hoist: bool) -> None:
        self.kernel, self.sizes, self.hoist = kernel, sizes, hoist
        self.tensors = kernel.program.tensors
        # exp: the four multiplications that reduce its argument wait for one another, and its polynomial is a tree at best.
        coefficients = len(functions.exponential(dtype).coefficients)
        self.dtype, self.polynomial_depth = dtype, 5 + ceil(log2(coefficients + 1))

    def number(self, expr: sp.Expr | int) -> int:
        """A size in numbers."""
        return number(expr, self.sizes)

    @property
    def steps(self) -> int:
        """Steps of time that are taken together."""
        return number(TARGET.chunk_steps, {**self.sizes, "DEPTH": TARGET.depth})

    # -- products ------------------------------------------------------------------------------------------------------

    def products(self) -> tuple[Product, ...]:
        """All products of the kernel, those of the loop once for all its steps."""
        T, B = self.sizes["T"], self.sizes["B"]
        found = [
            Product(
                g.ids, "parallel", T * B, self.number(sp.Mul(*g.batch) * g.n), self.number(g.k), 1, optional=g.optional
            )
            for g in self.kernel.gemms
        ]
        for stages, edge in ((self.kernel.loop_stages, False), (self.kernel.edge, True)):
            found += [p for s in stages for p in self._tile(s, edge)]
        for r in self.kernel.reduces:
            found.append(
                Product(r.ids, "weight gradient", self.number(sp.Mul(*r.batch) * r.m), self.number(r.n), T * B, 1)
            )
        return tuple(p for p in found if p.times)

    def _tile(self, stage: StagePlan, edge: bool) -> Iterable[Product]:
        T, B = self.sizes["T"], self.sizes["B"]
        tile, width = stage.tile, self.number(sp.Mul(*stage.space))
        if tile is None:
            return
        for segment in tile.segments:
            n, k = width * sum(w is not None for w in segment.weights), self.number(segment.k)
            if self._ahead(segment):
                yield Product(tile.ids, "parallel", T * B, n, k, 1)
            else:
                # What comes from the step behind is not there at the last one.
                times = 1 if edge else T - 1 if segment.offset > 0 else T
                yield Product(tile.ids, "recurrent", B, n, k, times, n * k)

    def step_weights(self) -> int:
        """Numbers of packed weights that one step of the loop reads."""
        return sum(p.weights for stage in self.kernel.loop_stages for p in self._tile(stage, edge=False))

    def _ahead(self, segment: Segment) -> bool:
        """Whether the products of a segment are made before the loop."""
        return self.hoist and segment.hoistable

    # -- equations -----------------------------------------------------------------------------------------------------

    def loop_pointwise(self) -> Pointwise:
        """The equations of one step of the loop."""
        return self._stages(self.kernel.loop_stages)

    def other_pointwise(self) -> Pointwise:
        """The equations before and after the loop, over all steps, and those of the edge."""
        return self._stages(self.kernel.phase_stages).times(self.sizes["T"]) + self._stages(self.kernel.edge)

    def _stages(self, stages: Iterable[StagePlan]) -> Pointwise:
        total = Pointwise()
        for stage in stages:
            units = self.number(sp.Mul(*stage.space))
            one = sum((self._operations(e) for e in stage.scalars), Pointwise())
            many = sum((self._operations(e) for e in [*stage.pointwise, *stage.sums, *stage.totals]), Pointwise())
            total += (one + many.times(units)).times(self.sizes["B"])
        return total

    def _operations(self, equation: Equation) -> Pointwise:
        rhs = ir.without_guards(equation.rhs)
        sums = rhs.atoms(sp.Sum)
        rhs = functions.expanded(rhs.xreplace({s: s.function for s in sums}))
        found = operations(rhs)
        calls = sum(
            record.transcendental for node in sp.preorder_traversal(rhs) if (record := functions.record_of(node))
        )
        slots = found["mul"] + found["div"] + functions.slots(rhs, self.dtype)
        return Pointwise(found["mul"], found["add"] + bool(sums), found["div"], calls, slots)

    # -- memory --------------------------------------------------------------------------------------------------------

    def traffic(self) -> int:
        """Numbers in the caller's arrays and on the tape that the kernel reads or writes, each counted once."""
        equations = self.kernel.program.equations
        names = {e.target for e in equations}
        names |= {ir.name_of(a) for e in equations for a in ir.accesses(e.rhs, self.tensors)}
        return sum(self._extent(n) for n in names if n in self.places and self.places[n].kind in ("arg", "tape"))

    @property
    def places(self) -> dict[str, Any]:
        """Where the tensors of the kernel live."""
        return self.kernel.storage.places

    def tape(self) -> int:
        """Numbers on the tape."""
        return sum(self._extent(n) for n, p in self.places.items() if p.kind == "tape")

    def _extent(self, name: str) -> int:
        tensor = self.tensors[name]
        return prod(self.number(d) for d in tensor.dims) * (self.sizes["T"] if tensor.time is not None else 1)

    def workspace(self, isa: InstructionSet, itemsize: int) -> int:
        """Bytes of all buffers."""
        names = {**self.sizes, **TARGET.numbers(isa, itemsize), "steps": self.steps}
        long = number(TARGET.row_blocks, names) > TARGET.settle
        names |= {layout.HOISTS.name: self.hoist, layout.RAGGED.name: False, layout.LONG.name: long}
        counts = [number(buffer.values, names) for buffer in layout.buffers(self.kernel)]
        return sum(-(-count * itemsize // TARGET.alignment) * TARGET.alignment for count in counts)

    # -- the chain from step to step -----------------------------------------------------------------------------------

    def chain(self) -> float:
        """Operations that wait for one another between a value of one step and the same value of the next, at least."""
        stages = self.kernel.loop_stages
        accesses = [a for s in stages for e in _equations(s) for a in ir.accesses(e.rhs, self.tensors)]
        recurrent = {ir.name_of(a) for a in accesses if ir.offset(ir.time_of(a, self.tensors))}
        segments = [g for s in stages if s.tile for g in s.tile.segments if g.offset]
        recurrent |= {n for n, place in self.places.items() if any(g.operand == place for g in segments)}
        return max((self._around(name) for name in sorted(recurrent)), default=0.0)

    def _around(self, name: str) -> float:
        """The longest path from a value through one step to itself; 0 if there is none."""
        depth: dict[str, float] = {}
        for stage in self.kernel.loop_stages:
            for equation in stage.scalars:
                depth[equation.target] = self._levels(equation.rhs, depth, name)
            if stage.tile:
                for number, slot in enumerate(stage.tile.slots):
                    depth[slot] = self._product(stage.tile, number, depth, name)
            for equation in [*stage.pointwise, *stage.sums]:
                depth[equation.target] = self._levels(equation.rhs, depth, name)
        return max(depth.get(name, 0.0), 0.0)

    def _product(self, tile: Tile, slot: int, depth: Mapping[str, float], source: str) -> float:
        """How deep a product is; its partial sums wait for themselves, k/CHAINS times."""
        found = -inf
        for segment in tile.segments:
            if segment.weights[slot] is None or segment.hoistable:
                continue
            if segment.offset:
                start = 0.0 if self.places[source] == segment.operand else -inf
            else:
                start = max((d for n, d in depth.items() if self.places.get(n) == segment.operand), default=-inf)
            found = max(found, start + self.number(segment.k) / CHAINS)
        return found

    def _levels(self, expr: sp.Expr, depth: Mapping[str, float], source: str) -> float:
        """How deep an expression is; a multiplication that is added to something is one operation with the addition."""
        if isinstance(expr, Indexed):
            if ir.name_of(expr) not in self.tensors or not ir.offset(ir.time_of(expr, self.tensors)):
                return depth.get(ir.name_of(expr), -inf)
            return 0.0 if ir.name_of(expr) == source else -inf
        parts = [a for arg in expr.args for a in (arg.args if expr.is_Add and arg.is_Mul else [arg])]
        deepest = max((self._levels(a, depth, source) for a in parts if isinstance(a, sp.Expr)), default=-inf)
        record = functions.record_of(expr)
        if record is not None and record.transcendental:
            return deepest + self.polynomial_depth
        negation = expr.is_Mul and len(expr.args) == 2 and -1 in expr.args
        # relu, step and the like are a comparison and a mask, cheaper than what counts as one operation here.
        return deepest + (0 if negation or (record is not None and record.c != "fused") else 1)


def _equations(stage: StagePlan) -> list[Equation]:
    return [*stage.scalars, *stage.pointwise, *stage.sums, *stage.totals]
