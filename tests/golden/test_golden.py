"""What each pass makes of a few cells, word for word: `pytest tests/golden --update` writes the texts anew.

A change of a pass shows here as a change of text, to be read before it is committed.
"""

from __future__ import annotations

import difflib

import pytest
from golden import DUMPS, FOLDER, dumped, name_of

NAMES = [name_of(*d) for d in DUMPS]


@pytest.mark.parametrize("which", DUMPS, ids=NAMES)
def test_a_pass_makes_what_it_made(which, request: pytest.FixtureRequest) -> None:
    path, text = FOLDER / name_of(*which), dumped(*which)
    if request.config.getoption("--update"):
        path.write_text(text, encoding="utf-8")
    kept = path.read_text(encoding="utf-8")
    changes = "".join(difflib.unified_diff(kept.splitlines(True), text.splitlines(True), path.name, "made now", n=1))
    assert kept == text, f"{changes}\nIf that is meant: pytest tests/golden --update"


def test_every_text_has_a_dump() -> None:
    assert {p.name for p in FOLDER.glob("*.txt")} == set(NAMES)


def test_texts_are_short_enough_to_read() -> None:
    assert all(len((FOLDER / name).read_text(encoding="utf-8").splitlines()) <= 120 for name in NAMES)
