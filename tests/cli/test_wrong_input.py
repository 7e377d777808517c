"""What a command says to wrong input: what was found, what was expected and what to do; a code of 2 and no traceback."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from derive.cli import main

FILES = {
    "syntax.py": 'from derive.notation import cell\n\n\n@cell(states="h"\ndef syntax(x, h):\n    pass\n',
    "nothing.py": "x = 1\n",
    "raises.py": "numbers = [1]\n\nnumbers[2]\n",
    "imports.py": "import no_such_library\n",
    "ends.py": "raise SystemExit(3)\n",
    "binary.py": "\0",
    "text.txt": "words",
    "wrong.py": """
from derive.notation import Sum, cell, j, n, t

@cell(states="h")
def wrong(x, h, W):
    h[t, n] = Sum(W[n, j] * x[t, j], j) + h[t + 1, n]
""",
}
SHAPE = ("-T", "20", "-B", "8", "-I", "5", "-H", "16")
SMALL = ("-T", "5", "-H", "4", "--scale", "1")


@pytest.fixture(autouse=True)
def there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    (tmp_path / "folder").mkdir()


def said(*words: str) -> str:
    """What a command says in words, without frames and line ends."""
    done = CliRunner().invoke(main, list(words), env={"COLUMNS": "300"})
    assert isinstance(done.exception, SystemExit), done.exception
    assert done.exit_code == 2, done.output
    return " ".join(re.sub(r"[│╭╮╰╯─]", " ", done.stderr).split())


NO_CELL = {
    "missing.py": ["no file missing.py in ", "expected a Python file that defines a cell"],
    "folder": ["no cell named 'folder': it is a folder", "given by its file, as in mine.py"],
    "folder.py": ["no file folder.py"],
    "syntax.py": ["syntax.py, line 4: SyntaxError: '(' was never closed"],
    "nothing.py": ["nothing.py must define one cell, or one named nothing; found none", "@cell"],
    "raises.py": ["raises.py, line 3: IndexError: list index out of range"],
    "imports.py": ["imports.py, line 1: ModuleNotFoundError: No module named 'no_such_library'"],
    "ends.py": ["ends.py, line 1: SystemExit: 3"],
    "binary.py": ["binary.py: ", "null bytes"],
    "text.txt": ["no cell named 'text.txt'", "as in mine.py"],
    "wrong.py": ["wrong", "h[t + 1, n] is read at time t + 1; only t and t-1 can be read"],
    "lstmm": ["no cell named 'lstmm': did you mean lstm?", "There are gru, lstm, "],
    "LSTM": ["did you mean lstm?"],
    "lstm.py": ["no cell named 'lstm.py': did you mean lstm?"],
    "": ["no cell named ''", "there are gru, lstm, "],
}


@pytest.mark.parametrize("given", NO_CELL)
@pytest.mark.parametrize(
    "command", [("cost", *SHAPE), ("latex",), ("check",), ("build",), ("flow", *SMALL), ("list",)], ids=lambda c: c[0]
)
def test_no_cell(command: tuple[str, ...], given: str) -> None:
    found = said(*command, given)
    for words in NO_CELL[given]:
        assert words in found


NO_DERIVATION = {
    "missing.py": "no file missing.py",
    "folder": "folder",
    "syntax.py": "syntax.py, line 4: SyntaxError: '(' was never closed",
    "nothing.py": "nothing.py defines no derivation; put @derivation",
    "raises.py": "IndexError: list index out of range",
    "text.txt": "text.txt is no Python file",
}


@pytest.mark.parametrize("given", NO_DERIVATION)
def test_no_derivation(given: str) -> None:
    assert NO_DERIVATION[given] in said("audit", given)


NUMBERS = {
    ("cost", "lstm"): "lstm needs the sizes T, B, I, H; not given: T, B, I, H",
    ("cost", "lstm", *SHAPE[2:], "-T", "-3"): "'-T': -3 is not in the range x>=1",
    ("cost", "lstm", *SHAPE[:-1], "0"): "'-H': 0 is not in the range x>=1",
    ("cost", "lstm", *SHAPE[:-1], "1e3"): "'1e3' is not a valid integer",
    ("cost", "lstm", *SHAPE, "--size", "O=-1"): "'O=-1' is not NAME=VALUE with a whole number",
    ("cost", "lstm", *SHAPE, "--size", "O=0"): "'O=0' is not NAME=VALUE with a whole number from 1 on",
    ("cost", "lstm", *SHAPE, "--size", "O=3,4"): "'4' is not NAME=VALUE with a whole number",
    ("cost", "lstm", *SHAPE, "--size", f"O={'9' * 5000}"): "is not NAME=VALUE with a whole number",
    ("cost", "lstm", "--size", "T=5,T=6,B=2,I=3,H=4"): "the size T is given twice, as 5 and as 6",
    ("flow", "rnn", *SMALL, "--size", "B=3"): "the sizes are T, H here; found B=3",
    ("flow", "rnn", *SMALL, "--size", "T=6"): "the size T is given twice, as 5 and as 6",
    ("audit", "nothing.py", "--size", "T=2,x"): "'x' is not NAME=VALUE with a whole number",
    ("audit", "nothing.py", "-T", "2,3", "--size", "T=2,5"): "the size T is given twice, as 2,3 and as 2,5",
    ("cost", "lstm", *SHAPE, "--size", "=3"): "'=3' is not NAME=VALUE with a whole number",
    ("cost", "lstm", *SHAPE, "--size", "O=²"): "'O=²' is not NAME=VALUE with a whole number",
    ("cost", "lstm", *SHAPE, "--size", "H=3"): "the size H is given twice, as 16 and as 3",
    ("cost", "lstm", *SHAPE, "--size", "Q=3"): "lstm needs the sizes T, B, I, H; unknown: Q=3",
    ("cost", "lstm", *SHAPE, "--peak", "nan"): "peak must be above 0; found nan",
    ("cost", "lstm", *SHAPE, "--bandwidth", "1,2,-3,4"): "bandwidth must be above 0; found 1.0, 2.0, -3.0, 4.0",
    ("cost", "lstm", *SHAPE, "--caches", "nan,1,1"): "'nan,1,1' is no list of numbers with commas between them",
    ("cost", "lstm", *SHAPE, "--caches", "inf,1,1"): "'inf,1,1' is no list of numbers with commas between them",
    ("flow", "lstm", "-T", "0"): "0 is not in the range x>=1",
    ("flow", "lstm", "--scale", "0.9,"): "'0.9,' is no list of numbers with commas between them, such as 0,1,3",
    ("flow", "lstm", "--scale", "nan"): "'nan' is no list of numbers",
    ("flow", "lstm", "--keep", "x"): "'x' is no list of numbers",
    ("flow", "lstm", "--inputs", "nan"): "'nan' is no finite number of at least 0",
    ("flow", "lstm", "--inputs", "-1"): "'-1' is no finite number of at least 0",
    ("flow", "lstm", "--inputs", "x"): "'x' is no finite number of at least 0",
    ("flow", "rnn", "-H", "99999999"): "and this machine has",
    ("audit", "nothing.py", "-T", "0"): "'0': lengths are numbers from 1",
    ("audit", "nothing.py", "-T", "2,,3"): "'2,,3': lengths are numbers from 1",
    ("latex", "rnn", "--format", "doc"): "'doc' is not one of 'tex', 'pdf', 'html', 'md', 'text'",
    ("latex", "rnn", "--lang", "de"): "'de' is not one of 'en', 'zh'",
    ("latex", "rnn", "--format", "pdf"): "a PDF goes into a file: add -o FILE.pdf",
    ("lastex", "rnn"): "No such command 'lastex'",
}


@pytest.mark.parametrize("words", NUMBERS, ids=" ".join)
def test_wrong_numbers_and_choices(words: tuple[str, ...]) -> None:
    assert NUMBERS[words] in said(*words)


@pytest.mark.parametrize(
    "command", [("latex", "rnn"), ("flow", "rnn", *SMALL), ("demo",), ("new", "mine")], ids=lambda c: c[0]
)
def test_files_that_cannot_be_written(command: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    """Said before the work begins."""
    monkeypatch.setattr("derive.document.written", None)
    monkeypatch.setattr("derive.flow.flow", None)
    monkeypatch.setattr("derive.demo.run", None)
    assert "'folder' is a directory" in said(*command, "-o", "folder")
    assert "cannot write nowhere/x.png: there is no folder nowhere; make it first" in said(
        *command, "-o", "nowhere/x.png"
    )
    assert "there is no folder text.txt; make it first" in said(*command, "-o", "text.txt/x.png")
    assert "the name of a file is expected, found none" in said(*command, "-o", "")
    monkeypatch.setattr("derive.cli.options.os.access", lambda path, mode: False)
    assert "cannot write x.png: permission denied; choose another place" in said(*command, "-o", "x.png")


def test_a_disk_that_is_full(monkeypatch: pytest.MonkeyPatch) -> None:
    """Or whatever else the system says of a file when it is written."""

    def full(path: Path, data: bytes) -> None:
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr(Path, "write_bytes", full)
    assert "cannot use rnn.tex: No space left on device" in said("latex", "rnn", "-o", "rnn.tex")


def test_a_checkout_that_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    def closed(path: Path, *_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "write_text", closed)
    assert re.search(r"cannot use .*rnn.*: Permission denied", said("build", "rnn"))
