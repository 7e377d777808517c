"""Mutants of templates, passes and runtime against the checks of the project: `make mutants N=200 SEED=0`.

Mutants are drawn from the seed.  What is judged is kept in build/mutants/: an interrupted survey goes on where it was,
unless the code has changed.  At the end: how many are caught and by what, how many make no difference to any cell, and
all others, one by one.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import sys
import tempfile
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from drawn import ROOT, SHARES, Mutant, draw
from judged import Tree, Verdict


def digest() -> str:
    """What the verdicts depend on."""
    found = hashlib.sha256()
    for folder in ("derive", "templates"):
        for path in sorted((ROOT / folder).rglob("*")):
            if path.is_file() and path.suffix in (".py", ".j2"):
                found.update(path.read_bytes())
    return found.hexdigest()[:16]


def survey(mutants: list[Mutant], log: Path, jobs: int, again: bool) -> list[tuple[Mutant, Verdict]]:
    """The verdicts, in the order of the mutants; `again`: survivors of an earlier run are judged anew."""
    log.parent.mkdir(parents=True, exist_ok=True)
    key, verdicts = digest(), {}
    for line in log.read_text().splitlines() if log.exists() else ():
        found = json.loads(line)
        if found["code"] == key and (found["verdict"]["caught"] or not again):
            verdicts[found["mutant"]] = Verdict(**found["verdict"])
    work = Path(tempfile.mkdtemp(prefix="mutants-"))
    try:
        clean = Tree(work / "clean", work / "base")
        clean.emit()
        trees = [Tree(work / str(k), clean.base, clean) for k in range(jobs)]
        lock = threading.Lock()

        def one(mutant: Mutant) -> None:
            with lock:
                tree = trees.pop()
            verdict = tree.judge(mutant)
            with lock:
                trees.append(tree)
                verdicts[str(mutant)] = verdict
                with log.open("a") as file:
                    file.write(json.dumps({"code": key, "mutant": str(mutant), "verdict": asdict(verdict)}) + "\n")
                print(f"{said(verdict):24s} {mutant}", flush=True)

        with ThreadPoolExecutor(jobs) as pool:
            list(pool.map(one, [m for m in mutants if str(m) not in verdicts]))
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return [(m, verdicts[str(m)]) for m in mutants]


def said(verdict: Verdict) -> str:
    """A verdict in a few words."""
    if verdict.caught:
        return f"{verdict.how}, {verdict.caught}" if verdict.how != "a test" else verdict.caught.split("::")[0]
    return "survives"


def report(found: list[tuple[Mutant, Verdict]]) -> None:
    """Numbers, then survivors."""
    for area in SHARES:
        own = [v for m, v in found if m.area == area]
        by = Counter(v.how if v.how != "a test" else "a test" for v in own if v.caught)
        print(
            f"{area}: {sum(by.values())} of {len(own)} caught ({', '.join(f'{n} {how}' for how, n in by.most_common())})"
        )
    for mutant, verdict in found:
        if not verdict.caught:
            changed = f"C differs in {len(verdict.changed)} cells" if verdict.changed else "no C differs"
            print(f"{mutant}\n    {changed if mutant.area != 'runtime' else ''}")
    caught = sum(bool(v.caught) for _, v in found)
    print(f"{caught} of {len(found)} caught, {len(found) - caught} survive: read each of them")


def main() -> int:
    """The command; exit status 1 if more than a tenth survive, equivalent ones among them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=200, help="how many mutants (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the draw (default: %(default)s)")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="processes (default: one per CPU)")
    parser.add_argument(
        "--log", type=Path, default=ROOT / "build" / "mutants" / "verdicts.jsonl", help="what is judged"
    )
    parser.add_argument("--again", action="store_true", help="judge survivors anew")
    parser.add_argument("--only", default="", help="mutants whose description has this in it")
    parser.add_argument("--list", action="store_true", help="print the mutants and end")
    given = parser.parse_args()
    mutants = [m for m in draw(given.count, given.seed) if given.only in str(m)]
    if given.list:
        print("\n".join(map(str, mutants)))
        return 0
    found = survey(mutants, given.log, given.jobs or 1, given.again)
    report(found)
    return 1 if sum(not v.caught for _, v in found) > 0.1 * len(found) else 0


if __name__ == "__main__":
    sys.exit(main())
