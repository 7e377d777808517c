"""One process for one number of threads: measures every problem and prints one line of JSON for each.

Libraries read the number of threads when they are loaded, so each number has a process of its own. Lines are
{"start": ...}, which says what the peers answered, then {"row": ...} for each problem and operation.
"""

from __future__ import annotations

import json
import os
import sys
import warnings
from collections.abc import Callable
from typing import Any

from benchmarks import machine, peers
from benchmarks.measure import Samples, interleave
from benchmarks.peers import OURS, Peer
from benchmarks.probe import Probe
from benchmarks.problem import Contender, Problem, Unsupported, compare, problem
from benchmarks.settings import Settings
from benchmarks.shapes import flop
from benchmarks.stats import spread

BANDWIDTH_ROUNDS = 5  # of the first rounds of a problem: caches are read for as long as the peak is measured


def main(threads: int, settings: Settings, say: Callable[[dict[str, Any]], None]) -> None:
    """Measure everything; `say` is given each line."""
    warnings.filterwarnings("ignore")
    confined = machine.confine(threads)
    if confined < threads:
        say({"start": {"threads": threads, "reason": f"only {confined} processors are there"}})
        return
    probe = Probe(threads, machine.caches())  # flushes denormals, in every thread that a library starts from now on
    running, known = _started(threads, settings)
    say(
        {
            "start": {
                "threads": threads,
                "peers": known,
                "flush_denormals": probe.flushes,
                "vector_bits": probe.vector_bits,
            }
        }
    )
    for cell, shape, dtype in settings.problems():
        try:
            posed = problem(cell, shape, dtype)
        except Exception as error:
            say({"failed": f"{cell} {shape} {dtype}: {_reason(error)}"})
            continue
        for op in settings.ops:
            try:
                row = measured(posed, op, running, probe, settings.seconds)
            except Exception as error:
                say({"failed": f"{cell} {shape} {dtype} {op}: {_reason(error)}"})
            else:
                say({"row": row})


def _started(threads: int, settings: Settings) -> tuple[dict[str, Peer], dict[str, Any]]:
    """The peers that work, and what is known of each, with a reason for those that do not."""
    running: dict[str, Peer] = {}
    known: dict[str, Any] = {}
    for name in settings.peers:
        try:
            made = peers.make(name)
            known[name] = made.start(threads)
            running[name] = made
        except Exception as error:
            known[name] = {"reason": _reason(error)}
    return running, known


def measured(posed: Problem, op: str, running: dict[str, Peer], probe: Probe, seconds: float) -> dict[str, Any]:
    """All contenders on one problem: prepared, compared with ours, timed in turns."""
    contenders, errors, skipped = _checked(posed, op, running)
    peaks: list[float] = []
    widths: dict[str, list[float]] = {level: [] for level in probe.levels}

    def limits(number: int) -> None:
        peaks.append(probe.peak(posed.dtype))
        if number < BANDWIDTH_ROUNDS:
            for level, found in widths.items():
                found.append(probe.bandwidth(level))

    pause = machine.settle if probe.threads > 1 else (lambda: None)
    times = interleave({name: made.call for name, made in contenders.items()}, seconds, limits, pause)
    return {
        "cell": posed.cell,
        "shape": list(posed.shape),
        "dtype": posed.dtype,
        "op": op,
        "threads": probe.threads,
        "flop": flop(posed.cell, posed.shape, op),
        "peak": spread(peaks)._asdict() if peaks else None,
        "bandwidth": {level: spread(found).median for level, found in widths.items() if found},
        "figures": {
            name: _figure(times[name], errors[name], flop(posed.cell, posed.shape, op, with_dx=made.with_dx))
            for name, made in contenders.items()
        },
        "skipped": skipped,
    }


def _figure(samples: Samples, error: float, work: float) -> dict[str, Any]:
    """`flop` is what this contender computes, gradient of x included where it cannot leave that out."""
    timing = spread(samples.seconds)._asdict()
    return {**timing, "calls": samples.calls, "busy": round(samples.busy, 3), "error": error, "flop": work}


def _checked(
    posed: Problem, op: str, running: dict[str, Peer]
) -> tuple[dict[str, Contender], dict[str, float], dict[str, str]]:
    """Contenders whose results agree with ours, their relative differences, and why the others are left out."""
    contenders: dict[str, Contender] = {}
    errors: dict[str, float] = {}
    skipped: dict[str, str] = {}
    expected = None
    for name, peer in running.items():
        try:
            made = peer.prepare(posed, op)
            found = made.result(made.call())
            if expected is None:
                expected = found
            errors[name] = compare(expected, found, posed.dtype)
            contenders[name] = made
        except Unsupported as error:
            skipped[name] = str(error)
        except Exception as error:
            skipped[name] = _reason(error)
        if name == OURS[0] and name not in contenders:
            raise Unsupported(f"our own call fails: {skipped[name]}")
    return contenders, errors, skipped


def _reason(error: Exception) -> str:
    if isinstance(error, Unsupported):
        return str(error)
    if isinstance(error, ModuleNotFoundError):
        return f"{error.name} is not installed"
    first = str(error).strip().partition("\n")[0]
    return f"{type(error).__name__}: {first}"


def _lines() -> Callable[[dict[str, Any]], None]:
    """Writes lines to what was stdout; libraries that print go to stderr from now on."""
    stream = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)

    def say(line: dict[str, Any]) -> None:
        stream.write(json.dumps(line) + "\n")
        stream.flush()

    return say


if __name__ == "__main__":
    main(int(sys.argv[1]), Settings.from_json(sys.argv[2]), _lines())
