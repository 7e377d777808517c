"""What commands write to: encodings without Greek, screens without width, devices that are full, readers that leave, Ctrl-C."""

from __future__ import annotations

import io
import json
import os
import re
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner, Result

from derive import terminal
from derive.cli import main
from derive.doctor import Finding

COST = ("cost", "lstm", "-T", "5", "-B", "2", "-I", "3", "-H", "4")
FLOW = ("flow", "rnn", "lstm", "-T", "5", "-H", "4", "--scale", "1")
AUDIT = ("audit", str(Path(__file__).resolve().parents[2] / "examples" / "audit" / "rnn_vignette.py"))
COMMANDS = [
    ("list",),
    ("list", "lstm"),
    ("doctor",),
    ("cache", "ls"),
    COST,
    FLOW,
    AUDIT,
    ("latex", "rnn", "--format", "text"),
    ("check", "rnn"),
    ("cost", "lstmm"),
]
full = pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs a device that is always full")


def derive(*words: str, **options: Any) -> subprocess.CompletedProcess[bytes]:
    """The command in a process of its own."""
    environment = {**os.environ, **options.pop("env", {})}
    command = [sys.executable, "-m", "derive", *words]
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
    return subprocess.run(command, env=environment, check=False, **options)


def said(*words: str, charset: str = "utf-8", columns: str = "200") -> Result:
    """The same command here."""
    done = CliRunner(charset=charset, env={"COLUMNS": columns}).invoke(main, list(words))
    assert isinstance(done.exception, SystemExit | None), done.exception
    return done


@pytest.fixture(autouse=True)
def few_checks(monkeypatch: pytest.MonkeyPatch) -> None:
    row = {"cell": "rnn", "dtype": "float64", "gradient": "weight_ih", "reference": "complex step"}
    rows = [SimpleNamespace(**row, error=1e-16, limit=1e-13, ok=True)]
    monkeypatch.setattr("derive.check.run", lambda name: rows)


@pytest.fixture(autouse=True)
def a_kept_module(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A cache with one entry, and findings that do not depend on the machine."""
    entry = tmp_path / "cache" / "mine_0123456789abcdef"
    entry.mkdir(parents=True)
    (entry / "mine_f32.c").write_text("int x;")
    about = {"cell": "mine", "loss": "", "sizes": {"H": 16}}
    stamp = {"key": "0", "module": "m", "files": {"mine_f32.c": [6, "0"]}, "accepted": [], "about": about}
    (entry / "stamp.json").write_text(json.dumps(stamp))
    monkeypatch.setenv("DERIVE_CACHE", str(entry.parent))
    found = [
        Finding("cells", "lstm", "ok", "compiled"),
        Finding("terminal", "encoding", "note", "σ ≤ Σ_j", "set PYTHONIOENCODING"),
    ]
    monkeypatch.setattr("derive.doctor.examine", lambda progress: found)


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_what_an_encoding_has_not_is_written_in_ascii(words: tuple[str, ...], encoding: str) -> None:
    """The same as in UTF-8, symbol by symbol, with the same status."""
    usual, found = said(*words), said(*words, charset=encoding)
    assert found.exit_code == usual.exit_code
    text, expected = found.output, usual.output
    assert text.strip() and text.count("PYTHONIOENCODING") == expected.count("PYTHONIOENCODING")
    assert text.isascii() or encoding != "ascii"
    if words[0] in ("list", "latex", "doctor"):  # the others have tables, whose frames are drawn otherwise
        assert [terminal.plain(line, encoding) for line in expected.split("\n")] == text.split("\n")
    assert text.count("?") == expected.count("?"), "a character that no person can read"
    for symbol, word in {"∂L": "dL", "Σ_j": "Sum_j", "σ:": "sigma:"}.items():
        assert expected.count(symbol) <= text.count(word)


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_a_process_whose_output_is_no_utf_8(encoding: str) -> None:
    done = derive(*FLOW, env={"PYTHONIOENCODING": encoding})
    assert done.returncode == 0 and not done.stderr
    assert "| max |lambda| |" in done.stdout.decode(encoding)


def test_the_c_locale(tmp_path: Path) -> None:
    """Without the help that Python gives itself there: the terminal is ASCII."""
    locale = {"LANG": "C", "LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}
    done = derive("list", "lstm", env=locale)
    assert done.returncode == 0 and b"Sum_j W_i[n, j]*x[t, j]" in done.stdout, done.stderr
    done = derive("latex", os.fsdecode(b"\xff\xe9.py"), env=locale, cwd=tmp_path)
    assert done.returncode == 2 and b"no file \\xff\\xe9.py" in b" ".join(done.stderr.split()), done.stderr


@pytest.mark.parametrize("form", ["tex", "html", "md"])
def test_documents_that_say_that_they_are_utf_8(form: str) -> None:
    words = ("latex", "rnn", "--format", form, "--lang", "zh")
    usual, plain = said(*words), said(*words, charset="latin-1")
    assert usual.exit_code == plain.exit_code == 0, plain.stderr
    assert usual.stdout_bytes == plain.stdout_bytes and "循环".encode() in plain.stdout_bytes


def test_a_language_that_the_terminal_cannot_show() -> None:
    done = said("latex", "rnn", "--format", "text", "--lang", "zh", charset="latin-1")
    assert done.exit_code == 2 and not done.stdout
    assert "write it to a file with -o FILE" in " ".join(done.stderr.split())


@pytest.mark.parametrize("columns", ["0", "20", "33", "many", "²", "99999999999"])
@pytest.mark.parametrize("words", [*COMMANDS[:-3], ("-h",), ("cost", "-h"), ("cache", "-h")], ids=" ".join)
def test_no_width_takes_anything_away(words: tuple[str, ...], columns: str) -> None:
    """Every word and number of a wide screen is there, however the lines are broken."""

    def tokens(columns: str) -> Counter[str]:
        output = said(*words, columns=columns).output
        assert "…" not in output and len(output) < 100_000
        return Counter(re.sub(r"[─━│╭╮╰╯┃┏┳┓┡╇┩└┴┘]", " ", output).split())

    assert tokens(columns) == tokens("300")


@full
@pytest.mark.parametrize(
    "words", [*COMMANDS[:-1], ("latex", "rnn"), ("-h",), ("list", "-h"), ("--version",)], ids=" ".join
)
def test_a_device_that_is_full(
    words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with open("/dev/full", "w", encoding="utf-8") as device:
        monkeypatch.setattr(sys, "stdout", device)
        with pytest.raises(SystemExit) as end:
            main(list(words))
    assert end.value.code == 2
    assert capsys.readouterr().err == "derive: cannot write the output: No space left on device\n"


@full
def test_all_devices_are_full() -> None:
    with open("/dev/full", "wb") as device:
        done = derive("list", stdout=device)
        assert done.returncode == 2
        assert done.stderr == b"derive: cannot write the output: No space left on device\n"
        assert derive("list", stdout=device, stderr=device).returncode == 2
        assert derive("cost", "lstmm", stdout=device, stderr=device).returncode == 2
    done = derive("latex", "rnn", "-o", "/dev/full")
    assert done.returncode == 2 and b"cannot use /dev/full: No space left on device" in b" ".join(done.stderr.split())


@pytest.mark.skipif(os.name != "posix", reason="needs pipes that tell when their reader has gone")
@pytest.mark.parametrize("words", [("list",), ("latex", "rnn", "--format", "text"), ("-h",)], ids=" ".join)
def test_a_reader_that_has_gone(words: tuple[str, ...]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = derive(*words, stdout=writing)
    finally:
        os.close(writing)
    assert done.returncode in (1, 141) and not done.stderr
    if words != ("-h",):
        assert done.returncode == 141


@pytest.mark.skipif(os.name != "posix", reason="needs a shell")
@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-"])
def test_streams_that_are_closed(closed: str) -> None:
    for words, status in (("-h", 0), ("cost lstmm", 2)):
        command = f"{sys.executable} -m derive {words} {closed}"
        done = subprocess.run(["sh", "-c", command], capture_output=True, check=False)
        assert done.returncode == status and b"Traceback" not in done.stderr


@pytest.mark.skipif(os.name != "posix", reason="needs signals")
def test_ctrl_c() -> None:
    """The status that a shell gives to a process that the signal ended, wherever it comes; nothing but a line end said."""
    program = (
        "import os, sys, threading, signal\n"
        "threading.Timer({delay}, os.kill, (os.getpid(), signal.SIGINT)).start()\n"
        "sys.argv = ['derive', 'flow', 'lstm', '-T', '100000']\n"
        "from derive.__main__ import main\n"
        "main()\n"
    )
    for delay in ("0.02", "0.2", "0.5", "1"):
        command = [sys.executable, "-c", program.format(delay=delay)]
        for _ in range(5):  # Python drops an interrupt that comes in a callback of an import, and the command goes on
            done = subprocess.run(command, capture_output=True, check=False)
            assert done.returncode in (0, 130), (delay, done.returncode, done.stderr)
            assert b"Traceback" not in done.stderr and not done.stderr.strip()
            if done.returncode == 130:
                break
        assert done.returncode == 130, (delay, done.returncode, done.stderr)


def test_ctrl_c_while_a_command_works(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.getsignal(signal.SIGINT)
    monkeypatch.setattr("derive.check.run", interrupted)
    try:
        done = CliRunner().invoke(main, ["check", "rnn"])
    finally:
        signal.signal(signal.SIGINT, before)
    assert done.exit_code == 130 and not done.output.strip()


def test_every_symbol_of_the_package_has_words() -> None:
    """None that is written becomes a question mark, and nothing changes where the encoding has it."""
    root = Path(terminal.__file__).parent
    text = "".join(path.read_text(encoding="utf-8") for path in [*root.rglob("*.py")])
    for symbol in sorted({character for character in text if not character.isascii()} - set("循环")):
        words = terminal.ascii_for(symbol)
        assert words.isascii() and words not in ("", "?"), f"{symbol} is written {words!r}"
        assert terminal.plain(symbol, "utf-8") == symbol
    assert terminal.plain("h\u0304 ╭┼╯│━ ½ é e\u0301 𝛼𝐗 \ufb01 字", "ascii") == "hbar +++|- 1/2 e e alphaX fi ?"
    assert terminal.plain("é·ℓ", "latin-1") == "é·l"


def test_errors_of_others_are_not_hidden() -> None:
    """An OSError about a file is no full device, and neither is one that has no number."""

    def fails(error: OSError) -> None:
        raise error

    for error in (OSError(2, "No such file", "x"), OSError("without a number")):
        with pytest.raises(OSError):
            terminal.run(lambda error=error: fails(error))


def test_names_with_brackets_are_no_markup(capsys: pytest.CaptureFixture[str]) -> None:
    terminal.Terminal().print("[bold]a[/bold] :smile:")
    assert capsys.readouterr().out == "[bold]a[/bold] :smile:\n"


def test_a_stream_that_cannot_be_set_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Such as that of a notebook."""
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stdout", stream)
    assert terminal.run(lambda: terminal.write_document("∂", declared=True)) == 0
    assert stream.getvalue() == "∂\n"
