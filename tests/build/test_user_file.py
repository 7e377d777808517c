"""Files that a person wrote: they import the files beside them, and leave no trace in the process."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from small_cells import CELL

from derive import registry
from derive.errors import DeriveError
from derive.registry.user_file import run_file

COMMON = "SCALE = {scale}\n"
USER = "from common import SCALE\n"


def folder_of(place: Path, scale: int) -> Path:
    place.mkdir(parents=True)
    (place / "common.py").write_text(COMMON.format(scale=scale))
    (place / "user.py").write_text(USER)
    return place / "user.py"


def test_a_file_imports_its_neighbour(tmp_path):
    file = folder_of(tmp_path / "a", 1)
    before = set(sys.modules), list(sys.path), list(sys.meta_path)
    assert run_file(file, "a number").SCALE == 1
    assert (set(sys.modules), list(sys.path), list(sys.meta_path)) == before


def test_each_file_has_neighbours_of_its_own(tmp_path):
    """Two folders with a file of the same name, and a program that has one as well."""
    files = [folder_of(tmp_path / name, scale) for scale, name in enumerate("abc")]
    mine = type(sys)("common")
    mine.__file__ = str(tmp_path / "elsewhere" / "common.py")
    sys.modules["common"] = mine
    try:
        assert [run_file(file, "a number").SCALE for file in (*files, files[0])] == [0, 1, 2, 0]
        assert sys.modules["common"] is mine
    finally:
        del sys.modules["common"]


def test_a_neighbour_that_changed(tmp_path):
    file = folder_of(tmp_path / "a", 1)
    assert run_file(file, "a number").SCALE == 1
    (tmp_path / "a" / "common.py").write_text("SCALE = 1234567\n")
    assert run_file(file, "a number").SCALE == 1234567


@pytest.mark.parametrize("package", [True, False])
def test_a_folder_beside_it(tmp_path, package):
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "numbers.py").write_text("from parts import others\nSCALE = others.SCALE\n")
    (tmp_path / "parts" / "others.py").write_text("SCALE = 3\n")
    if package:
        (tmp_path / "parts" / "__init__.py").write_text("")
    (tmp_path / "user.py").write_text("from parts.numbers import SCALE\n")
    assert run_file(tmp_path / "user.py", "a number").SCALE == 3
    assert not [name for name in sys.modules if name.split(".")[0] == "parts"]


@pytest.mark.parametrize("name", ["json", "random", "colorsys", "derive", "numpy", "sympy"])
def test_names_of_others(tmp_path, name):
    """Python's own modules, the engine and what is installed and loaded are not replaced by what lies there."""
    (tmp_path / f"{name}.py").write_text("raise SystemExit('not me')\n")
    (tmp_path / "mine.py").write_text(f"import {name}\n" + CELL.format(function="tanh"))
    loaded = {n: m for n, m in sys.modules.items() if n.split(".")[0] == name}
    assert registry.in_file(tmp_path / "mine.py").name == "mine"
    assert {n: m for n, m in sys.modules.items() if n in loaded} == loaded


def test_a_neighbour_that_is_wrong(tmp_path):
    """The message names the line of the file that imports it."""
    (tmp_path / "common.py").write_text("SCALE = 1 / 0\n")
    (tmp_path / "user.py").write_text("\n" + USER)
    with pytest.raises(DeriveError, match=r"user\.py, line 2: ZeroDivisionError: division by zero"):
        run_file(tmp_path / "user.py", "a number")
    assert "common" not in sys.modules
    (tmp_path / "user.py").write_text("import nothing_of_this_name\n")
    with pytest.raises(DeriveError, match=r"line 1: ModuleNotFoundError: No module named 'nothing_of_this_name'"):
        run_file(tmp_path / "user.py", "a number")


def test_the_command_line(tmp_path):
    """From any folder."""
    (tmp_path / "shared.py").write_text("from derive.notation import *\n")
    text = CELL.format(function="tanh").replace("from derive.notation import", "from shared import *  # from")
    (tmp_path / "mine.py").write_text(text)
    done = subprocess.run(
        [sys.executable, "-m", "derive", "cost", str(tmp_path / "mine.py"), *"-T 2 -B 1 -I 3 -H 4".split()],
        capture_output=True,
        text=True,
        check=False,
        cwd=os.path.sep,
    )
    assert done.returncode == 0, done.stdout + done.stderr
