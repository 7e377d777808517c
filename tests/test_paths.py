"""Files that code, comments and pages name exist: a reader who follows a path arrives."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = "derive|templates|tests|docs|benchmarks|examples"
PATH = re.compile(rf"(?<![\w/.-])(?:{FOLDERS})/[\w./-]*\w(?!\w*\{{)")

# Named, and not there: placeholders stand in capitals (NAME, FAMILY); these have a reason.
ABSENT = {
    "derive/backends/cuda": "what a further backend would be",
    "benchmarks/results/zoo.json": "written by `python -m benchmarks zoo --time`",
    "derive/generated": "inside an installed package",
    "derive/templates": "inside an installed package",
    "tests/module/test_": "the beginning of names that are put together",
}
FILES = [
    path
    for folder in ("derive", "templates", "tests", "docs", "benchmarks")
    for path in sorted((ROOT / folder).rglob("*"))
    if path.suffix in (".py", ".md", ".j2") and path.resolve() != Path(__file__).resolve()
] + [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "Makefile", "pyproject.toml", "setup.py", ".ci/run")]


def named(text: str) -> set[str]:
    """Paths in a text that are no placeholders."""
    return {p for p in PATH.findall(text) if not re.search(r"/[A-Z]{4,}", p)}


def test_paths_are_seen() -> None:
    text = "see derive/ir/line.py, `docs/cells.md`, x/derive/no.py, derive/cells/NAME.py and tests/engine/."
    assert named(text) == {"derive/ir/line.py", "docs/cells.md", "tests/engine"}


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_what_a_file_names_exists(path: Path) -> None:
    lost = {n for n in named(path.read_text(encoding="utf-8")) if n not in ABSENT and not (ROOT / n).exists()}
    assert not lost, f"{path.relative_to(ROOT)} names {', '.join(sorted(lost))}: there is no such file"
