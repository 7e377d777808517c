"""What ships and what is in the zoo: found without an import, named apart, written briefly, built on demand."""

import ast
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from derive import registry
from derive.toolchain import compiler

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted(path for path in (ROOT / "derive" / "cells").glob("*/*.py") if path.stem != "__init__")
STEPS = {path.stem: path for path in Path(__file__).parent.glob("*.py")}


def run(*words):
    done = subprocess.run([sys.executable, *words], capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr


def test_what_ships_is_what_is_committed_and_nothing_else():
    committed = {path.parent.name for path in (ROOT / "generated").glob("*/manifest.json")}
    assert set(registry.shipped()) == committed
    assert len(registry.zoo()) == len(FILES) > 70 and not set(registry.zoo()) & committed


def test_a_cell_is_found_by_its_name_and_no_other_is_imported():
    program = (
        "import sys, derive, derive.registry as r; r.cell('mgu')\n"
        "print([m for m in sys.modules if m.startswith('derive.cells.') and m.count('.') == 3])"
    )
    assert run("-c", program) == (0, "['derive.cells.gated.mgu']\n")


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_file_of_the_zoo_is_a_source_and_at_most_fifteen_lines(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    title = ast.get_docstring(tree).splitlines()[0]
    assert re.search(r"\b(19|20)\d\d\b", title), "whose is it, and of which year?"
    (function,) = (node for node in tree.body if isinstance(node, ast.FunctionDef))
    assert function.name == path.stem
    assert function.body[-1].end_lineno - function.body[0].lineno < 15


@pytest.mark.parametrize("family", registry.families())
def test_the_steps_of_a_family_are_those_of_its_folder(family):
    """Read and not imported: PyTorch may be missing."""
    tree = ast.parse(STEPS[family].read_text(encoding="utf-8"))
    marked = {node.name for node in tree.body if isinstance(node, ast.FunctionDef) and node.decorator_list}
    assert marked == set(registry.zoo(family))


@pytest.fixture
def quick(tmp_path, monkeypatch):
    """A compiler that is quick, and a cache of its own."""
    cc = tmp_path / "cc"
    cc.write_text(f'#!/bin/sh\nexec {compiler.command()[0]} "$@" -O0\n')
    cc.chmod(0o755)
    monkeypatch.setenv("CC", str(cc))
    monkeypatch.setenv("DERIVE_CACHE", str(tmp_path / "cache"))


def test_a_cell_of_the_zoo_is_built_on_demand_into_the_cache(quick, tmp_path):
    code, said = run("-m", "derive", "build", "trnn", "--json")
    found = json.loads(said)
    assert code == 0 and found["files"] == 0 and Path(found["cached"]["trnn"]).parent == tmp_path / "cache"
    code, said = run("-c", "import derive; m = derive.load('trnn'); print(m.__path__[0], *m.PARAMS)")
    assert said.split() == [found["cached"]["trnn"], "weight_ih", "forget", "bias"]
    code, said = run("-m", "derive", "check", "trnn")
    assert code == 0 and "checks passed" in said
    assert not (ROOT / "generated" / "trnn").exists()


def test_what_does_not_ship_cannot_be_compared_with_what_is_committed():
    code, said = run("-m", "derive", "build", "mgu", "--check")
    assert code and "mgu does not ship" in said


def test_the_list_has_every_cell_in_one_line_under_its_family():
    code, said = run("-m", "derive", "list")
    names = [line.split()[0] for line in said.splitlines() if line.strip()]
    assert code == 0 and set(registry.zoo()) | set(registry.shipped()) <= set(names)
    found = json.loads(run("-m", "derive", "list", "mgu", "lstm", "--json")[1])
    assert [one["name"] for one in found["zoo"]] == ["mgu"] and [one["name"] for one in found["cells"]] == ["lstm"]


def test_the_page_of_the_zoo_has_every_cell_and_no_error_that_is_not_rounding():
    text = (ROOT / "docs" / "zoo.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \| [^|]+ \| (\d+) \| [^|]+ \| \d+ \| \d+ \| (\S+) \|", text, re.MULTILINE)
    assert [name for name, _, _ in rows] == list(registry.zoo()), "run `python -m benchmarks zoo`"
    assert all(int(lines) <= 15 and float(error) < 1e-12 for _, lines, error in rows)
