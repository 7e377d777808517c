"""The targets, each with what was measured: one line a target, number of threads and dtype."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

from benchmarks.peers import OURS
from benchmarks.results import Results, Row, bound_share, pairs, peak_share, ratio, rows
from benchmarks.shapes import Shape
from benchmarks.stats import geometric_mean

LEAST_RATIO = {"training": 1.2, "inference": 1.0}
MEAN_RATIO = {"training": 3.0, "inference": 1.5}
PEAK_SHARE, BOUND_SHARE, SCALING = 0.85, 0.70, 0.90
TAPE, DERIVE, COMPILE, IMPORT = 24.0, 2.0, 15.0, 0.050  # bytes; seconds


class Line(NamedTuple):
    """A target. `where` is the problem that decides, empty for a mean."""

    what: str
    target: str
    found: str
    where: str
    reached: bool


def lines(results: Results) -> list[Line]:
    """Every target for which something was measured."""
    found: list[Line] = []
    for op in ("training", "inference"):
        for dtype, threads in _settings(results):
            chosen = rows(results, cell="lstm", op=op, dtype=dtype, threads=threads)
            said = _said(dtype, threads)
            found += _against_peers(f"{op} against the best peer, {said}", op, chosen, OURS[0])
            # ONNX Runtime and PyTorch prepare a session or module before they are timed; this is ours prepared.
            found += _against_peers(f"{op} by a plan against the best peer, {said}", op, chosen, "plan")
    found += _of_the_machine(results)
    return found + _of_the_build(results)


def _settings(results: Results) -> list[tuple[str, int]]:
    return sorted({(row["dtype"], row["threads"]) for row in results["rows"]})


def _said(dtype: str, threads: int) -> str:
    return f"{dtype}, {threads} thread{'s' if threads > 1 else ''}"


def _against_peers(what: str, op: str, chosen: list[Row], name: str) -> list[Line]:
    known = [(value, row) for row in chosen if (value := ratio(row, name)) is not None]
    if not known:
        return []
    least, row = min(known, key=lambda pair: pair[0])
    mean = geometric_mean(value for value, _ in known)
    low, high = LEAST_RATIO[op], MEAN_RATIO[op]
    return [
        Line(f"{what}: least", f">= {low:.1f}x", f"{least:.2f}x", str(Shape(*row["shape"])), least >= low),
        Line(f"{what}: geometric mean", f">= {high:.1f}x", f"{mean:.2f}x", f"{len(known)} shapes", mean >= high),
    ]


def _least(what: str, target: float, chosen: Iterable[Row], share: Callable[[Row], float]) -> list[Line]:
    known = [(share(row), row) for row in chosen]
    if not known:
        return []
    least, row = min(known, key=lambda pair: pair[0])
    return [Line(what, f">= {target:.0%}", f"{least:.0%}", str(Shape(*row["shape"])), least >= target)]


def _of_the_machine(results: Results) -> list[Line]:
    found: list[Line] = []
    caches = results["machine"]["caches"]

    def large(row: Row, hidden: int) -> bool:
        return bool(row["cell"] == "lstm" and row["shape"][1] >= 32 and row["shape"][3] >= hidden)

    for dtype, threads in _settings(results):
        said = _said(dtype, threads)
        training = rows(results, cell="lstm", op="training", dtype=dtype, threads=threads)
        chosen = [row for row in training if large(row, 128)]
        found += _least(
            f"share of the FMA peak, training, B >= 32 and H >= 128, {said}", PEAK_SHARE, chosen, peak_share
        )
    for op in ("training", "inference"):
        for dtype, threads in _settings(results):
            chosen = rows(results, cell="lstm", op=op, dtype=dtype, threads=threads)
            single = [row for row in chosen if row["shape"][1] == 1]
            what = f"B = 1: share of the bound of peak and bandwidth, {op}, {_said(dtype, threads)}"
            found += _least(what, BOUND_SHARE, single, lambda row: bound_share(row, caches))
        for dtype in sorted({dtype for dtype, _ in _settings(results)}):
            what = f"two threads over one, B >= 32 and H >= 256, of what the FMA loop gains, {op}, {dtype}"
            both = list(pairs(results, lambda row: large(row, 256) and (row["op"], row["dtype"]) == (op, dtype)))  # noqa: B023
            # (t1 / t2) / (peak2 / peak1), each peak from the rounds of its own time.
            gains = {id(two): peak_share(two) / peak_share(one) for one, two in both}
            found += _least(what, SCALING, (two for _, two in both), lambda row: gains[id(row)])  # noqa: B023
    return found


def _of_the_build(results: Results) -> list[Line]:
    made = results["build"]
    limits = {
        "derive": ("deriving and emitting the LSTM, cold", DERIVE, "s"),
        "compile": ("compiling it", COMPILE, "s"),
        "import": ("importing it, beyond NumPy's own import", IMPORT, "s"),
        "tape": ("bytes of tape a step, row and unit, float32", TAPE, ""),
    }
    return [
        Line(what, f"<= {limit:g} {unit}".rstrip(), f"{made[name]:.3g} {unit}".rstrip(), "", made[name] <= limit)
        for name, (what, limit, unit) in limits.items()
        if name in made
    ]
