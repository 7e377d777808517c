"""The `derive` command: what it prints, what it writes, and the code it ends with."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner, Result

from derive import registry
from derive.cli import main
from derive.cli.app import COMMANDS

CELLS = ["rnn", "lstm", "gru", "lstm_peephole", "lstm_layernorm", "lstm_toy", "lstm_readout"]


def derive(*arguments: str) -> Result:
    return CliRunner(env={"COLUMNS": "160"}).invoke(main, list(arguments), catch_exceptions=False)


def test_help_comes_without_the_engine() -> None:
    program = (
        "import sys, derive.cli\n"
        "try: derive.cli.main(['--help'])\n"
        "except SystemExit as end: assert not end.code\n"
        "assert not {'sympy', 'numpy', 'jinja2'} & set(sys.modules), sys.modules.keys()"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for command in COMMANDS:
        assert re.search(rf"^  {command} ", done.stdout, re.MULTILINE), f"{command} is not in the help"


def test_a_command_is_imported_when_it_is_asked_for() -> None:
    """The others stay where they are, whatever they would import."""
    program = (
        "import sys, derive.cli\n"
        "try: derive.cli.main(['new', '--help'])\n"
        "except SystemExit as end: assert not end.code\n"
        "print(*sorted(name for name in sys.modules if name.startswith('derive.cli.')))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    loaded = done.stdout.splitlines()[-1].split()
    assert "derive.cli.cells" in loaded and not {"derive.cli.figures", "derive.cli.dump"} & set(loaded), done.stderr


def test_python_m_derive_is_the_command() -> None:
    done = subprocess.run([sys.executable, "-m", "derive", "--version"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("derive, version ")


def test_list_has_a_line_for_every_cell_and_every_loss() -> None:
    result = derive("list")
    assert result.exit_code == 0
    lines = result.output.splitlines()
    for name in [*CELLS, "squared_error", "readout"]:
        assert sum(line.split()[:1] == [name] for line in lines) == 1, f"{name} has not one line"
    (line,) = [line for line in lines if line.split()[:1] == ["lstm"]]
    assert line.split()[1:3] == ["h", "c"], "the states come after the name"
    assert "4·H² + 4·H·I + 4·H" in line and "LSTM with forget gate. Hochreiter & Schmidhuber 1997" in line
    assert "F1:" not in result.output


def test_list_with_names_shows_their_equations_in_the_order_asked_for(tmp_path: Path) -> None:
    mine = tmp_path / "mine.py"
    mine.write_text(
        (Path(registry.__file__).parents[1] / "cells" / "rnn.py").read_text().replace("def rnn", "def mine")
    )
    result = derive("list", "readout", "lstm", str(mine), "lstm")
    assert result.exit_code == 0
    lines = result.output.splitlines()
    assert [line.split()[0] for line in lines if line[:1].strip()] == ["readout", "lstm", "mine"]
    assert any("F1:" in line and "W_i[n, j]·x[t, j]" in line for line in lines)
    assert not any(line.startswith("gru") for line in lines)


@pytest.mark.parametrize("command", ["build", "check", "latex", "list"])
def test_an_unknown_cell_is_named_and_the_known_ones_are_listed(command: str) -> None:
    result = derive(command, "lstn")
    assert result.exit_code == 2
    assert "lstn" in result.stderr
    assert "lstm_peephole" in result.stderr
    assert "Traceback" not in result.output


@pytest.mark.parametrize("form", ["tex", "text"])
def test_latex_goes_to_the_terminal_or_to_a_file(form: str, tmp_path: Path) -> None:
    printed = derive("latex", "lstm", "--format", form)
    assert printed.exit_code == 0
    assert "F1" in printed.output and "B1" in printed.output
    target = tmp_path / "lstm.out"
    written = derive("latex", "lstm", "--format", form, "-o", str(target))
    assert written.exit_code == 0 and written.output == ""
    assert target.read_text(encoding="utf-8").strip() == printed.output.strip()


def test_latex_offers_only_what_it_can_write(tmp_path: Path) -> None:
    assert derive("latex", "lstm", "--format", "docx").exit_code == 2
    missing = derive("latex", "rnn", "-o", str(tmp_path / "no" / "rnn.tex"))
    assert missing.exit_code == 2
    assert "cannot write" in missing.stderr


def row(**changed: Any) -> SimpleNamespace:
    good = {
        "cell": "lstm",
        "dtype": "float64",
        "gradient": "weight_ih",
        "reference": "by hand",
        "error": 1e-16,
        "limit": 1e-13,
        "ok": True,
    }
    return SimpleNamespace(**{**good, **changed})


def test_check_ends_with_0_where_all_rows_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("derive.check.run", lambda name: [row(cell=name), row(cell=name, gradient="bias")])
    result = derive("check", "lstm", "gru", "lstm")
    assert result.exit_code == 0
    assert "All 4 checks passed" in result.output


def test_check_ends_with_1_where_one_fails_and_shows_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("derive.check.run", lambda name: [row(), row(gradient="h0", error=float("nan"), ok=False)])
    result = derive("check", "lstm")
    assert result.exit_code == 1
    assert "1 of 2 checks failed" in result.output
    assert [line for line in result.output.splitlines() if "FAILED" in line and "h0" in line and "nan" in line]


def test_build_check_shows_what_would_change(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [
        SimpleNamespace(path="lstm/lstm.c", kind="changed", diff="--- a\n+++ b\n@@ -1 +1 @@\n-old line\n+new line\n"),
        SimpleNamespace(path="lstm/lstm.h", kind="same", diff=""),
    ]
    monkeypatch.setattr("derive.generation.regenerate", lambda names, check, progress: found)
    result = derive("build", "lstm", "--check")
    assert result.exit_code == 1
    for words in ("lstm/lstm.c", "-old line", "+new line", "1 of 2 files would change"):
        assert words in result.output
    assert "lstm.h" not in result.output


def test_what_is_committed_is_what_the_equations_give() -> None:
    """C, Python and documents of one cell; of all in .ci/run, and the C of all in tests/emit/test_reproducible.py."""
    result = derive("build", "--check", "rnn")
    assert result.exit_code == 0, result.output


def test_the_demo_says_at_once_that_it_cannot_write_its_plot(tmp_path: Path) -> None:
    result = derive("demo", "-o", str(tmp_path / "no" / "plot.png"))
    assert result.exit_code == 2
    assert "no folder" in result.stderr
