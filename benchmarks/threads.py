"""Whether `split.choose` spreads calls over threads as the clock would: each call in all ways, in turns.

python -m benchmarks threads            writes benchmarks/results/threads.json and threads.md
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmarks.machine import processor
from benchmarks.measure import interleave
from benchmarks.shapes import ITEMSIZE, LSTM, Shape
from benchmarks.stats import geometric_mean, spread
from derive.generated import lstm
from derive.runtime import Cell
from derive.runtime.core import problem as problems
from derive.runtime.core.split import Split, choose, cpus

NAME, TABLE = "threads.json", "threads.md"
OPERATIONS = ("infer", "loss_and_grad")
# Beside the shapes of the benchmark: small and large networks, few and many sequences, short and long ones.
MORE = [Shape(T, B, H, H) for H in (32, 128, 384) for B in (1, 4, 16) for T in (5, 100)]


class Case(NamedTuple):
    """One call: microseconds of each way to spread it, by the name of the way."""

    op: str
    dtype: str
    shape: Shape
    microseconds: dict[str, float]

    @property
    def weights(self) -> int:
        """Numbers in all parameters of the LSTM."""
        return 4 * self.shape.H * (self.shape.I + self.shape.H + 1)

    def chosen(self, processors: int) -> str:
        """The way that the runtime takes by itself."""
        T, B, _, _ = self.shape
        size = ITEMSIZE[self.dtype]
        return choose(self.op, T, B, self.weights, itemsize=size, processors=processors, units=True).kind

    def regret(self, processors: int) -> float:
        """Time of the chosen way over that of the fastest one."""
        return self.microseconds[self.chosen(processors)] / min(self.microseconds.values())


def run(say: Callable[[str], None], seconds: float = 0.3) -> dict[str, Any]:
    """Measure all calls on all processors. Returns what the results file holds."""
    processors = cpus()
    cases = []
    for shape in [*LSTM, *MORE]:
        for dtype in ITEMSIZE:
            for op in OPERATIONS:
                case = _measured(op, dtype, shape, processors, seconds)
                cases.append(case)
                say(f"{op} {dtype} {shape}: {case.chosen(processors)}, {case.regret(processors):.2f} of the fastest")
    return {
        "machine": processor(),
        "processors": processors,
        "cases": [{**case._asdict(), "shape": list(case.shape)} for case in cases],
    }


def _measured(op: str, dtype: str, shape: Shape, processors: int, seconds: float) -> Case:
    T, B, I, H = shape
    random = np.random.default_rng(0)
    params = lstm.init_params(I, H, seed=0, dtype=np.dtype(dtype))
    x = random.standard_normal((T, B, I)).astype(dtype)
    y = random.standard_normal((T, B, H)).astype(dtype)
    ways = {"one": 1, "batch": min(processors, B), "units": processors}
    calls = {kind: _call(Split(kind, n), op, x, y, params) for kind, n in ways.items() if kind == "one" or n > 1}
    times = interleave(calls, seconds, lambda number: None)
    return Case(op, dtype, shape, {kind: spread(found.seconds).median * 1e6 for kind, found in times.items()})


def _call(split: Split, op: str, x: Any, y: Any, params: Mapping[str, Any]) -> Callable[[], object]:
    """The call, spread in this way: a cell of its own, which remembers the choice that it was given the first time."""
    cell = Cell(lstm.SPEC, lstm._kernels)

    def call() -> object:
        return cell.infer(x, params) if op == "infer" else cell.loss_and_grad(x, y, params, wrt="params")

    with _choosing(split):
        call()
    return call


@contextmanager
def _choosing(split: Split) -> Iterator[None]:
    before = problems.choose
    problems.choose = lambda *args, **options: split  # type: ignore[assignment]
    try:
        yield
    finally:
        problems.choose = before


def read(folder: Path) -> tuple[int, list[Case]]:
    """The processors and the calls of a results file."""
    found = json.loads((folder / NAME).read_text(encoding="utf-8"))
    return found["processors"], [Case(**{**case, "shape": Shape(*case["shape"])}) for case in found["cases"]]


def table(found: Mapping[str, Any], processors: int, cases: list[Case]) -> str:
    """All calls, the chosen way in bold, and how far the choices are from the fastest ones."""
    regrets = [case.regret(processors) for case in cases]
    lines = [
        f"{found['machine']}, {processors} processors. Microseconds on one thread, by sequences and by units; in bold what "
        f"`derive/runtime/core/split.py` chooses. Over the fastest way: geometric mean {geometric_mean(regrets):.3f}, most "
        f"{max(regrets):.2f}.",
        "",
        "| T, B, I, H | dtype | call | one | batch | units | chosen over fastest |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for case, regret in zip(cases, regrets, strict=True):
        cells = [_cell(case, kind, case.chosen(processors)) for kind in ("one", "batch", "units")]
        lines.append(f"| {case.shape} | {case.dtype} | {case.op} | {' | '.join(cells)} | {regret:.2f} |")
    return "\n".join(lines) + "\n"


def _cell(case: Case, kind: str, chosen: str) -> str:
    if kind not in case.microseconds:
        return "–"
    text = f"{case.microseconds[kind]:.4g}"
    return f"**{text}**" if kind == chosen else text


def write(found: Mapping[str, Any], folder: Path) -> list[Path]:
    """The results file and the table."""
    made = [folder / NAME, folder / TABLE]
    folder.mkdir(parents=True, exist_ok=True)
    made[0].write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    made[1].write_text(table(found, *read(folder)), encoding="utf-8")
    return made
