"""What each form must be: LaTeX without an overfull line, HTML that needs nothing else, Unicode without commands."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner
from document_tools import CELLS, derivation, found, rows, written

from derive import document
from derive.cli import main
from derive.document import pdf
from derive.document.unicode import unicode
from derive.document.write_html import fragment
from derive.errors import DeriveError
from derive.rendering import templates

ALL = [*CELLS, "minimal"]
LANGS = ["en", "zh"]


def tex_files(*names: str) -> bool:
    """Whether TeX is installed with the files that a document needs."""
    if shutil.which("kpsewhich") is None:
        return False
    return all(subprocess.run(["kpsewhich", n], capture_output=True, check=False).returncode == 0 for n in names)


NEEDED = ("tikz.sty", "booktabs.sty", "mathtools.sty", "microtype.sty")
has_latex = shutil.which("pdflatex") is not None and tex_files(*NEEDED)
has_chinese = shutil.which("xelatex") is not None and tex_files("ctexart.cls", "FandolSong-Regular.otf", "pzdr.tfm")


@pytest.mark.parametrize("lang", LANGS)
@pytest.mark.parametrize("name", ALL)
def test_latex_is_well_formed(name, lang):
    tex = written(name, "tex", lang)
    assert tex.count("{") == tex.count("}")
    for environment in re.findall(r"\\begin\{(\w+)\}", tex):
        assert tex.count(rf"\begin{{{environment}}}") == tex.count(rf"\end{{{environment}}}"), environment
    assert tex.count(r"\section{") == 16
    assert r"\begin{align}" + "\n\n" not in tex and "\n\n\\end{align}" not in tex
    for trap in (r"\hbar", "}^{2}^", "_{t}_{", "$$"):
        assert trap not in tex
    for row in rows(name, lang):
        for formula in (row.lhs, *row.parts):
            assert not re.search(r"_\{[^{}]*\}_|\^\{[^{}]*\}\^", formula), f"a double script in {formula}"
            assert not re.search(r"carry|d_[a-z]|seed|Kronecker|\\_", formula), f"a name of a machine in {formula}"


def overfull(log: str) -> list[str]:
    return [
        line for line in log.splitlines() if line.startswith(("Overfull", "Missing character")) or "undefined" in line
    ]


def log_of(tex: str, engine: str, folder: Path) -> str:
    (folder / "d.tex").write_text(tex, encoding="utf-8")
    for _ in range(2):
        done = subprocess.run(
            [engine, "-interaction=nonstopmode", "-halt-on-error", "d.tex"],
            cwd=folder,
            capture_output=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout.decode(errors="replace")[-2000:]
    return (folder / "d.log").read_text(encoding="utf-8", errors="replace")


@pytest.mark.skipif(not has_latex, reason="LaTeX or one of its packages is not installed")
@pytest.mark.parametrize("name", ALL)
def test_latex_sets_every_line_within_the_margins(name, tmp_path):
    assert overfull(log_of(written(name), "pdflatex", tmp_path)) == []


@pytest.mark.skipif(not has_chinese, reason="xelatex, ctex or the Fandol fonts are not installed")
@pytest.mark.parametrize("name", ["lstm", "lstm_layernorm"])
def test_chinese_latex_sets_every_line_within_the_margins(name, tmp_path):
    assert overfull(log_of(written(name, "tex", "zh"), "xelatex", tmp_path)) == []


@pytest.mark.skipif(not has_latex, reason="LaTeX or one of its packages is not installed")
def test_pdf(tmp_path):
    done = CliRunner().invoke(main, ["latex", "rnn", "--format", "pdf", "-o", str(tmp_path / "rnn.pdf")])
    assert done.exit_code == 0, done.output
    assert (tmp_path / "rnn.pdf").read_bytes().startswith(b"%PDF")


def test_pdf_without_tex_says_what_to_install(monkeypatch):
    monkeypatch.setattr(pdf.shutil, "which", lambda name: None)
    for lang, package in (("en", "texlive-latex-extra"), ("zh", "texlive-lang-chinese")):
        with pytest.raises(DeriveError, match=package):
            pdf.pdf(document.document(found("rnn"), lang=lang))


def test_pdf_needs_a_file():
    done = CliRunner().invoke(main, ["latex", "rnn", "--format", "pdf"])
    assert done.exit_code == 2


@pytest.mark.parametrize("name", ["lstm", "minimal"])
def test_html_needs_nothing_else(name):
    page = written(name, "html")
    assert not re.search(r'(src|href)="(?!#|data:)', page.split("<script>")[0])
    assert not re.search(r"url\((?!data:|#)", page.split("<script>")[0]) and "@import" not in page
    assert "prefers-color-scheme: dark" in page and "<details" in page and "<svg" in page and "@media print" in page
    assert page.count("<section ") == 16 and page.count("<h2>") == 16
    for tag in ("div", "span", "details", "table", "section", "figure", "svg", "a", "code", "i"):
        body = page.split("<script>")[0]
        assert len(re.findall(rf"<{tag}[ >]", body)) == body.count(f"</{tag}>"), tag


@pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")
@pytest.mark.parametrize("lang", LANGS)
@pytest.mark.parametrize("name", ALL)
def test_katex_sets_every_formula_in_strict_mode(name, lang, tmp_path):
    (tmp_path / "page.html").write_text(written(name, "html", lang), encoding="utf-8")
    script, katex = Path(__file__).parent / "katex.js", templates() / "html" / "katex" / "katex.min.js"
    done = subprocess.run(
        ["node", str(script), str(katex), str(tmp_path / "page.html")], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]
    assert int(done.stdout.split()[-4]) > 300


@pytest.mark.parametrize("lang", LANGS)
@pytest.mark.parametrize("name", ["lstm", "lstm_layernorm", "minimal"])
def test_text_has_no_commands_left(name, lang):
    text = written(name, "text", lang)
    assert "\\" not in text and "$" not in text and "[[" not in text and "**" not in text
    assert len(re.findall(r"^-+$", text, re.MULTILINE)) == 16
    unknown = {w for w in re.findall(r"[A-Za-z]{5,}", unicode(" ".join(p for r in rows(name, lang) for p in r.parts)))}
    assert unknown <= {"softplus"}


@pytest.mark.parametrize("lang", LANGS)
def test_markdown(lang):
    text = written("lstm", "md", lang)
    assert text.count("\n## ") == 17 and text.count("$$") % 2 == 0
    assert set(re.findall(r"\]\(#([^)]*)\)", text)) <= set(re.findall(r'<a id="([^"]*)">', text))


def test_a_fragment_for_notebooks_brings_no_script():
    part = fragment(document.document(found("rnn")))
    assert "<script" not in part and "$$" in part and part.count("<details>") >= 16


def test_formulas_in_unicode():
    assert unicode(r"\bar{z}_{f,n}(t + 1)\,\bigl(1 - u(t)^{\odot 2}\bigr)") == "z̄_{f,n}(t + 1) (1 - u(t)²)"
    assert unicode(r"\frac{\partial L}{\partial v}") == "(∂ L)/(∂ v)"
    assert unicode(r"\sum_{k} U_{f,k n}\,x_{k}") == "Σ_k U_{f,k n} x_k"
    assert unicode(r"W_{i}^{\top}\,\overleftarrow{c}") == "W_iᵀ c⃖"


def test_every_cell_is_written_with_letters_of_its_own():
    for name in ALL:
        letters = derivation(name).names.letters
        shown = [letter.latex() for letter in letters.values()]
        assert len(set(shown)) == len(shown), f"{name}: one letter for two tensors"
