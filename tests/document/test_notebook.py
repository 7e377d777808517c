"""Objects show themselves, and the committed notebook runs and shows what it shows."""

from __future__ import annotations

import json
import re

import pytest
from document_tools import CELLS, found

from derive import document
from derive.passes.adjoint import jvp, vjp
from derive.rendering import ROOT

NOTEBOOK = ROOT / "examples" / "derivation.ipynb"


@pytest.mark.parametrize("name", [*CELLS, "minimal"])
def test_cells_programs_and_steps_show_themselves(name):
    cell = found(name)
    derived = vjp(cell.program())
    for item in (cell, derived, jvp(cell.program()), derived.steps[0], derived.steps[-1]):
        shown = item._repr_latex_()
        assert shown.startswith("$$\\begin{aligned}") and shown.endswith("\\end{aligned}$$")
        assert shown.count("{") == shown.count("}") and "d_" not in shown
        assert shown in item._repr_html_()
    assert derived._repr_latex_().count("\\text{(") == len(derived.equations)


def test_second_derivatives_have_letters_of_their_own():
    shown = vjp(vjp(found("rnn").program()))._repr_latex_()
    lefts = re.findall(r"^(\S+?)(?:\(t\))? &=", shown, re.MULTILINE)
    assert len(set(lefts)) == len({x for x in lefts if "(0)" not in x} | {x for x in lefts if "(0)" in x})
    assert r"\hat{h}" in shown and r"\bar{h}" in shown


def test_a_document_shows_itself():
    page = document.document(found("rnn"))
    assert page._repr_html_().count("<details>") >= 16 and "(B1)" in page._repr_latex_()
    assert len(repr(page)) < 100


def test_the_notebook_is_committed_executed():
    cells = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    code = [c for c in cells if c["cell_type"] == "code"]
    assert all(c["outputs"] for c in code)
    assert not any(o["output_type"] == "error" for c in code for o in c["outputs"])
    assert NOTEBOOK.stat().st_size < 200_000


@pytest.mark.slow
def test_the_notebook_runs_and_shows_the_same():
    nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    book = nbformat.read(NOTEBOOK, as_version=4)
    before = [[o.get("data", {}).get("text/latex") for o in c.outputs] for c in book.cells if c.cell_type == "code"]
    nbclient.NotebookClient(book, kernel_name="python3").execute()
    after = [[o.get("data", {}).get("text/latex") for o in c.outputs] for c in book.cells if c.cell_type == "code"]
    assert [[x for x in a if x] for a in after] == [[x for x in b if x] for b in before]
