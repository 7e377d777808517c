"""Markdown tables from the results: all of benchmarks.md, and the shorter ones of README.md and docs/figures.md."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from benchmarks.peers import OURS, PEERS, TITLES
from benchmarks.results import Results, Row, best_peer, bound_share, peak_share, rate, ratio, rows, seconds
from benchmarks.shapes import Shape
from benchmarks.stats import Spread, geometric_mean, spread
from benchmarks.targets import lines

NOTHING = "–"
# Shapes of the table in README.md: one sequence short and long, a batch, a large layer.
SUMMARY = ((64, 1, 8, 8), (100, 1, 64, 64), (50, 32, 128, 128), (100, 64, 512, 512))
QUIET = 0.95  # share of a processor that a thread has on a machine with nothing else to do


def table(head: Sequence[str], body: Sequence[Sequence[str]]) -> str:
    """A Markdown table. Raises ValueError if a line has more or fewer entries than the head."""
    for line in body:
        if len(line) != len(head):
            raise ValueError(f"the table has {len(head)} columns, a line has {len(line)}: {line}")
    text = [f"| {' | '.join(line)} |" for line in (head, ["---"] * len(head), *body)]
    return "\n".join(text) + "\n"


def time(value: float) -> str:
    """Microseconds, to three digits or to the microsecond."""
    micro = value * 1e6
    return f"{micro:.3g}" if micro < 100 else f"{micro:.0f}"


def full(results: Results) -> str:
    """Everything that was measured."""
    parts = ["# Results\n", machine(results), "## Targets\n", targets(results)]
    for cell in dict.fromkeys(row["cell"] for row in results["rows"]):
        for op, dtype, threads in _groups(results, cell):
            chosen = rows(results, cell=cell, op=op, dtype=dtype, threads=threads)
            parts += [
                f"## {cell}, {op}, {dtype}, {threads} thread{'s' if threads > 1 else ''}\n",
                group(results, chosen),
            ]
    parts += ["## Left out\n", skipped(results)]
    return "\n".join(parts)


def _groups(results: Results, cell: str) -> list[tuple[str, str, int]]:
    found = {(row["op"], row["dtype"], row["threads"]) for row in results["rows"] if row["cell"] == cell}
    return sorted(found, key=lambda key: (key[2], key[1], key[0] == "inference"))


def machine(results: Results) -> str:
    """A paragraph on the processor, with the limits that were measured on it."""
    about, peaks = results["machine"], []
    for dtype, threads in dict.fromkeys((row["dtype"], row["threads"]) for row in results["rows"]):
        found = [row["peak"]["median"] for row in rows(results, dtype=dtype, threads=threads)]
        peaks.append(f"{min(found) / 1e9:.0f}–{max(found) / 1e9:.0f} ({dtype}, {threads})")
    caches = ", ".join(f"{name} {size >> 10} KiB" for name, size in about["caches"].items())
    widths = []
    for name in (*about["caches"], "DRAM"):
        found = [row["bandwidth"][name] for row in rows(results, threads=min(r["threads"] for r in results["rows"]))]
        widths.append(f"{name} {geometric_mean(found) / 1e9:.0f}")
    versions = ", ".join(f"{name} {number}" for name, number in about["versions"].items())
    return (
        f"{about['processor']}, {about['cpus']} processors; {caches}. Gflop/s of multiply-adds, least and most of the "
        f"run (dtype, threads): {', '.join(peaks)}. GB/s read by one core: {', '.join(widths)}. "
        f"Python {about['python']}, {versions}; {about['compiler']}.\n" + disturbed(results)
    )


def disturbed(results: Results) -> str:
    """A warning where other processes took much of the time of our calls on one thread; empty on a quiet machine."""
    alone = [row["figures"][OURS[0]]["busy"] for row in rows(results, threads=1)]
    if not alone or (share := spread(alone).median) >= QUIET:
        return ""
    return (
        f"\n**The machine was busy with other work: a thread had {share:.0%} of its processor (median). "
        "Times are too long and uneven, on two threads most of all; measure again on a quiet machine.**\n"
    )


def targets(results: Results) -> str:
    body = [
        [line.what, line.target, line.found, line.where, "yes" if line.reached else "**no**"] for line in lines(results)
    ]
    return table(["figure", "target", "measured", "at", "reached"], body)


def group(results: Results, chosen: Sequence[Row]) -> str:
    """One line a shape: our time with its spread, rate, share of the limits, then the times of all others."""
    others = [name for name in PEERS if name not in OURS and any(name in row["figures"] for row in chosen)]
    own = [name for name in OURS[1:] if any(name in row["figures"] for row in chosen)]
    single = any(row["shape"][1] == 1 for row in chosen) and chosen[0]["cell"] == "lstm"
    head = ["T, B, I, H", "ours, µs", *(TITLES[name] for name in own), "Gflop/s", "of peak"]
    head += [*(["of bound"] if single else []), *(TITLES[name] for name in others), "best peer", "times faster"]
    body = []
    for row in chosen:
        line = [str(Shape(*row["shape"])), _timed(row, OURS[0]), *(_timed(row, name) for name in own)]
        line += [f"{rate(row) / 1e9:.1f}", f"{peak_share(row):.0%}"]
        if single:
            bounded = row["shape"][1] == 1
            line.append(f"{bound_share(row, results['machine']['caches']):.0%}" if bounded else NOTHING)
        line += [_timed(row, name) for name in others]
        best, faster = best_peer(row), ratio(row)
        line += [TITLES[best] if best else NOTHING, f"{faster:.2f}" if faster else NOTHING]
        body.append(line)
    known = [faster for row in chosen if (faster := ratio(row)) is not None]
    if len(known) > 1:
        summary = (
            f"\nTimes faster than the best peer: geometric mean {geometric_mean(known):.2f}, least {min(known):.2f}.\n"
        )
        return table(head, body) + summary
    return table(head, body)


def _timed(row: Row, name: str) -> str:
    """Median, and the distance of the quartiles in percent of it."""
    figure = row["figures"].get(name)
    if figure is None:
        return NOTHING
    timing = Spread(*(figure[part] for part in Spread._fields))
    return f"{time(timing.median)} ±{timing.relative * 100:.0f}%"


def skipped(results: Results) -> str:
    """Who is missing from which tables, and why."""
    found: dict[tuple[str, str], list[str]] = {}
    for start in results["starts"]:
        for name, known in start.get("peers", {}).items():
            if "reason" in known:
                found.setdefault((TITLES[name], known["reason"]), []).append(f"{start['threads']} threads")
        if "reason" in start:
            found.setdefault(("everything", start["reason"]), []).append(f"{start['threads']} threads")
    for row in results["rows"]:
        for name, reason in row["skipped"].items():
            found.setdefault((TITLES[name], reason), []).append(f"{row['cell']} {row['op']} {row['dtype']}")
    for line in results["failed"]:
        found.setdefault(("a problem", line), []).append("")
    body = [[who, ", ".join(dict.fromkeys(where)), why.replace("|", "\\|")] for (who, why), where in found.items()]
    return table(["who", "where", "why"], body)


# ---------------------------------------------------------------------------------------------------------------------
# The tables of README.md and of docs/figures.md, by the name of their place


def readme(results: Results) -> dict[str, str]:
    """Name -> text of every table that README.md shows."""
    return {"summary": text} if (text := summary(results)) else {}


def figures(results: Results) -> dict[str, str]:
    """Name -> text of every table of docs/figures.md that the results give."""
    made = {"peers": peers(results), "cells": cells(results), "against_numpy": against_numpy(results)}
    return {name: text for name, text in made.items() if text}


def summary(results: Results, dtype: str = "float32") -> str:
    """The LSTM on the fewest threads, some shapes and the mean of all: times of calls, and how much faster than the best peer."""
    known = rows(results, cell="lstm", dtype=dtype)
    if not known:
        return ""
    fewest = min(row["threads"] for row in known)
    known = [row for row in known if row["threads"] == fewest]
    chosen = {op: [row for row in known if row["op"] == op] for op in ("inference", "training")}
    body = []
    for shape in dict.fromkeys(tuple(row["shape"]) for row in known):
        found = {op: next((row for row in of if tuple(row["shape"]) == shape), None) for op, of in chosen.items()}
        if shape in SUMMARY or len(known) <= 2 * len(SUMMARY):  # of a short run all
            body.append([str(Shape(*shape)), *(entry for row in found.values() for entry in _summed(row))])
    means: list[str] = []
    for of in chosen.values():
        ratios = [faster for row in of if (faster := ratio(row)) is not None]
        means += ["", f"**{geometric_mean(ratios):.1f}**, least {min(ratios):.1f}" if ratios else NOTHING]
    body.append([f"geometric mean of all {len({tuple(row['shape']) for row in known})} shapes", *means])
    about = results["machine"]
    packages = [name for name in ("torch", "jax", "onnxruntime", "numpy") if name in about["versions"]]
    versions = ", ".join(f"{TITLES[name]} {about['versions'][name]}" for name in packages)
    where = f"{about['processor']}, {fewest} thread{'s' if fewest > 1 else ''}, {dtype}; {versions}.\n\n"
    head = ["T, B, I, H", "inference, µs", "times faster than", "training, µs", "times faster than"]
    return where + table(head, body)


def _summed(row: Row | None) -> list[str]:
    return [time(seconds(row)), _faster(row)] if row else [NOTHING] * 2


def _faster(row: Row | None) -> str:
    if row is None or (value := ratio(row)) is None:
        return NOTHING
    best = best_peer(row)
    assert best is not None
    return f"{value:.1f} ({TITLES[best]})"


def _one(results: Results, **wanted: Any) -> Row | None:
    found = rows(results, **wanted)
    return found[0] if found else None


def peers(results: Results, dtype: str = "float32") -> str:
    """The LSTM against the best peer, on one and two threads; a line for the means of each dtype."""
    counts = sorted({row["threads"] for row in results["rows"]})
    columns = [(op, threads) for threads in counts for op in ("inference", "training")]
    plural = {threads: f"{threads} thread{'s' if threads > 1 else ''}" for threads in counts}
    head = ["T, B, I, H", "training, µs", "of FMA peak", *(f"{op}, {plural[threads]}" for op, threads in columns)]
    body = []
    for shape in dict.fromkeys(tuple(row["shape"]) for row in rows(results, cell="lstm", dtype=dtype)):
        where = {"cell": "lstm", "shape": list(shape), "dtype": dtype}
        own = _one(results, **where, op="training", threads=counts[0])
        first = [time(seconds(own)), f"{peak_share(own):.0%}"] if own else [NOTHING, NOTHING]
        cells = [_faster(_one(results, **where, op=op, threads=threads)) for op, threads in columns]
        body.append([str(Shape(*shape)), *first, *cells])
    for kind in dict.fromkeys(row["dtype"] for row in rows(results, cell="lstm")):
        means = []
        for op, threads in columns:
            chosen = rows(results, cell="lstm", dtype=kind, op=op, threads=threads)
            known = [faster for row in chosen if (faster := ratio(row)) is not None]
            means.append(f"**{geometric_mean(known):.1f}**, least {min(known):.1f}" if known else NOTHING)
        body.append([f"geometric mean, {kind}", "", "", *means])
    return machine(results) + "\n" + table(head, body) if body else ""


def cells(results: Results) -> str:
    """Cells beside the LSTM on the fewest threads: times in microseconds."""
    chosen = [row for row in results["rows"] if row["cell"] != "lstm"]
    chosen = [row for row in chosen if row["threads"] == min(r["threads"] for r in results["rows"])]
    others = [name for name in PEERS if name not in OURS and any(name in row["figures"] for row in chosen)]
    head = ["cell", "T, B, I, H", "", "ours, µs", *(TITLES[name] for name in others), "times faster than the best"]
    body = [
        [row["cell"], str(Shape(*row["shape"])), row["op"], time(seconds(row))]
        + [time(seconds(row, name)) if name in row["figures"] else NOTHING for name in others]
        + [f"{faster:.1f}" if (faster := ratio(row)) else NOTHING]
        for row in chosen
    ]
    return table(head, body) if body else ""


def against_numpy(results: Results, dtype: str = "float32") -> str:
    """The LSTM against the NumPy reference: microseconds on the fewest threads, and how many times faster on each number."""
    chosen = [row for row in rows(results, cell="lstm", dtype=dtype) if "numpy" in row["figures"]]
    counts = sorted({row["threads"] for row in chosen})
    head, columns = ["T, B, I, H"], []
    for op in ("inference", "training"):
        head += [f"{op}, µs", "NumPy"]
        columns += [(op, counts[0], _times)] if counts else []
        for threads in counts:
            head.append(f"times faster, {threads} thread{'s' if threads > 1 else ''}")
            columns.append((op, threads, _gain))
    body = []
    for shape in dict.fromkeys(tuple(row["shape"]) for row in chosen):
        known = {(row["op"], row["threads"]): row for row in chosen if tuple(row["shape"]) == shape}
        entries = [show(known.get((op, threads))) for op, threads, show in columns]
        body.append([str(Shape(*shape)), *(entry for part in entries for entry in part)])
    return table(head, body) if body else ""


def _times(row: Row | None) -> list[str]:
    return [time(seconds(row, name)) for name in (OURS[0], "numpy")] if row else [NOTHING] * 2


def _gain(row: Row | None) -> list[str]:
    return [f"{seconds(row, 'numpy') / seconds(row):.1f}" if row else NOTHING]
