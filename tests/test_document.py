"""The printed derivation: complete, with the IDs of the compiled equations, and LaTeX that compiles."""

from __future__ import annotations

import re
import shutil
import subprocess

import pytest

from derive import document, registry
from derive.model import model
from derive.simplify import adjoints

CELLS = sorted(registry.cells())


@pytest.mark.parametrize("name", CELLS)
def test_every_equation_is_printed_once_under_its_id(name):
    made = model(registry.cell(name))
    tex = document.tex(registry.cell(name))
    compiled = tex.split(r"\section{Adjoint as compiled}")[1]
    labels = re.findall(r"\\label\{eq:([^}]*)\}", tex)
    assert len(labels) == len(set(labels))
    forward = [e.id for e in made.primal.equations]
    backward = [e.id for e in adjoints(made.adjoint)]
    assert [i for i in labels if i.startswith("F") and "'" not in i] == forward
    assert [i for i in re.findall(r"\\tag\{([^}]*)\}", compiled) if i[0] in "BP"] == backward
    merged = [i for e in adjoints(made.adjoint) for i in e.merged]
    assert re.findall(r"with (.*) merged into", compiled) == [
        ", ".join(e.merged) for e in adjoints(made.adjoint) if e.merged
    ]
    assert len(set(merged)) == len(merged)


@pytest.mark.parametrize("name", CELLS)
def test_latex_is_well_formed(name):
    tex = document.tex(registry.cell(name))
    assert tex.count("{") == tex.count("}")
    for environment in ("equation", "aligned", "document"):
        assert tex.count(rf"\begin{{{environment}}}") == tex.count(rf"\end{{{environment}}}")
    for trap in (r"\hbar", "}^{2}^", "_{t}_{"):
        assert trap not in tex
    assert not re.search(r"(?<!\\)_\{[^{}]*\}_", tex), "a double subscript"


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="pdflatex is not installed")
@pytest.mark.parametrize("name", ["lstm", "lstm_layernorm"])
def test_latex_compiles(name, tmp_path):
    (tmp_path / "d.tex").write_text(document.tex(registry.cell(name)), encoding="utf-8")
    done = subprocess.run(
        ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "d.tex"],
        cwd=tmp_path,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout.decode(errors="replace")[-2000:]


def test_the_text_has_the_forward_pass_the_steps_and_the_gradients():
    text = document.text(registry.cell("lstm"))
    assert "F9: c[t, n] = c[t - 1, n]·f[t, n] + g[t, n]·i[t, n]   for t = 1..T" in text
    assert "F9 reads c[s, n']" in text and "= d_c[t + 1, n]·f[t + 1, n]   for t = 0..T - 1" in text
    assert "B26: d_c_0[n] = d_c[0, n]" in text
    assert "KroneckerDelta" not in text and "Sum(" not in text


def test_a_scaled_difference_is_printed_as_one():
    assert "seed_h[t, n] = 2·(h[t, n] - y[t, n])" in document.text(registry.cell("rnn"))
    assert r"2\left(" in document.tex(registry.cell("rnn"))
