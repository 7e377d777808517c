"""`make` with a Python whose path has a space in it."""

import shutil
import subprocess
from pathlib import Path

import pytest
from small_cells import script

from derive import generation


@pytest.mark.parametrize("answer", [0, 1])
def test_a_python_whose_path_has_a_space(tmp_path, answer):
    """The environment is made with it; where it is too old, the message says which it is."""
    if not shutil.which("make") or not (generation.ROOT / "Makefile").is_file():
        pytest.skip("make or the Makefile is not here")
    shutil.copy(generation.ROOT / "Makefile", tmp_path)
    place = tmp_path / "my tools"
    place.mkdir()
    record = tmp_path / "record"
    says = (
        f'echo "$#: $*" >> "{record}"; case "$1" in -V) echo Python 3.1;; -c) exit {answer};; *) mkdir -p .venv;; esac'
    )
    own = script(place / "python", says)
    done = subprocess.run(
        ["make", f"PYTHON={own}", ".venv/made"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    asked = record.read_text().splitlines()
    assert asked[0].startswith("2: -c import sys;")
    if answer:
        assert done.returncode != 0 and f"{own} is Python 3.1. Try: make PYTHON=python3.12" in done.stdout
        assert not Path(tmp_path / ".venv").exists()
    else:
        assert done.returncode == 0 and asked[1] == "3: -m venv .venv", done.stderr
        assert (tmp_path / ".venv" / "made").is_file()
