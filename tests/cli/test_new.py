"""`derive new`: the file that it writes is a cell that builds as it is, and it writes over nothing."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from derive import registry
from derive.cli import main
from derive.registry.skeleton import skeleton
from derive.verify import validate
from tests.campaign import quick


def new(*words: str) -> Result:
    return CliRunner(env={"COLUMNS": "300"}).invoke(main, ["new", *words], catch_exceptions=False)


@pytest.fixture(autouse=True)
def there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_the_new_cell_builds_and_computes_what_its_equations_say(tmp_path: Path) -> None:
    assert new("mine").exit_code == 0
    cell = registry.cell("mine.py")
    assert cell.name == "mine" and list(cell.program().facts.gates) == ["f", "g"]
    module = quick.build(cell, None, tmp_path / "built")
    assert validate(module, cell) == []
    assert list(module.PARAMS) == ["weight_ih", "weight_hh", "bias"]


def test_run_as_a_program_it_is_built_and_called(tmp_path: Path) -> None:
    """The end of the file, with a build that says what it was given."""
    new("mine")
    text = Path("mine.py").read_text(encoding="utf-8")
    stand_in = "import derive\nfrom derive.generated import rnn\nderive.build = lambda cell: print(cell.name) or rnn\n"
    Path("run.py").write_text(stand_in + text, encoding="utf-8")
    done = subprocess.run([sys.executable, "run.py"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("mine\nloss ") and "gradients of x, weight_ih" in done.stdout


def test_its_comments_name_commands_that_there_are() -> None:
    text = skeleton("mine")[1]
    found = re.findall(r"^# +derive (\w+) (\S+)", text, re.MULTILINE)
    assert [name for name, _ in found] == ["list", "check", "latex"] and {file for _, file in found} == {"mine.py"}
    assert set(dict(found)) <= set(main.list_commands(None))  # type: ignore[arg-type]


def test_a_file_that_is_there_is_not_overwritten() -> None:
    Path("mine.py").write_text("precious")
    for words in (["mine"], ["other", "-o", "mine.py"]):
        done = new(*words)
        assert done.exit_code == 2 and "mine.py is there already" in done.stderr
    assert Path("mine.py").read_text() == "precious"
    Path("link.py").symlink_to("nowhere.py")
    assert new("mine", "-o", "link.py").exit_code == 2 and not Path("nowhere.py").exists()


def test_another_file_can_be_named() -> None:
    assert new("mine", "-o", "cells.py").exit_code == 0
    assert registry.cell("cells.py").name == "mine"
    done = new("mine", "-o", "cells.txt")
    assert done.exit_code == 2 and "give it a name that ends in .py" in done.stderr


def test_a_greek_name_is_spelled_as_in_a_cell_file() -> None:
    assert new("μGRU").exit_code == 0
    assert registry.cell("muGRU.py").name == "muGRU"


@pytest.mark.parametrize(
    ("name", "words"),
    {
        "a-b": "has no spelling for C",
        "1a": "has no spelling for C",
        "д": "has no spelling for C",
        "a" * 64: "C tells 63 apart",
        "": "holds no letter",
        "__": "holds no letter",
        "class": "is a word of Python",
        "tanh": "means something else in the file",
        "cell": "means something else in the file",
        "x": "means something else in the file",
        "W": "means something else in the file",
        "np": "means something else in the file",
        "json": "there is a module json already",
        "numpy": "there is a module numpy already",
        "../x": "has no spelling for C",
    }.items(),
)
def test_names_that_cannot_be_are_refused(name: str, words: str, tmp_path: Path) -> None:
    done = new(name)
    assert done.exit_code == 2 and words in done.stderr, done.output
    assert not list(tmp_path.iterdir())
