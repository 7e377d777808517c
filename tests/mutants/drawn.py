"""Mutants of the engine's own source text, drawn from a seed."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import python_sites
import template_sites

ROOT = Path(__file__).resolve().parents[2]
# Of a hundred mutants.
SHARES = {"templates": 40, "passes": 35, "runtime": 25}


@dataclass(frozen=True)
class Mutant:
    """One edit of one file, `path` from the root of the tree."""

    area: str
    path: str
    kind: str
    start: int
    end: int
    new: str
    line: int
    shown: str

    def applied(self, text: str) -> str:
        return text[: self.start] + self.new + text[self.end :]

    def __str__(self) -> str:
        return f"{self.path}:{self.line}, {self.kind}: {self.shown}"


def files(area: str, root: Path = ROOT) -> list[str]:
    """The files of an area: templates, passes or runtime."""
    if area == "templates":
        found = sorted((root / "templates" / "c").glob("*.j2"))
    elif area == "runtime":
        found = [p for p in sorted((root / "derive" / "runtime").rglob("*.py")) if p.stem != "__init__"]
    else:
        folders = (root / "derive" / "passes", root / "derive" / "backends" / "c")
        found = [root / "derive" / "pipeline.py", root / "derive" / "signature.py"]
        found += [p for folder in folders for p in sorted(folder.rglob("*.py")) if p.stem != "__init__"]
    return [str(p.relative_to(root)) for p in found if p.exists()]


def every(area: str, root: Path = ROOT) -> Iterator[Mutant]:
    """All mutants of an area."""
    for path in files(area, root):
        text = (root / path).read_text(encoding="utf-8")
        finder = template_sites if path.endswith(".j2") else python_sites
        for kind, start, end, new in finder.sites(text):
            yield _mutant(area, path, text, kind, start, end, new)


def _mutant(area: str, path: str, text: str, kind: str, start: int, end: int, new: str) -> Mutant:
    line = text.count("\n", 0, start) + 1
    first, last = text.rfind("\n", 0, start) + 1, text.find("\n", end)
    changed = text[first:start] + new + text[end:last]
    shown = f"{_short(text[first:last], start - first)} -> {_short(changed, start - first)}"
    return Mutant(area, path, kind, start, end, new, line, shown)


def _short(text: str, where: int, most: int = 90) -> str:
    """The neighbourhood of a place, on one line."""
    where = max(0, where - 40) if len(text) > most else 0
    return " ".join(text[where : where + most].split())


def draw(count: int, seed: int, root: Path = ROOT) -> list[Mutant]:
    """`count` mutants: areas by their shares, files by their length, kinds alike within a file."""
    rng = random.Random(f"mutants {seed}")
    found: list[Mutant] = []
    for area, share in SHARES.items():
        pool: dict[str, dict[str, list[Mutant]]] = {}
        for mutant in every(area, root):
            pool.setdefault(mutant.path, {}).setdefault(mutant.kind, []).append(mutant)
        weights = [sum(map(len, kinds.values())) for kinds in pool.values()]
        wanted = round(count * share / 100)
        chosen: list[Mutant] = []
        while len(chosen) < min(wanted, sum(weights)):
            kinds = pool[rng.choices(list(pool), weights)[0]]
            mutant = rng.choice(kinds[rng.choice(sorted(kinds))])
            if mutant not in chosen:
                chosen.append(mutant)
        found += chosen
    return found
