"""What is not supported is refused when the cell is read: in words, with the line, before anything is derived."""

from __future__ import annotations

import linecache
import textwrap

import pytest
from refused import REFUSED

from derive import notation, registry
from derive.errors import DeriveError
from derive.notation import Cell

HEAD = "import numpy, sympy\nfrom derive.ir import T\nfrom derive.notation import *\nfrom derive.notation import head, loss\n"


def read(text, name="<cells>"):
    """Run a cell file, and ask its cells for their programs, as everything that derives does first."""
    space = dict(vars(notation))
    exec(compile(HEAD + text, name, "exec"), space)
    for found in space.values():
        if isinstance(found, Cell):
            found.normal()


def split(text):
    """The text of a case, and the line that is marked in it: its number in the file and its statement."""
    lines = textwrap.dedent(text).strip("\n").split("\n")
    marked = [
        (p + 1 + HEAD.count("\n"), line.removesuffix("  #!").strip()) for p, line in enumerate(lines) if "#!" in line
    ]
    return "\n".join(line.removesuffix("  #!") for line in lines), marked[0] if marked else None


@pytest.mark.parametrize("case", REFUSED)
def test_it_is_refused_with_its_line(case, tmp_path):
    """The statement and the file stand behind the message where a line is at fault, and no word of Python's insides."""
    text, words = REFUSED[case]
    text, marked = split(text)
    path = tmp_path / "mine.py"
    path.write_text(HEAD + text, encoding="utf-8")
    with pytest.raises(DeriveError) as caught:
        read(text, str(path))
    message = str(caught.value)
    # "the first stands on line 4" counts from the cell, here and in the case
    for word in words:
        assert shifted(word) in message, message
    if marked is not None:
        number, statement = marked
        assert f"\n  mine.py, line {number}: {statement}" in message, message
    assert not any(sign in message for sign in ("object at 0x", "<class", "<function", "Traceback")), message


def shifted(word):
    return word.replace("on line 4", f"on line {3 + HEAD.count(chr(10))}")


def test_a_line_is_that_of_the_file_as_it_is_now(tmp_path):
    """A person mends a line and reads the file again, in the same process."""
    path = tmp_path / "mine.py"
    for wrong in ("sin(h)", "Symbol('q') * h[t - 1, n]"):
        text = f"@cell(states='h')\ndef mine(x, h, W):\n    h[t, n] = {wrong} + Sum(W[n, j] * x[t, j], j)\n"
        path.write_text(HEAD + text, encoding="utf-8")
        with pytest.raises(DeriveError) as caught:
            read(text, str(path))
        assert wrong in str(caught.value)


def test_a_text_without_a_file_has_lines_too():
    """In a notebook and in exec: the line, and the statement where Python knows it."""
    text, (number, statement) = split(REFUSED["a sum over a part of the units"][0])
    with pytest.raises(DeriveError, match=rf"\n  line {number}$"):
        read(text)
    name = "<notebook cell 7>"
    source = HEAD + text
    linecache.cache[name] = (len(source), None, source.splitlines(keepends=True), name)
    with pytest.raises(DeriveError) as caught:
        read(text, name)
    assert str(caught.value).endswith(f"\n  line {number}: {statement}")


def test_a_statement_over_several_lines_is_shown_on_one(tmp_path):
    text = '@cell(states="h")\ndef mine(x, h, W):\n    h[t, n] = Sum(\n        W[n, j]\n        * x[t, k], j\n    )\n'
    path = tmp_path / "mine.py"
    path.write_text(HEAD + text)
    with pytest.raises(DeriveError, match=r"mine.py, line \d+: h\[t, n\] = Sum\( W\[n, j\] \* x\[t, k\], j \)$"):
        read(text, str(path))


def test_a_file_of_cells_is_refused_on_the_command_line(tmp_path):
    """As `derive check mine.py` reads it."""
    text, (number, _) = split(REFUSED["a sum over a part of the units"][0])
    path = tmp_path / "mine.py"
    path.write_text(HEAD + text)
    with pytest.raises(DeriveError, match=rf"mine.py, line {number}"):
        registry.in_file(path)


def test_a_formula_without_end_is_no_crash(monkeypatch):
    """Deeper than Python's stack: SymPy itself fails, and that is said."""
    text = """
@cell(states="h")
def mine(x, h, W, a):
    v = h[t - 1, n]
    for q in range(2000):
        v = a[n] / (1 + v * v)
    h[t, n] = v + Sum(W[n, j] * x[t, j], j)
"""
    with pytest.raises(DeriveError, match="nested too deeply; give its parts names"):
        read(text)
