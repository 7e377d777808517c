"""What a call costs, counted from the derived equations and the plan of their kernels; no clock, no compiled code.

    flop        2 for each multiply-add of a product, by its sizes; other operations as the equations have them
    bytes       each array that a kernel reads or writes, once; and the packed weights that every step reads again
    bounds      cycles that a phase cannot be faster than on a `Machine`

A phase is one kernel of a call.  With n threads and P flop per cycle and core, a step of its loop takes at least

    compute     (product flop + 2 * multiplications of the equations) / (n P)      additions are taken to be fused
    weights     bytes of the packed weights of a step that smaller caches cannot hold / bytes per cycle of the cache that
                must bring them, for the slowest one: steps traverse the weights in serpentine order
    latency     the longest chain of operations, each waiting for the last, from one step to the next

whichever is the largest: for an LSTM max(8BHK/(nP), (4HKs/n - C)/BW, latency), with K = H where W x is made before the
loop and H + I where it is made in it, and C bytes in the next smaller cache.  The phase takes the sum over its steps and
the compute of the rest, and no less than

    memory      all bytes of the phase, each once, from the smallest cache that holds them all
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from math import ceil, prod
from typing import Any

from derive.backends.c import layout
from derive.backends.c.kernel import Kernel, PhasePlan
from derive.backends.c.schedule import plan
from derive.backends.c.target import TARGET
from derive.backends.shared.printer import F32, F64
from derive.backends.shared.sizes import number
from derive.costs.machine import Machine
from derive.costs.workload import Pointwise, Product, Workload
from derive.errors import DeriveError
from derive.notation import Cell
from derive.pipeline import Model, model
from derive.runtime.core import split

CALLS = {"infer": ("infer",), "training": ("forward", "loss", "backward")}
REALS = {"float32": F32, "float64": F64}
OPERATIONS = {"infer": "infer", "training": "loss_and_grad"}  # what the runtime calls them


@dataclass(frozen=True)
class Bound:
    """Cycles that something takes at least, and why; `level`: the cache that bounds it, empty where none does."""

    why: str
    cycles: float
    level: str = ""

    def __str__(self) -> str:
        return f"{self.why} ({self.level})" if self.level else self.why


@dataclass(frozen=True)
class Phase:
    """One kernel of a call. bytes: of the caller's arrays and the tape; weights: bytes that each step reads again.

    step: what bounds one of `steps` steps.  rest: cycles of what is made for many steps at once.
    """

    name: str
    products: tuple[Product, ...]
    pointwise: Pointwise
    bytes: int
    weights: int
    workspace: int
    steps: int
    step: tuple[Bound, ...]
    rest: float
    memory: Bound

    @property
    def flop(self) -> int:
        """Of the products."""
        return sum(p.flop for p in self.products)

    @property
    def slowest(self) -> Bound:
        """What bounds a step."""
        return max(self.step, key=lambda bound: bound.cycles)

    @property
    def cycles(self) -> float:
        """The phase takes at least so many."""
        return max(self.steps * self.slowest.cycles + self.rest, self.memory.cycles)

    @property
    def binding(self) -> str:
        """What most of the bound is due to."""
        loop = self.steps * self.slowest.cycles
        if self.memory.cycles >= loop + self.rest:
            return str(self.memory)
        return str(self.slowest) if loop >= self.rest else "compute"


@dataclass(frozen=True)
class Schedule:
    """What was chosen for these sizes.

    inputs: where products such as W x are made, "hoisted" before the loop, "fused" into its tiles, or "none".  split:
    "one", "batch" or "units"; asked: the threads that the caller wanted, None where the runtime was to choose.
    """

    inputs: str
    chunk_steps: int
    tile_rows: int
    tile_vectors: int
    lanes: int
    split: str
    threads: int
    asked: int | None


@dataclass(frozen=True)
class Cost:
    """The report of one call at one set of sizes; memory in bytes, the workspace that of all threads together."""

    cell: str
    call: str
    dtype: str
    sizes: Mapping[str, int]
    machine: Machine
    schedule: Schedule
    phases: tuple[Phase, ...]
    parameters: int
    tape: int
    workspace: int

    @property
    def flop(self) -> int:
        """Of the products of all phases."""
        return sum(p.flop for p in self.phases)

    @property
    def cycles(self) -> float:
        """The call takes at least so many."""
        return sum(p.cycles for p in self.phases)

    def seconds(self, cycles: float) -> float | None:
        """Cycles as seconds, where the machine has a clock."""
        return cycles / (self.machine.clock * 1e9) if self.machine.clock else None

    def as_dict(self) -> dict[str, Any]:
        """Numbers, strings, lists and dicts only: the report as JSON has it."""
        found = asdict(self)
        for phase, shown in zip(self.phases, found["phases"], strict=True):
            for product, line in zip(phase.products, shown["products"], strict=True):
                line["flop"] = product.flop
            shown |= {"flop": phase.flop, "cycles": phase.cycles, "binding": phase.binding}
            shown["seconds"] = self.seconds(phase.cycles)
        return found | {"flop": self.flop, "cycles": self.cycles, "seconds": self.seconds(self.cycles)}


def cost(
    cell: Cell,
    sizes: Mapping[str, int],
    *,
    dtype: str = "float32",
    call: str = "training",
    threads: int | None = 1,
    machine: Machine | None = None,
) -> Cost:
    """What one call of `cell` costs: "training" is loss_and_grad, "infer" is infer.

    sizes: T, B and every dimension of the cell, by name.  threads: as the calls take it; None for as many as pay off.
    Raises DeriveError for a size that is missing, unknown or below 1, and for an unknown dtype or call.
    """
    for what, value, known in (("dtype", dtype, REALS), ("call", call, CALLS)):
        if value not in known:
            raise DeriveError(f"{what} is one of {', '.join(known)}; found {value!r}")
    if threads is not None and threads < 1:
        raise DeriveError(f"threads must be 1 or more, found {threads}")
    made = model(cell)
    sizes = _checked(made, sizes)
    machine = machine or Machine.of(dtype=dtype)
    itemsize = REALS[dtype].dtype().itemsize
    kind, count = spread(made, sizes, call, threads, itemsize)
    kernels = [k for k in plan(made) if k.name in CALLS[call]]
    counting = _Counting(sizes, dtype, machine, kind, count)
    phases = tuple(counting.phase(k) for k in kernels)
    return Cost(
        made.name,
        call,
        dtype,
        sizes,
        machine,
        counting.schedule(kernels[0], threads),
        phases,
        itemsize * sum(map(prod, _parameters(made, sizes))),
        itemsize * counting.workload(kernels[-1]).tape(),
        max(p.workspace for p in phases),
    )


def _checked(made: Model, sizes: Mapping[str, int]) -> dict[str, int]:
    wanted = ("T", "B", *made.meta["dims"])
    for problem, names in (
        ("not given", [n for n in wanted if n not in sizes]),
        ("unknown", [n for n in sizes if n not in wanted]),
        ("not a whole number from 1 on", [n for n in wanted if not _is_size(sizes.get(n))]),
    ):
        if names:
            found = ", ".join(f"{n}={sizes[n]!r}" if n in sizes else n for n in names)
            raise DeriveError(f"{made.name} needs the sizes {', '.join(wanted)}; {problem}: {found}")
    return {n: sizes[n] for n in wanted}


def _is_size(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def _parameters(made: Model, sizes: Mapping[str, int]) -> list[tuple[int, ...]]:
    return [tuple(sizes[str(d)] for d in x.dims) for x in made.primal.of_role("param")]


def spread(made: Model, sizes: Mapping[str, int], call: str, threads: int | None, itemsize: int) -> tuple[str, int]:
    """How the runtime spreads a call: ("one" | "batch" | "units", threads).  The rule is its own, in runtime/split.py."""
    shapes = _parameters(made, sizes)
    units = layout.splittable(plan(made))
    weights = sum(map(prod, shapes))
    return split.choose(
        OPERATIONS[call], sizes["T"], sizes["B"], weights, itemsize=itemsize, threads=threads, units=units
    )


class _Counting:
    """Bounds and choices at one set of sizes."""

    def __init__(self, sizes: Mapping[str, int], dtype: str, machine: Machine, kind: str, threads: int) -> None:
        self.sizes, self.dtype, self.machine, self.kind, self.threads = sizes, dtype, machine, kind, threads
        self.itemsize = REALS[dtype].dtype().itemsize
        # The part of the work that the busiest thread has; by batch each thread reads all weights.
        self.rows = ceil(sizes["B"] / threads) if kind == "batch" else sizes["B"]
        self.share = self.rows / sizes["B"] if kind == "batch" else 1 / threads
        self.hoist = bool(number(TARGET.hoists, {**sizes, "S": sizes["B"]}))

    def workload(self, kernel: Kernel) -> Workload:
        """The work of a kernel, all threads together."""
        return Workload(kernel, self.sizes, REALS[self.dtype].dtype, self.hoist)

    def phase(self, kernel: Kernel) -> Phase:
        """The bounds of one kernel."""
        work, T = self.workload(kernel), self.sizes["T"]
        products = work.products()
        # The edge is the step that the last one lacks: together they are T.
        flop = sum(p.flop for p in products if p.kind == "recurrent") / T
        in_step, other = work.loop_pointwise(), work.other_pointwise()
        weights = self.itemsize * work.step_weights()
        cycles, level = self.machine.reading_again(weights, self.threads if self.kind == "units" else 1)
        step = (
            Bound("compute", self._compute(flop, in_step.slots)),
            Bound("weights", cycles, level),
            Bound("latency", work.chain() * self.machine.latency),
        )
        rest = self._compute(sum(p.flop for p in products) - flop * T, other.slots)
        size = self.itemsize * work.traffic()
        level = self.machine.level(size)
        memory = Bound("memory", size / self.machine.bandwidth[level] / self.threads, level)
        part = {**self.sizes, "B": self.rows} if self.kind == "batch" else self.sizes
        room = Workload(kernel, part, REALS[self.dtype].dtype, self.hoist).workspace(
            TARGET.isa[self.machine.isa], self.itemsize
        ) * (self.threads if self.kind == "batch" else 1)
        pointwise = in_step.times(T) + other
        return Phase(kernel.name, products, pointwise, size, weights, room, T, step, rest, memory)

    def _compute(self, flop: float, slots: float) -> float:
        return (flop + 2 * slots) * self.share / self.machine.peak

    def schedule(self, kernel: Kernel, asked: int | None) -> Schedule:
        """The choices for the forward kernel of the call."""
        tiles = [s.tile for s in kernel.loop_stages if s.tile]
        known = [g for t in tiles for g in t.segments if g.hoistable]
        first = next((n for n, p in enumerate(kernel.parts) if p.is_loop), len(kernel.parts))
        large = [g for p in kernel.parts[:first] if isinstance(p, PhasePlan) for g in p.gemms]
        before = bool(large or (known and self.hoist))
        inputs = "hoisted" if before else "fused" if known else "none"
        columns = max((min(t.columns, TARGET.tile_vectors) for t in tiles), default=TARGET.tile_vectors)
        part = Workload(kernel, {**self.sizes, "B": self.rows}, REALS[self.dtype].dtype, self.hoist)
        rows = min(self.machine.rows, self.rows)
        return Schedule(
            inputs, part.steps, rows, columns, self.machine.lanes(self.dtype), self.kind, self.threads, asked
        )
