"""Random cells through notation, every pass, C and back, against the interpreter: `make campaign N=3000 SEED=0`.

Each cell is judged in a child process, so that a crash is a failure and not the end.  Failures are shrunk and written
as cell files with what is wrong on top.  What has been judged is kept beside them: an interrupted campaign goes on where
it was, unless the code has changed.  Exit status 1 on a failure, or where more than 3 % of the cells are refused.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

import random_cells
import random_spaces
from shrink import shrink

ROOT = Path(__file__).resolve().parents[2]
WORKER = Path(__file__).with_name("worker.py")
SILENCE = 300  # seconds without a word from a worker
REFUSED = 0.03
GOOD = ("right", "refused")
DRAWN = {"seed": random_cells, "spaces": random_spaces}


class Worker:
    """A child process that judges cells, started again after a crash."""

    def __init__(self, flags: tuple[str, ...] = (), environment: dict[str, str] | None = None) -> None:
        self.flags, self.environment = flags, {**os.environ, "PYTHONHASHSEED": "0", **(environment or {})}
        self.process: subprocess.Popen[str] | None = None
        self.served = 0

    def ask(self, job: str) -> dict[str, object]:
        """The verdict on a job: a line of worker.py."""
        if self.process is None or self.process.poll() is not None or self.served >= 60:  # SymPy's caches grow
            self.close()
            self.served = 0
            self.errors = tempfile.TemporaryFile("w+")
            self.process = subprocess.Popen(
                [sys.executable, str(WORKER), *self.flags],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self.errors,
                text=True,
                cwd=ROOT,
                env=self.environment,
            )
        process = self.process
        assert process.stdin and process.stdout
        clock = threading.Timer(SILENCE, process.kill)
        clock.start()
        try:
            process.stdin.write(job + "\n")
            process.stdin.flush()
            for line in process.stdout:
                found = json.loads(line)
                if "ends" in found:
                    self.served += 1
                    return found
        except OSError:
            pass
        finally:
            clock.cancel()
        code = process.wait()
        self.errors.seek(0)
        words = self.errors.read()
        self.process = None
        report = re.findall(
            r"(?:ERROR: \w+Sanitizer.*|.*runtime error:.*|\w*Error:.*|SUMMARY:.*|    #\d .*\.c:\d+)", words
        )
        return {"verdict": "crash", "reason": "\n".join([f"exit status {code}", *report[:8]]), "seconds": 0}

    def close(self) -> None:
        if self.process is not None:
            assert self.process.stdin
            self.process.stdin.close()
            self.process.wait()
            self.process = None


def digest() -> str:
    """What the verdicts depend on."""
    found = hashlib.sha256()
    for folder in ("derive", "templates", "tests/campaign"):
        for path in sorted((ROOT / folder).rglob("*")):
            if path.is_file() and path.suffix in (".py", ".j2"):
                found.update(path.read_bytes())
    return found.hexdigest()[:16]


def kind_of(verdict: dict[str, object]) -> str:
    """A verdict without what differs from cell to cell: failures and refusals of one kind have one."""
    reason = str(verdict["reason"]).split("\n")[0]
    if verdict["verdict"] == "wrong":
        reason = re.sub(r" with respect to \S+", "", reason.split(" by ")[0])
        reason = re.sub(r"state \S+_T", "state", reason)
    reason = re.sub(r"Σ_\w+ .*? is neither|[^ ]+ = [^;]* depends", "..", reason)
    reason = re.sub(r"random_\d+|\b[FBDL]\d+\b|'[^']*'|[A-Za-z_]+\[[^\]]*\]|0x\w+|\d+(\.\d+)?(e[+-]\d+)?", "..", reason)
    return f"{verdict['verdict']}: {reason[:150]}"


def smaller(text: str, seed: int, verdict: dict[str, object], worker: Worker, most: int) -> str:
    """A shrunk cell file with the same verdict."""
    first = kind_of(verdict)

    def fails(candidate: str) -> bool:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "smaller.py"
            path.write_text(candidate)
            found = worker.ask(f"file {path} {seed}")
        same = found["verdict"] == verdict["verdict"]
        return same and (verdict["verdict"] in ("wrong", "crash") or kind_of(found) == first)

    return shrink(text, fails, most)


def report(folder: Path, seed: int, verdict: dict[str, object], text: str) -> Path:
    """A failing cell as a file: what is wrong, then the cell."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"random_{seed}.py"
    said = "\n".join(f"# {line}" for line in str(verdict["reason"]).split("\n")[:12])
    path.write_text(f"# Seed {seed}, {verdict['verdict']}:\n{said}\n{text}")
    return path


def campaign(
    seeds: list[int], folder: Path, jobs: int, flags: tuple[str, ...], most: int, environment=None, drawn: str = "seed"
) -> int:
    """Judge the cells of all seeds; the exit status.  `drawn`: "seed", or "spaces" for cells over several dimensions."""
    folder.mkdir(parents=True, exist_ok=True)
    kept = folder / "verdicts.jsonl"
    key = f"{digest()} {drawn} {' '.join(flags)}"
    verdicts: dict[int, dict[str, object]] = {}
    if kept.exists():
        first, *lines = kept.read_text().splitlines() or [""]
        if first == key:
            verdicts = {found["seed"]: found for found in map(json.loads, lines)}
    if not verdicts:
        kept.write_text(key + "\n")
    todo = [s for s in seeds if s not in verdicts]
    lock, local = threading.Lock(), threading.local()

    def one(seed: int) -> None:
        if not hasattr(local, "worker"):
            local.worker = Worker(flags, environment)
        found = {"seed": seed, **local.worker.ask(f"{drawn} {seed}")}
        with lock:
            verdicts[seed] = found
            with kept.open("a") as file:
                file.write(json.dumps(found) + "\n")
            done = len(verdicts)
            if found["verdict"] not in GOOD:
                print(f"seed {seed}: {kind_of(found)}", flush=True)
            elif done % 50 == 0:
                print(f"{done} judged", flush=True)

    with ThreadPoolExecutor(jobs) as pool:
        list(pool.map(one, todo))
    judged = {s: verdicts[s] for s in seeds}
    return summary(judged, folder, flags, most, environment, drawn)


def summary(
    verdicts: dict[int, dict[str, object]],
    folder: Path,
    flags: tuple[str, ...],
    most: int,
    environment,
    drawn: str = "seed",
) -> int:
    """Print counts and reasons, shrink one failure of each kind, and say whether the campaign has passed."""
    counts = Counter(str(v["verdict"]) for v in verdicts.values())
    print(f"\n{len(verdicts)} random cells: " + ", ".join(f"{n} {what}" for what, n in counts.most_common()))
    kinds: dict[str, list[int]] = {}
    for seed, verdict in sorted(verdicts.items()):
        if verdict["verdict"] != "right":
            kinds.setdefault(kind_of(verdict), []).append(seed)
    worker = Worker(flags, environment)
    for kind, seeds in sorted(kinds.items(), key=lambda item: -len(item[1])):
        print(
            f"{len(seeds):5d}  {kind}\n       seeds {', '.join(map(str, seeds[:10]))}{' ...' if len(seeds) > 10 else ''}"
        )
        verdict = verdicts[seeds[0]]
        if verdict["verdict"] != "refused":
            text = DRAWN[drawn].text(seeds[0])
            text = smaller(text, seeds[0], verdict, worker, most) if most else text
            print(f"       {report(folder, seeds[0], verdict, text)}")
    worker.close()
    failed = sum(n for what, n in counts.items() if what not in GOOD)
    share = counts["refused"] / max(1, len(verdicts))
    print(f"{failed} failed; {share:.1%} refused, {REFUSED:.0%} are allowed")
    return 1 if failed or share > REFUSED else 0


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=3000, help="how many cells (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="the first seed (default: %(default)s)")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="worker processes (default: one per CPU)")
    parser.add_argument("--folder", type=Path, default=ROOT / "build" / "campaign", help="where failures are written")
    parser.add_argument(
        "--shrink", type=int, default=120, help="trials for each kind of failure (default: %(default)s)"
    )
    parser.add_argument("--flags", default="-O0", help="of the C compiler (default: %(default)s)")
    parser.add_argument("--spaces", action="store_true", help="cells over several dimensions")
    given = parser.parse_args()
    seeds = list(range(given.seed, given.seed + given.count))
    drawn = "spaces" if given.spaces else "seed"
    print(f"seeds {seeds[0]} to {seeds[-1]}; failures go to {given.folder}", flush=True)
    return campaign(seeds, given.folder, given.jobs, tuple(given.flags.split()), given.shrink, None, drawn)


if __name__ == "__main__":
    sys.exit(main())
