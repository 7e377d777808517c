"""README.md and docs/calls.md: what they show runs, is in the generated files, or leads to a file."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from derive.cli import main
from derive.toolchain import compiler

ROOT = Path(__file__).resolve().parent.parent
PAGES = {name: (ROOT / name).read_text(encoding="utf-8") for name in ("README.md", "docs/calls.md", "CONTRIBUTING.md")}
README = PAGES["README.md"]
LINKED = [*PAGES, *(str(path.relative_to(ROOT)) for path in sorted((ROOT / "docs").glob("*.md")))]


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGES[page], re.MULTILINE | re.DOTALL)


def commands() -> Iterator[list[str]]:
    for page in PAGES:
        for line in "".join(blocks(page, "sh")).splitlines():
            if words := shlex.split(line, comments=True):
                yield words


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to work in, with a cache and a compiler that is quick."""
    cc = tmp_path / "cc"
    cc.write_text(f'#!/bin/sh\nexec {compiler.command()[0]} "$@" -O0\n')
    cc.chmod(0o755)
    monkeypatch.setenv("CC", str(cc))
    monkeypatch.setenv("DERIVE_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*words: str) -> str:
    done = subprocess.run([sys.executable, *words], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_readme_is_read_in_three_minutes() -> None:
    assert README.count("\n") <= 120


def test_the_cell_on_the_page_is_that_of_the_package() -> None:
    cell = blocks("README.md", "python")[0]
    assert cell.rstrip() in (ROOT / "derive" / "cells" / "lstm.py").read_text(encoding="utf-8")


def test_the_calls_on_the_page_run(workplace: Path) -> None:
    calls = next(block for block in blocks("README.md", "python") if "derive.generated" in block)
    run("-c", calls + "assert loss > 0 and out.shape == (50, 8, 16) and set(grads) == {*params, 'x', 'h0', 'c0'}")
    (more,) = blocks("docs/calls.md", "python")
    run("-c", more + "assert np.array_equal(out[0], lstm.infer(x, params)[0][-1])")


@pytest.mark.skipif(not shutil.which("cc") and not shutil.which("gcc"), reason="needs a C compiler")
def test_the_cell_of_ones_own_builds_and_passes_the_check(workplace: Path) -> None:
    cell, use = blocks("README.md", "python")[-2:]
    name = re.search(r"`(\w+\.py)`:\n\n```python", README)
    assert name and "@cell" in cell
    (workplace / name[1]).write_text(cell)
    run("-c", use + "assert set(module.PARAMS) == {'weight_ih', 'weight_hh', 'bias'}")
    assert "checks passed" in run("-m", "derive", "check", name[1])


def test_every_line_of_c_on_the_page_is_in_the_generated_file() -> None:
    (shown,) = blocks("README.md", "c")
    name = re.findall(r"`(generated/[\w./]+)`", README[: README.index("```c")])[-1]
    lines = {line.strip() for line in (ROOT / name).read_text(encoding="utf-8").splitlines()}
    assert shown.strip() and not set(shown.strip().splitlines()) - lines


@pytest.mark.parametrize("words", list(commands()), ids=" ".join)
def test_commands_on_the_pages_exist_with_their_options(words: list[str]) -> None:
    if words[0] == "make":
        makefile = (ROOT / "Makefile").read_text(encoding="utf-8").replace("$(VENV)", ".venv")
        for target in (word for word in words[1:] if "=" not in word):
            assert re.search(rf"^{re.escape(target)}:", makefile, re.MULTILINE), f"no `make {target}`"
        for name in (word.partition("=")[0] for word in words[1:] if "=" in word):
            assert re.search(rf"\$\({name}\)|\(origin {name}\)", makefile), f"the Makefile does not read {name}"
    elif words[0] == "derive":
        command = main.get_command(click.Context(main), words[1])
        assert command is not None, words
        with command.make_context(words[1], words[2:]) as context:  # parses; a wrong option is an error
            assert context.params
    else:
        program = words[2:] if words[:2] == [".venv/bin/python", "-m"] else words
        assert program[0] in ("pytest", "benchmarks", ".ci/run", ".venv/bin/ruff", "git"), words
        for path in (word for word in program[1:] if word.startswith("tests/")):
            assert (ROOT / path.partition("::")[0]).exists(), f"there is no {path}"


@pytest.mark.parametrize("page", LINKED)
def test_links_lead_to_files(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#\s]+)", text):
        if not target.startswith("http"):
            assert ((ROOT / page).parent / target).exists(), f"{page} leads to {target}, which is not there"
