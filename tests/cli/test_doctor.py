"""`derive doctor`: what is broken is named with what to do, however much of the installation is missing."""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner

import derive
from derive import doctor
from derive.cli import main
from derive.doctor import BROKEN, NOTE, OK, Finding, compiling, kept, software, surroundings
from derive.errors import DeriveError
from derive.toolchain import compiler

ROOT = Path(__file__).resolve().parents[2]


def by_name(findings: Any) -> dict[str, Finding]:
    return {finding.name: finding for finding in findings}


@pytest.fixture
def sound(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Cells and processor as of an installation where everything is in order."""
    monkeypatch.setattr(kept, "_cell", lambda name, folder: (OK, "compiled", "compiled"))
    monkeypatch.setenv("DERIVE_CACHE", str(tmp_path / "cache"))


def test_a_sound_installation_has_nothing_broken(sound: None) -> None:
    done = CliRunner().invoke(main, ["doctor", "--json"], catch_exceptions=False)
    found = json.loads(done.stdout)
    assert done.exit_code == 0 and found["ok"] is True, [f for f in found["findings"] if f["state"] == BROKEN]
    assert list(dict.fromkeys(f["part"] for f in found["findings"])) == list(doctor.PARTS)
    values = {f["name"]: f["value"] for f in found["findings"]}
    assert values["python"] == ".".join(map(str, sys.version_info[:3]))
    assert values["compiles and loads a module"] is True and values["in use"] in values["instruction sets"]
    assert values["lstm"] == "compiled"
    said = CliRunner(env={"COLUMNS": "100"}).invoke(main, ["doctor"], catch_exceptions=False)
    assert said.exit_code == 0 and said.output.endswith("Nothing is broken.\n")


def test_something_broken_ends_with_1_and_says_what_to_do(sound: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CC", "no-such-compiler -O1")
    done = CliRunner(env={"COLUMNS": "300"}).invoke(main, ["doctor"], catch_exceptions=False)
    assert done.exit_code == 1
    assert re.search(r"broken +command +no-such-compiler -O1 is not found\n +install gcc or clang", done.output)
    assert "Broken: 1 of " in done.output


def test_with_nothing_at_all(tmp_path: Path) -> None:
    """A copy of the package without compiled cells, a compiler, a home folder that can be written to, or SymPy."""
    ignore = shutil.ignore_patterns("__pycache__", "generated", "templates")
    shutil.copytree(ROOT / "derive", tmp_path / "derive", ignore=ignore)
    cell = tmp_path / "derive" / "generated" / "lstm"
    cell.mkdir(parents=True)
    (cell.parent / "__init__.py").touch()
    shutil.copy(ROOT / "generated" / "lstm" / "manifest.json", cell)
    (tmp_path / "sympy.py").write_text("raise ImportError('no sympy today')")
    (tmp_path / "file").touch()
    environment = {
        **os.environ,
        "PYTHONPATH": str(tmp_path),
        "CC": "nothing",
        "HOME": str(tmp_path / "file" / "home"),
        "DERIVE_CACHE": str(tmp_path / "file" / "cache"),
    }
    command = [sys.executable, "-m", "derive", "doctor", "--json"]
    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1 and not done.stderr, done.stderr
    found = {f["name"]: f for f in json.loads(done.stdout)["findings"]}
    assert found["sympy"]["state"] == BROKEN and "no sympy today" in found["sympy"]["found"]
    assert found["sympy"]["advice"].startswith("pip install 'sympy>=")
    assert found["command"]["state"] == BROKEN
    assert found["instruction sets"]["state"] == NOTE and "derive build" in found["instruction sets"]["advice"]
    assert found["lstm"]["value"] == found["rnn"]["value"] == "missing"
    assert found["rnn"]["found"].startswith("missing: there is no C") and found["lstm"]["found"].startswith(
        "missing: its C"
    )
    assert found["lstm"]["advice"] == "run `derive build lstm`"
    broken = [f for f in found.values() if f["part"] == "cache" and f["state"] == BROKEN]
    assert broken and "DERIVE_CACHE" in broken[0]["advice"]
    assert all(f["advice"] for f in found.values() if f["state"] != OK)


def test_a_part_that_cannot_be_looked_at_does_not_hide_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> Any:
        yield Finding("one", "half", OK, "seen")
        raise ZeroDivisionError("oh")

    monkeypatch.setattr(doctor, "PARTS", {"one": broken, "two": lambda: iter([Finding("two", "b", OK, "fine")])})
    names: list[str] = []
    found = doctor.examine(names.append)
    assert [f.name for f in found] == ["half", "one", "b"] and names == ["one", "two"]
    assert found[1].state == BROKEN and "ZeroDivisionError: oh" in found[1].found


def test_a_compiler_that_makes_nothing_that_loads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = compiler.command()[0]
    cases = {
        "exit 3": "compiling doctor failed",
        f'{real} "$@"; for f; do :; done; case $f in *.so) echo nothing > "$f";; esac': "what it made does not load",
        "exit 0": "ended without an error, and did not make",
    }
    for number, (script, words) in enumerate(cases.items()):
        path = tmp_path / f"cc{number}"
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
        monkeypatch.setenv("CC", str(path))
        finding = by_name(compiling.compiler())["compiles and loads a module"]
        assert finding.state == BROKEN and words in finding.found and finding.advice
    monkeypatch.setenv("CC", "gcc 'unclosed")
    assert by_name(compiling.compiler())["command"].state == BROKEN


def test_no_folder_to_compile_in(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device", "/somewhere")

    monkeypatch.setattr(compiling.tempfile, "TemporaryDirectory", full)
    finding = by_name(compiling.compiler())["compiles and loads a module"]
    assert finding.state == BROKEN and "No space left on device (/somewhere)" in finding.found
    assert "TMPDIR" in finding.advice


def test_an_instruction_set_that_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    for error, state in ((ValueError("DERIVE_ISA=avx9"), BROKEN), (DeriveError("no cell is compiled"), NOTE)):

        def cpu(error: Exception = error) -> None:
            raise error

        monkeypatch.setattr(derive, "cpu", cpu)
        finding = by_name(compiling.processor())["instruction sets"]
        assert finding.state == state and str(error) in finding.found and finding.advice


def test_every_state_of_a_cell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "lstm"
    folder.mkdir()
    assert kept._cell("lstm", None)[2] == kept._cell("lstm", folder)[2] == "missing"
    compiler.extension(folder, "_kernels").touch()
    loads: list[Exception | None] = [ImportError("other C"), ValueError("DERIVE_ISA"), None]

    def load(name: str) -> None:
        assert name == "derive.generated.lstm"
        if loads[0]:
            raise loads[0]

    monkeypatch.setattr(kept.importlib, "import_module", load)
    assert kept._cell("lstm", folder) == (BROKEN, "stale: other C", "stale")
    loads.pop(0)
    assert kept._cell("lstm", folder) == (NOTE, "not looked at: DERIVE_ISA", "unknown")
    loads.pop(0)
    assert kept._cell("lstm", folder) == (OK, "compiled", "compiled"), "as of a wheel, without a stamp"
    (folder / "manifest.json").write_text(json.dumps({"cell": "lstm", "header": "lstm.h", "code": "0"}))
    (folder / "_kernels.stamp").write_text("{}")
    assert kept._cell("lstm", folder)[2] == "outdated"
    compiler.note(folder, "_kernels", compiler.made_from(folder))
    assert kept._cell("lstm", folder)[2] == "compiled"


def test_every_state_of_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tmp_path / "cache"
    monkeypatch.setenv("DERIVE_CACHE", str(root))
    found = by_name(kept.cache())
    assert "not made yet" in found["folder"].found and found["writable"].value is True and not root.exists()
    root.mkdir(0o700)
    (root / ".x_0123456789abcdef.left").mkdir()
    found = by_name(kept.cache())
    assert found["trusted"].value is True and found["entries"].value == 1 and found["size"].value == 0
    assert found["odd entries"].value == [".x_0123456789abcdef.left"] and "derive cache" in found["odd entries"].advice
    if os.name == "posix":
        root.chmod(0o777)
        (folder,) = kept.cache()
        assert folder.state == BROKEN and "written to by other users" in folder.found
        root.chmod(0o700)

    def closed(**_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(kept.tempfile, "TemporaryFile", closed)
    assert by_name(kept.cache())["writable"].value is False
    monkeypatch.setenv("DERIVE_CACHE", "~no-such-user/x")
    (folder,) = kept.cache()
    assert folder.state == BROKEN and "no home folder" in folder.found


def test_libraries_that_are_too_old_or_damaged(monkeypatch: pytest.MonkeyPatch) -> None:
    versions = {"sympy": "1.9.3", "numpy": "10.0", "matplotlib": "3.0"}
    monkeypatch.setattr(software, "_version", lambda name: versions.get(name, "99.0"))
    monkeypatch.setattr(software, "_least", lambda: {"sympy": "1.13", "numpy": "1.26"})
    monkeypatch.setattr(software.importlib.util, "find_spec", lambda name: None)
    found = by_name(software.versions())
    assert found["sympy"].state == BROKEN and "1.13 or newer" in found["sympy"].found
    assert found["numpy"].state == OK, "10 is newer than 1.26"
    assert found["lstm-derive"].state == NOTE and found["matplotlib"].state == NOTE
    monkeypatch.setattr(software, "OLDEST", (99, 0))
    assert by_name(software.versions())["python"].state == BROKEN


def test_what_is_needed_is_what_the_package_asks_for() -> None:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    block = text.split("\ndependencies = [")[1].split("]")[0]
    assert re.findall(r'"(\w+)>=', block) == list(software.NEEDED)
    assert f'requires-python = ">={".".join(map(str, software.OLDEST))}"' in text


def test_every_variable_that_the_code_reads_is_known() -> None:
    read = set()
    for path in [ROOT / "setup.py", *(ROOT / "derive").rglob("*.py")]:
        if "doctor" in path.parts or "generated" in path.parts:
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                if re.fullmatch(r"DERIVE_(ISA|CACHE)|CC|\w+FLAGS|XDG_\w+|COLUMNS|LINES|HOME|TMPDIR", node.value):
                    read.add(node.value)
    assert {"DERIVE_ISA", "DERIVE_CACHE", "CC", "CFLAGS"} <= read, "the search finds nothing"
    assert read <= set(surroundings.VARIABLES)


def test_the_environment_is_told_as_far_as_it_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in surroundings.VARIABLES:
        monkeypatch.delenv(name, raising=False)
    assert list(surroundings.environment()) == []
    monkeypatch.setenv("DERIVE_ISA", "avx2")
    monkeypatch.setenv("CFLAGS", "-O0")
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    found = by_name(surroundings.environment())
    assert found["DERIVE_ISA"].value == "avx2" and found["DERIVE_ISA"].state == OK
    assert found["CFLAGS"].state == NOTE and "compiled without" in found["CFLAGS"].advice
    assert found["XDG_CACHE_HOME"].state == NOTE and "ignored" in found["XDG_CACHE_HOME"].found


@pytest.mark.parametrize(("encoding", "state"), [("utf-8", OK), ("latin-1", NOTE), ("no-such", NOTE)])
def test_the_terminal_and_what_it_can_show(encoding: str, state: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for tty in (True, False):
        monkeypatch.setattr(sys, "stdout", SimpleNamespace(encoding=encoding, isatty=lambda tty=tty: tty))
        found = by_name(surroundings.terminal())
        assert found["encoding"].state == state and found["encoding"].value == encoding
        assert (found["width"].value is not None) == tty
