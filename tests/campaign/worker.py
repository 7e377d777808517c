"""Cells one after the other: read, built, compared. A line of JSON for each; a crash ends the process and names its cell.

    python tests/campaign/worker.py OPTIONS            files or seeds come as lines on standard input

Before a cell there is the line {"begins": ...}, so that the reader knows which one a crash belongs to.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

import breakage
import guards
import quick
import random_cells
import random_spaces

from derive.errors import DeriveError
from derive.notation import Cell, Head
from derive.registry.user_file import run_file
from derive.verify import calls, validate

# Words of messages that speak of the engine and not of the cell: no refusal.
FAULTS = re.compile(r"engine|internal|verif|is a mistake of|index capture|not in normal form", re.IGNORECASE)


DRAWN = {"seed": random_cells, "spaces": random_spaces}


def how_of(seed: int) -> quick.Build:
    """Instruction sets, types and chunks change from seed to seed, so that all come by."""
    sets = ("base", "portable", "base", "avx2") if _avx2() else ("base", "portable")
    return quick.Build(
        f64=sets[seed % len(sets)], f32="portable" if seed % 3 else "base", depth=8 if seed % 5 == 0 else None
    )


def _avx2() -> bool:
    try:
        return " avx2" in Path("/proc/cpuinfo").read_text()
    except OSError:
        return False


def judge(path: Path, how: quick.Build, alter=lambda made: made) -> dict[str, object]:
    """The verdict on the cell of a file: right, refused, or what is wrong."""
    start = time.perf_counter()
    found = _judge(path, how, alter)
    return {**found, "seconds": round(time.perf_counter() - start, 2)}


def _judge(path: Path, how: quick.Build, alter) -> dict[str, object]:
    try:
        space = vars(run_file(path, "a cell"))
        cell = next(x for x in space.values() if isinstance(x, Cell))
        losses = [x for x in space.values() if isinstance(x, Head) and not x.source.equations[-1].lhs.args]
        loss = losses[0] if losses else None
    except DeriveError as error:
        return {"verdict": "refused", "reason": str(error)}
    folder = Path(tempfile.mkdtemp(prefix="campaign-"))
    try:
        module = quick.build(cell, loss, folder, how, alter)
        sentences = validate(module, cell, loss)
        return {"verdict": "wrong" if sentences else "right", "reason": "\n".join(sentences)}
    except DeriveError as error:
        fault = FAULTS.search(str(error))
        return {"verdict": "internal error" if fault else "refused", "reason": str(error)}
    except quick.DoesNotCompile as error:
        return {"verdict": "does not compile", "reason": str(error).replace(str(folder), "")}
    except Exception as error:
        return {"verdict": "internal error", "reason": f"{type(error).__name__}: {error}"}
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def main() -> None:
    """Judge what standard input names.

    "seed 17" is a random cell, "spaces 17" one over several dimensions; "file PATH SEED" a file, where SEED chooses how it is
    built; "mutant PATH LEVEL NUMBER" a file whose equations or C have a mistake made on purpose.
    """
    flags, memory = tuple(sys.argv[1:]), os.environ.get("CAMPAIGN_MEMORY", "")
    if memory:
        calls.FENCE = 0  # arguments end where their memory ends
    if memory == "pages":
        guards.install()
    for line in sys.stdin:
        kind, *words = line.split()
        print(json.dumps({"begins": line.strip()}), flush=True)
        with tempfile.TemporaryDirectory() as folder:
            seed = int(words[-1])
            guards.at_end = bool(seed % 2)
            path = Path(folder) / f"random_{seed}.py" if kind in DRAWN else Path(words[0])
            if kind in DRAWN:
                path.write_text(DRAWN[kind].text(seed))
            how = how_of(seed) if kind != "mutant" else quick.Build()
            if flags:
                how = quick.Build(flags, how.f64, how.f32, how.depth)
            if kind == "mutant":
                with breakage.broken(words[1], seed) as (alter, said):
                    found = judge(path, how, alter)
                found["mutant"] = said()
            else:
                found = judge(path, how)
            print(json.dumps({"ends": line.strip(), **found}), flush=True)


if __name__ == "__main__":
    main()
