"""`derive dump`: every level of a cell, by name or from a file, and what it says to wrong input."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from derive.cli import main
from derive.pipeline import model
from derive.registry import cell

MINE = '''"""Mine."""
from derive.notation import *


@cell(states="h")
def mine(x, W, U, h):
    h[t, n] = tanh(Sum(W[n, j] * x[t, j], j) + Sum(U[n, k] * h[t - 1, k], k))
'''


def dump(*arguments: str) -> str:
    found = CliRunner().invoke(main, ["dump", *arguments], catch_exceptions=False)
    assert found.exit_code == 0, found.output
    return found.output


def test_every_pass_of_every_kernel_can_be_looked_at() -> None:
    rows = json.loads(dump("rnn", "--json"))
    assert [r["pass"] for r in rows][:3] == ["normalize", "adjoint", "save_values"] and len(rows) > 20
    assert all(r["seconds"] >= 0 for r in rows)
    listed = dump("rnn")
    for row in rows:
        assert row["pass"] in listed
        said = dump("rnn", "--after", row["pass"], *(["--kernel", row["kernel"]] if row["kernel"] else []))
        assert len(said.splitlines()) > 1, row


def test_a_file_of_ones_own_is_dumped(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(MINE)
    assert "d_U[n, k]" in dump(str(tmp_path / "mine.py"), "--after", "adjoint")
    assert "gemm" in dump(str(tmp_path / "mine.py"), "--after", "schedule", "--kernel", "backward")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--after", "lowering"], "no pass is named 'lowering'; the passes are normalize, adjoint"),
        (["--after", "lower"], "the pass lower runs for each kernel: name one; the kernels are infer, forward"),
        (["--after", "lower", "--kernel", "front"], "no kernel is named 'front'; the kernels are infer, forward"),
        (["--after", "adjoint", "--kernel", "infer"], "the pass adjoint is for the whole program"),
        (["--kernel", "infer"], "name one with --after PASS"),
    ],
)
def test_a_mistake_is_told(arguments: list[str], words: str) -> None:
    found = CliRunner().invoke(main, ["dump", "rnn", *arguments])
    assert found.exit_code
    said = " ".join(line.strip("│╭╰─╮╯ ") for line in found.output.splitlines())
    assert words in said


def test_the_trace_holds_what_the_model_holds() -> None:
    made = model(cell("rnn"))
    assert made.trace.after("fold_copies").artefact.equations == made.adjoint.equations
    assert made.trace.after("fuse", "forward").artefact is next(k for k in made.kernels if k.name == "forward").lowered
    assert {e.kernel for e in made.trace.entries} - {""} == {k.name for k in made.kernels}
