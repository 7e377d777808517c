"""Whatever a docstring holds, the files of the cell are valid, and hold it: C, Python, Markdown, TeX and HTML."""

from __future__ import annotations

import ast
import html
import re
import shutil
import subprocess
from collections import defaultdict

import pytest

from derive import escaping, generation
from derive.document import blocks, show, write_html, write_tex, write_text
from derive.notation import Sum, cell, j, n, t, tanh

DOCSTRINGS = {
    "the end of a comment": "As in papers/*/cell.tex, and */ alone",
    "the beginning of a comment": "a /* b // c /*/",
    "three quotes": 'Call it as f("""x""").',
    "quotes at the ends": '"quoted"',
    "backslashes": r"C:\new\N{BULLET}\u12\x1 \alpha \\",
    "a backslash at the end": "ends in \\",
    "trigraphs": "what??/ ??= ??( ??' ???/",
    "specials of TeX": r"_ & % # $x$ { } ~ ^ \ -- --- < > |",
    "specials of HTML": "<script>alert('&')</script> &amp; </title> <!-- -->",
    "marks of the document": "`code` **strong** $math$ [[F1]] [[c:7]]",
    "fields of templates": "%d %(x)s {0} {{ x }} {% raw %} {# c #} ${y}",
    "letters of the world": "größe λ → 单元 😀",
    "control characters": "nul\x00 bell\x07 escape\x1b\x7f",
    "turned around": "a\u202eb\u2066c\u200f",
    "half a letter": "lone \ud800 surrogate",
    "several lines": "first\n\n- second\n# third\n1. fourth\n| a | b |\n+ fifth\n===",
    "nothing": "",
}


def documented(doc):
    def mine(x, h, W, u):
        h[t, n] = tanh(Sum(W[n, j] * x[t, j], j) + u[n] * h[t - 1, n])

    mine.__doc__ = doc
    return cell(states="h")(mine)


@pytest.fixture(scope="module")
def files():
    return {name: generation.files(documented(doc)) for name, doc in DOCSTRINGS.items()}


def page_of(subtitle):
    """A document that has a subtitle and nothing else."""
    return blocks.Page("`mine`", subtitle, "en", "", (), defaultdict(lambda: "word"), {}, ())


def title(doc):
    return next(iter(documented(doc).doc.splitlines()), "") or "a cell without documentation"


@pytest.mark.parametrize("compiler", [("gcc", "-xc"), ("clang", "-xc"), ("g++", "-xc++")], ids=lambda c: c[0])
def test_the_header_compiles_without_a_warning(files, compiler, tmp_path):
    program, language = compiler
    if not shutil.which(program):
        pytest.skip(f"{program} is not installed")
    including = []
    for number, made in enumerate(files.values()):
        path = tmp_path / f"mine_{number}.h"
        # Each has the guard of mine.h: all of them are read by one run of the compiler.
        path.write_text(made["mine.h"].replace("mine", f"mine_{number}").replace("MINE", f"MINE_{number}"))
        including.append(f'#include "{path.name}"')
    calls = " + ".join(f"(mine_{number}_error(0) != 0)" for number in range(len(files)))
    source = tmp_path / "all.c"
    source.write_text("\n".join(including) + f"\nint main(void) {{ return {calls}; }}\n")
    standard = "c99" if language == "-xc" else "c++17"
    warnings = ["-Wall", "-Wextra", "-Wpedantic", "-Werror", *(["-Wbidi-chars=any"] if program == "gcc" else [])]
    command = [program, language, f"-std={standard}", *warnings, "-fsyntax-only", source]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", DOCSTRINGS)
def test_python_reads_the_title_back(files, name):
    module = ast.parse(files[name]["__init__.py"])
    doc = ast.get_docstring(module, clean=False)
    assert f"\nmine: {title(DOCSTRINGS[name])}\n" in doc


@pytest.mark.parametrize("name", DOCSTRINGS)
def test_the_comment_of_c_says_it_in_its_own_letters(files, name):
    """What is left of the title without the blanks that part the signs of a comment and of a trigraph."""
    line = next(line for line in files[name]["mine.h"].split("\n") if line.startswith(" * mine:"))
    said = line.removeprefix(" * mine:").replace(" ", "")
    assert said == escaping.visible(title(DOCSTRINGS[name])).replace(" ", "")
    assert "*/" not in line[2:] and "/*" not in line


@pytest.mark.parametrize("name", DOCSTRINGS)
def test_markdown_and_html_show_the_letters(name):
    """A page with the title as its subtitle, the marks of the document not acting in it."""
    first = title(DOCSTRINGS[name])
    page = page_of(first)
    shown = escaping.visible(first)
    markdown = write_text.markdown(page).split("\n\n")[1]
    assert re.sub(r"\\([!-/:-@\[-`{-~])", r"\1", markdown) == shown
    page_html = write_html.html(page)
    found = re.search(r'<p class="subtitle">(.*?)</p>', page_html, re.DOTALL)
    assert found is not None and html.unescape(found[1]) == shown
    assert html.unescape(re.search(r"</b>(.*?)</p>", show.html(documented(DOCSTRINGS[name])), re.DOTALL)[1]) in (
        f": {shown}",
        "",
    )


@pytest.mark.parametrize("name", DOCSTRINGS)
def test_tex_has_no_letter_that_acts(name):
    """Without its commands for letters, TeX finds none of its specials; braces are in pairs."""
    first = title(DOCSTRINGS[name])
    page = page_of(first)
    made = write_tex.tex(page)
    said = made[made.index(r"\centering ", made.index(r"\begin{document}")) :].split("\n")[0]
    said = said.removeprefix(r"\centering ").removesuffix(" }")
    rest = re.sub(r"\\text\w+\{(U\+[0-9A-F]+)?\}|\\[&%#_{}$]|-\{\}", "", said)
    assert not re.search(r"[\\&%#_{}$~^<>|]", rest), said
    assert "--" not in said


def test_the_readme_is_one_paragraph_after_another(files):
    """The list, the heading and the table of a docstring are text."""
    readme = files["several lines"]["README.md"]
    for line in ("\\- second", "\\# third", "1\\. fourth", "\\| a \\| b \\|", "\\+ fifth", "\\==="):
        assert f"\n{line}\n" in readme
