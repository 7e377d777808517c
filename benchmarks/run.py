"""Runs everything: a process for each number of threads, then the results file, the tables and the plot."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Thread
from typing import Any

from benchmarks import build_time, machine, results
from benchmarks.report import full
from benchmarks.settings import Settings

ROOT = Path(__file__).resolve().parent.parent
TABLES, PLOT = "benchmarks.md", "roofline.svg"


def run(settings: Settings, say: Callable[[str], None]) -> results.Results:
    """Measure. `say` is told how far it is. Raises RuntimeError if not even our own figures could be taken."""
    if settings.build:
        say("build: derive, compile, import")
    build, failed = build_time.measure() if settings.build else ({}, [])
    found: results.Results = {
        "schema": results.SCHEMA,
        "machine": machine.describe(),
        "settings": json.loads(settings.to_json()),
        "build": build,
        "starts": [],
        "failed": failed,
        "rows": [],
    }
    total = len(settings.problems()) * len(settings.ops)
    for threads in settings.threads:
        done = 0
        for line in _worker(threads, settings):
            if "row" in line:
                done += 1
                found["rows"].append(line["row"])
                say(f"{threads} thread{'s' if threads > 1 else ''}, {done} of {total}: {_told(line['row'])}")
            elif "start" in line:
                found["starts"].append(line["start"])
            else:
                found["failed"].append(line["failed"])
                say(line["failed"])
    if not found["rows"]:
        raise RuntimeError(f"nothing could be measured: {found['failed'] or found['starts']}")
    return found


def _worker(threads: int, settings: Settings) -> Iterator[dict[str, Any]]:
    """The lines of one process; one that dies adds a line that says so, and what it measured stays."""
    command = [sys.executable, "-m", "benchmarks.worker", str(threads), settings.to_json()]
    with subprocess.Popen(
        command, cwd=ROOT, env=machine.environment(threads), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout and process.stderr
        words: list[str] = []
        # Libraries may print much: a full pipe that no process reads would stop them.
        reader = Thread(target=lambda: words.extend(process.stderr or ()), daemon=True)
        reader.start()
        try:
            for line in process.stdout:
                yield json.loads(line)
        except BaseException:
            process.kill()  # what it would still measure is not wanted
            raise
        code = process.wait()
        reader.join()
    if code:
        yield {"failed": f"the process for {threads} threads ended with {code}: {words[-1].strip() if words else ''}"}


def _told(row: results.Row) -> str:
    faster = results.ratio(row)
    shape = ", ".join(map(str, row["shape"]))
    against = f", {faster:.2f} times the best peer ({results.best_peer(row)})" if faster else ""
    return f"{row['cell']} {shape} {row['dtype']} {row['op']}: {results.seconds(row) * 1e6:.0f} µs{against}"


def write(found: results.Results, folder: Path) -> list[Path]:
    """The results file, the tables, and the plot where matplotlib is installed; returns what was written."""
    folder.mkdir(parents=True, exist_ok=True)
    made = [folder / results.NAME, folder / TABLES]
    results.write(made[0], found)
    return made[:1] + render(results.read(made[0]), folder)


def render(found: results.Results, folder: Path) -> list[Path]:
    """The tables and the plot, from results that are there."""
    made = [folder / TABLES]
    made[0].write_text(full(found), encoding="utf-8")
    try:
        from benchmarks import roofline

        roofline.draw(found, folder / PLOT)
        made.append(folder / PLOT)
    except ImportError:
        pass
    return made
