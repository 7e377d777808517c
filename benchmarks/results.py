"""The results file: what it must contain, reading and writing it, and questions that all reports ask of it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from benchmarks.peers import OURS
from benchmarks.shapes import Shape, bound, level

SCHEMA = 1
FOLDER = Path(__file__).resolve().parent / "results"
NAME = "benchmarks.json"
Row = dict[str, Any]
Results = dict[str, Any]

_NUMBER = (int, float)
# What a file must have, level by level; a figure's numbers are seconds a call, counts, shares and operations.
_TOP = {"schema": int, "machine": dict, "settings": dict, "starts": list, "rows": list, "failed": list, "build": dict}
_ROW = {
    "cell": str, "shape": list, "dtype": str, "op": str, "threads": int, "flop": _NUMBER, "peak": dict, "bandwidth": dict,
    "figures": dict, "skipped": dict,
}  # fmt: skip
_FIGURE = dict.fromkeys(("median", "q1", "q3", "samples", "calls", "busy", "error", "flop"), _NUMBER)


def check(found: Any) -> Results:
    """Returns the results. Raises ValueError that names what is missing or of the wrong kind."""
    _has(found, _TOP, "the file")
    if found["schema"] != SCHEMA:
        raise ValueError(
            f"the file has schema {found['schema']}, this program reads {SCHEMA}: run the benchmarks again"
        )
    for number, row in enumerate(found["rows"]):
        where = f"rows[{number}]"
        _has(row, _ROW, where)
        if len(row["shape"]) != 4:
            raise ValueError(f"{where}: shape must be [T, B, I, H], found {row['shape']}")
        if OURS[0] not in row["figures"]:
            raise ValueError(f"{where}: no figure of {OURS[0]}")
        for name, figure in row["figures"].items():
            _has(figure, _FIGURE, f"{where}.figures.{name}")
            if not 0 < figure["q1"] <= figure["median"] <= figure["q3"]:
                raise ValueError(f"{where}.figures.{name}: quartiles and median are not positive and in order")
    return found


def _has(found: Any, wanted: dict[str, Any], where: str) -> None:
    if not isinstance(found, dict):
        raise ValueError(f"{where} must be an object, found {type(found).__name__}")
    for name, kind in wanted.items():
        if not isinstance(found.get(name), kind):
            raise ValueError(f"{where}: {name} is missing or not of the right kind, found {found.get(name)!r}")


def read(path: Path) -> Results:
    """Raises ValueError for a file that is not what `write` makes, FileNotFoundError for none."""
    return check(json.loads(path.read_text(encoding="utf-8")))


def write(path: Path, results: Results) -> None:
    """One row a line, numbers to five digits: differences between two runs stay readable."""
    check(results)
    head = {name: value for name, value in results.items() if name != "rows"}
    rows = ",\n".join("  " + json.dumps(_rounded(row)) for row in results["rows"])
    body = json.dumps(_rounded(head), indent=1)[:-2]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f'{body},\n "rows": [\n{rows}\n ]\n}}\n', encoding="utf-8")


def _rounded(value: Any) -> Any:
    match value:
        case float():
            return float(f"{value:.5g}")
        case dict():
            return {name: _rounded(entry) for name, entry in value.items()}
        case list() | tuple():
            return [_rounded(entry) for entry in value]
    return value


# ---------------------------------------------------------------------------------------------------------------------
# Questions


def rows(results: Results, **wanted: Any) -> list[Row]:
    """The rows whose fields are as `wanted` says, such as op="training", threads=1."""
    return [row for row in results["rows"] if all(row[name] == value for name, value in wanted.items())]


def seconds(row: Row, name: str = OURS[0]) -> float:
    return float(row["figures"][name]["median"])


def best_peer(row: Row) -> str | None:
    """The fastest contender that is not ours; None if there is none."""
    others = [name for name in row["figures"] if name not in OURS]
    return min(others, key=lambda name: seconds(row, name), default=None)


def ratio(row: Row, name: str = OURS[0]) -> float | None:
    """How many times faster our call, or another figure of ours, is than that of the best peer; None if one is missing."""
    best = best_peer(row)
    return None if best is None or name not in row["figures"] else seconds(row, best) / seconds(row, name)


def rate(row: Row, name: str = OURS[0]) -> float:
    """Useful flop/s: those that the problem needs, whatever else a contender computes."""
    return float(row["flop"] / seconds(row, name))


def peak_share(row: Row) -> float:
    """Flop/s of all that our call computes, over the peak of the same rounds."""
    figure = row["figures"][OURS[0]]
    return float(figure["flop"] / figure["median"] / row["peak"]["median"])


def bound_share(row: Row, caches: dict[str, int]) -> float:
    """The least time that the peak and the bandwidth of the same rounds allow, over the time of our call."""
    shape = Shape(*row["shape"])
    width = row["bandwidth"][level(shape, row["dtype"], caches, row["threads"])]
    return bound(shape, row["op"], row["dtype"], row["peak"]["median"], width) / seconds(row)


def pairs(results: Results, keep: Callable[[Row], bool]) -> Iterator[tuple[Row, Row]]:
    """Rows of the same problem on one and on two threads."""
    problem = ("cell", "shape", "dtype", "op")
    for row in rows(results, threads=1):
        if keep(row):
            yield from ((row, other) for other in rows(results, threads=2, **{name: row[name] for name in problem}))
