"""Random cells, and all that ship, under the address and undefined-behaviour sanitizers: `make sanitize`.

Every entry point runs with arrays that end where their memory ends; then the same cells run with each array, tape and
workspace beside a page that cannot be touched.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

import random_cells
from campaign import GOOD, ROOT, Worker

FLAGS = ("-O0", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")


def libraries() -> list[str]:
    """The libraries of the sanitizers; a name without a folder where the compiler has none."""
    commands = [["gcc", f"-print-file-name={name}"] for name in ("libasan.so", "libubsan.so")]
    found = [subprocess.run(c, capture_output=True, text=True, check=True).stdout.strip() for c in commands]
    return [os.path.realpath(path) if "/" in path else path for path in found]


def environment() -> dict[str, str]:
    """What lets a Python that knows no sanitizer load a library that wants one."""
    return {
        "LD_PRELOAD": ":".join(libraries()),
        "ASAN_OPTIONS": "detect_leaks=0:abort_on_error=0:exitcode=99",
        "UBSAN_OPTIONS": "print_stacktrace=1",
        "CAMPAIGN_MEMORY": "exact",
    }


def shipped() -> list[Path]:
    """The files of the cells that ship, but the one that joins two others."""
    return sorted(p for p in (ROOT / "derive" / "cells").glob("*.py") if p.stem != "__init__")


def main() -> int:
    """The command; exit status 1 on a report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=60, help="how many random cells (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="the first seed (default: %(default)s)")
    given = parser.parse_args()
    jobs = [f"file {path} {seed}" for path in shipped() for seed in (0, 1, 3)]
    jobs += [f"seed {seed}" for seed in range(given.seed, given.seed + given.count)]
    failed = 0
    for title, worker in (
        ("sanitizers", Worker(FLAGS, environment())),
        ("guard pages", Worker(("-O0",), {"CAMPAIGN_MEMORY": "pages"})),
    ):
        print(f"{title}: {len(jobs)} builds", flush=True)
        for job in jobs:
            found = worker.ask(job)
            if found["verdict"] not in GOOD:
                failed += 1
                print(f"{job}: {found['verdict']}: {found['reason']}", flush=True)
                if job.startswith("seed"):
                    print(random_cells.text(int(job.split()[1])), flush=True)
        worker.close()
    print(f"{failed} reports")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
