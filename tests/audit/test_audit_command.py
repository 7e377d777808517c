"""The command `derive audit`: its exit codes, what it prints, and what it says of files that it cannot understand."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import sympy as sp
from audit_tools import EXAMPLES
from click.testing import CliRunner, Result

from derive.audit import Verdict, audit, in_file
from derive.cli import main

GRU = '''
"""A derivation of the GRU with four errors."""

from derive.audit import Sum, T, derivation, i, j, k, t


@derivation("gru", dz="dL/dz", dr="dL/dr", dn="dL/dn", delta="dL/da", ds="dL/ds")
def planted(x, h, W, U, a, s, r, z, n, e, dh, dz, dr, dn, delta, ds, dW, dU, db, dv):
    dh[t, i] = e[t, i] + sum(Sum(U[q][k, i] * ds[q][t + 1, k], k) for q in (r, z, n))
    dz[t, i] = dh[t, i] * (n[t, i] - h[t - 1, i])
    dn[t, i] = dh[t, i] * (1 - z[t, i])
    delta[n][t, i] = dn[t, i] * (1 - n[t, i] ** 2)
    dr[t, i] = delta[n][t, i] * s[n][t, i]
    delta[z][t, i] = dz[t, i] * z[t, i] * (1 - z[t, i])
    delta[r][t, i] = dr[t, i] * r[t, i] * (1 - r[t, i])
    ds[z][t, i] = delta[z][t, i]
    ds[r][t, i] = delta[r][t, i]
    ds[n][t, i] = delta[n][t, i]
    for q in (r, z, n):
        dW[q][i, j] = Sum(delta[q][t, i] * x[t, j], (t, 1, T))
        dU[q][i, k] = Sum(ds[q][t, i] * h[t, k], (t, 1, T))
        db[q][i] = Sum(delta[q][t, i], (t, 1, T))
        dv[q][i] = Sum(ds[q][t, i], (t, 1, T))
'''
MENDED = (
    ("dh[t, i] = e[t, i]", "dh[t, i] = e[t, i] + z[t + 1, i] * dh[t + 1, i]"),
    ("(n[t, i] - h[t - 1, i])", "(h[t - 1, i] - n[t, i])"),
    ("ds[n][t, i] = delta[n][t, i]", "ds[n][t, i] = delta[n][t, i] * r[t, i]"),
    ("h[t, k], (t", "h[t - 1, k], (t"),
)
RNN = """
from derive.audit import Sum, T, derivation, j, k, n, t

@derivation("rnn", dz="dL/dz")
def notes(x, h, U, e, dh, dz, dW):
    dh[t, n] = e[t, n] + Sum(U[k, n] * dz[t + 1, k], k)
    dz[t, n] = (1 - h[t, n] ** 2) * dh[t, n]
    dW[n, j] = Sum(dz[t, n] * x[t, j], (t, 1, T))
"""


def command(*arguments: object) -> Result:
    return CliRunner(env={"COLUMNS": "160"}).invoke(main, ["audit", *map(str, arguments)], catch_exceptions=False)


def written(folder: Path, text: str) -> Path:
    file = folder / "notes.py"
    file.write_text(text, encoding="utf-8")
    return file


def test_planted_errors_are_found_where_they_are(tmp_path: Path) -> None:
    (made,) = in_file(written(tmp_path, GRU))
    found = audit(made)
    assert {row.label: row.verdict for row in found.rows if row.findings} == {
        "dh": Verdict.MISSING,
        "dz": Verdict.SIGN,
        "ds_n": Verdict.FACTOR,
        **{f"dU_{q}": Verdict.TIME for q in "rzn"},
    }
    (finding,) = found.row("dh").findings
    assert finding.derived is not None
    assert found.term("dh", finding.derived) == "dh[t + 1, i]·z[t + 1, i]   for t = 1..T - 1"
    assert found.row("dh").first == 2  # at one step there is nothing to come back
    assert found.row("dz").first == 1


def test_without_them_it_is_right(tmp_path: Path) -> None:
    text = GRU
    for wrong, right in MENDED:
        assert text.count(wrong) == 1
        text = text.replace(wrong, right)
    result = command(written(tmp_path, text))
    assert result.exit_code == 0
    assert "All 22 equations are right." in result.output


def test_a_wrong_derivation_ends_in_one_and_shows_the_term() -> None:
    result = command(EXAMPLES / "hanbingtao_581764.py", "-T", "2,4")
    assert result.exit_code == 1
    assert "missing term: (1 - f[t, n])·c[t - 1, n]·f[t + 1, n]·f[t, n]·∂L/∂c[t + 1, n]" in result.output
    assert re.search(r"T = 2 +T = 4", result.output)
    assert "9 of 17 equations are wrong; 8 right ones read them and have wrong values." in result.output


WRONG = {"dh": ("= e[t, n]", "= 3 * e[t, n]"), "dz": ("= (1 - h", "= 3 * (1 - h"), "dW": ("= Sum(dz", "= 3 * Sum(dz")}


@pytest.mark.parametrize(
    ("kept", "wrong", "sentence"),
    [
        ("dh dz dW", "", "All 3 equations are right."),
        ("dh dz dW", "dW", "1 of 3 equations is wrong."),
        ("dh dz", "dz", "1 of 2 equations is wrong; 1 right one reads it and has a wrong value."),
        ("dh dz dW", "dz", "1 of 3 equations is wrong; 2 right ones read it and have wrong values."),
        ("dh dz dW", "dh dz", "2 of 3 equations are wrong; 1 right one reads them and has a wrong value."),
        ("dW", "", "The one equation is right."),
        ("dW", "dW", "The one equation is wrong."),
    ],
)
def test_the_closing_sentence_counts(tmp_path: Path, kept: str, wrong: str, sentence: str) -> None:
    text = RNN
    for label in wrong.split():
        right, off = WRONG[label]
        assert text.count(right) == 1
        text = text.replace(right, off)
    lines = [line for line in text.splitlines() if " = " not in line or line.split("[")[0].strip() in kept.split()]
    result = command(written(tmp_path, "\n".join(lines)))
    assert result.exit_code == (1 if wrong else 0)
    assert result.output.splitlines()[-1] == sentence


def test_a_state_that_starts_from_zero_hides_an_error() -> None:
    def at_two_steps(*options: str) -> str:
        output = command(EXAMPLES / "hanbingtao_581764.py", "-T", "2", *options).output
        line = next(s for s in output.splitlines() if s.strip().startswith("dU_f "))
        return line.split()[-1]

    assert at_two_steps("--zero-state") == "0"
    assert at_two_steps().endswith("%")


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('@derivation("rnn"', '@derivation("rnm"', "no cell named 'rnm'"),
        ('dz="dL/dz"', 'dz="dL/dq"', "speaks of q, which is no tensor of the cell"),
        ('dz="dL/dz"', 'dy="dL/dz"', "dy in the decorator is no argument of the function"),
        ("h[t, n] ** 2", "h[t, j] ** 2", "the index j of h[t, j] is neither on the left nor summed"),
        ("x[t, j],", "x[j],", "line 8, in the equation of dW[n, j], x[j] has 1 indices"),
        ("dW[n, j] =", "dW[t, n, j] =", "must be written as dW[n, j]"),
        ("* dh[t, n]", "* dh[2 * t, n]", "is read at time 2*t"),
        ("* dh[t, n]", "* dh[t, n] * e1[t, n]", "line 7: NameError: name 'e1' is not defined"),
        ("e[t, n] +", "e[t, n] + h[t, n] = ", "SyntaxError"),
        ("@derivation", "# @derivation", "defines no derivation"),
        ("Sum(dz[t, n] * x[t, j], (t, 1, T))", "Sum(dz[t, n] * x[t, j])", "names no index"),
        ("    dh[t, n] =", "    h[t, n] =", "h is a tensor of the cell rnn and is assigned"),
    ],
)
def test_mistakes_are_explained(tmp_path: Path, old: str, new: str, words: str) -> None:
    assert RNN.count(old) == 1
    result = command(written(tmp_path, RNN.replace(old, new)))
    assert result.exit_code == 2
    assert words in " ".join(result.stderr.split()).replace(" │ │ ", " ")


def test_a_file_or_lengths_that_are_none(tmp_path: Path) -> None:
    missing = command(tmp_path / "none.py")
    assert missing.exit_code == 2
    assert "no file" in missing.stderr
    for lengths in ("0", "two", ""):
        result = command(EXAMPLES / "greff_2017.py", "-T", lengths)
        assert result.exit_code == 2
        assert "lengths are numbers from 1" in result.stderr


def test_what_is_not_stated_is_said(tmp_path: Path) -> None:
    result = command(written(tmp_path, RNN))
    assert result.exit_code == 0
    assert "No equation for the gradients of: U, b." in result.output
    assert "e is the direct derivative of the loss by h." in result.output


def test_the_gradient_of_a_loss_is_judged_with_its_factor(tmp_path: Path) -> None:
    of = RNN.replace('@derivation("rnn"', '@derivation("rnn", loss="squared_error"').replace("U, e,", "U, y,")
    right = audit(in_file(written(tmp_path, of.replace("e[t, n]", "2 * (h[t, n] - y[t, n])")))[0])
    assert right.ok
    half = audit(in_file(written(tmp_path, of.replace("e[t, n]", "h[t, n] - y[t, n]")))[0])
    (finding,) = half.row("dh").findings
    assert finding.verdict is Verdict.FACTOR
    assert finding.ratio == sp.Rational(1, 2)
    assert half.row("dW").right
    assert half.row("dW").errors.by_length[5] == pytest.approx(0.5)


def test_a_claim_without_an_equation_is_taken_to_be_right(tmp_path: Path) -> None:
    lines = [line for line in RNN.splitlines() if "dh[t, n] =" not in line]
    result = command(written(tmp_path, "\n".join(lines).replace("U, e, dh", "dh")))
    assert result.exit_code == 0
    assert "Taken to be right, for no equation defines them: dh." in result.output
    assert "All 2 equations are right." in result.output
