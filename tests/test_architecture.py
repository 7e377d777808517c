"""docs/architecture.md shows what there is: its commands are run, and its lines are lines of what they print, in order."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from derive.cli import main

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")


def commands() -> Iterator[tuple[str, list[str]]]:
    """Each command of the page with the lines that are shown below it."""
    for block in re.findall(r"```text\n(.*?)```", PAGE, re.DOTALL):
        for part in re.split(r"^\$ ", block, flags=re.M)[1:]:
            command, *lines = part.splitlines()
            yield command, [line for line in lines if line.strip() != "..."]


def printed(command: str) -> str:
    program, *arguments = shlex.split(command)
    if program == "grep":
        pattern, name = arguments
        return "\n".join(x for x in (ROOT / name).read_text(encoding="utf-8").splitlines() if pattern in x)
    assert program == "derive", command
    found = CliRunner().invoke(main, arguments, catch_exceptions=False)
    assert found.exit_code == 0, found.output
    return found.output


@pytest.mark.parametrize(("command", "lines"), list(commands()), ids=[c for c, _ in commands()])
def test_the_page_shows_what_is_printed(command: str, lines: list[str]) -> None:
    rest = printed(command).splitlines()
    assert lines, "a command without lines shows nothing"
    for line in lines:
        wanted = re.compile(r".*".join(re.escape(" ".join(p.split())) for p in line.split("...")))
        while rest and not wanted.fullmatch(" ".join(rest[0].split())):
            rest.pop(0)
        assert rest, f"{command} does not print, or not in this order: {line}"
        rest.pop(0)


def test_the_page_names_files_that_exist() -> None:
    named = set(re.findall(r"`((?:derive|passes|backends|templates|ir)/[\w/]+(?:\.\w+)?/?)`", PAGE))
    assert len(named) > 12
    for name in named:
        assert (ROOT / name).exists() or (ROOT / "derive" / name).exists(), name
