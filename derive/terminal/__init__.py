"""What the commands write to: terminals of any width and encoding, files, pipes, and devices that take no more.

What an encoding does not have is written in ASCII (Greek letters by name, frames as -, | and +), whatever the width says
nothing is cut off, and a command ends with a status and at most one line where its reader is gone or its disk is full.
"""

from __future__ import annotations

import codecs
import os
import signal
import sys
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, TextIO

import click
from rich.console import Console, Group
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from derive.errors import DeriveError

FAILED, MISUSE, INTERRUPTED, NO_READER = 1, 2, 130, 141  # statuses; the last two as of a process that the signal ended
NARROW, USUAL, WIDE = 20, 80, 1000  # columns: outside of the first and last the system cannot mean it
HANDLER = "derive.ascii"  # what is done about a character that an encoding does not have

_PLAIN = {
    "Σ": "Sum", "Π": "Prod", "∂": "d", "·": "*", "⊙": "(.)", "×": "x", "−": "-", "±": "+-", "√": "sqrt", "∞": "inf",
    "≤": "<=", "≥": ">=", "≠": "!=", "≈": "~", "∈": "in", "∋": "contains", "∇": "grad", "‖": "||", "′": "'", "ℓ": "l",
    "←": "<-", "→": "->", "↦": "|->", "⇒": "=>", "…": "...", "⋯": "...", "⋮": ":", "•": "*", "–": "-", "—": "--",
    "ᵀ": "^T", "⁄": "/", "⁻": "^-", "¹": "1", "²": "^2", "³": "^3", "“": '"', "”": '"', "‘": "'", "’": "'",
    "\u0304": "bar", "\u0303": "tilde", "\u0302": "hat", "\u0307": "dot", "\u20d6": "back", "\xa0": " ",
}  # fmt: skip


def ascii_for(character: str) -> str:
    """What stands for a character where only ASCII can be written."""
    if character in _PLAIN:
        return _PLAIN[character]
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:  # a byte of a file name that is no text
        return f"\\x{code - 0xDC00:02x}"
    name = unicodedata.name(character, "")
    if name.startswith("GREEK "):
        word = name.split()[-1].lower().replace("lamda", "lambda")
        return word.capitalize() if "CAPITAL" in name else word
    if name.startswith("BOX DRAWINGS"):
        straight = {"HORIZONTAL": "-", "VERTICAL": "|"}
        return straight.get(name.split()[-1], "+") if " AND " not in name else "+"
    if name.startswith("BRAILLE") or name.startswith("BLOCK"):
        return "."
    parts = unicodedata.normalize("NFKD", character)  # letters and their accents; an italic letter is a letter
    if parts != character:
        return "".join(part if part.isascii() else ascii_for(part) for part in parts)
    return "" if unicodedata.combining(character) else "?"


def _replaced(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(map(ascii_for, error.object[error.start : error.end])), error.end


codecs.register_error(HANDLER, _replaced)


def plain(text: str, encoding: str) -> str:
    """`text` with ASCII for what `encoding` does not have. Raises LookupError for an encoding that there is not."""
    return text.encode(encoding, HANDLER).decode(encoding)


class Unwritten(Exception):
    """The standard output takes no more. Not an OSError: click would end with the status of a failed check."""

    def __init__(self, error: OSError) -> None:
        super().__init__(str(error))
        self.error = error


class Terminal(Console):
    """A console that writes what people and files name as it is, and tables whole however narrow it is."""

    def __init__(self, stderr: bool = False) -> None:
        super().__init__(stderr=stderr, markup=False, emoji=False)

    def render_str(self, text: str, **options: Any) -> Any:
        """Text in a table is measured as it will be written."""
        return super().render_str(plain(text, self.encoding) if self.options.ascii_only else text, **options)

    def on_broken_pipe(self) -> None:
        """Leave it to `run`."""
        raise BrokenPipeError

    def print(self, *objects: Any, **options: Any) -> None:
        """As of Console; a table that is wider than the terminal is left to it."""
        whole = [one for group in objects for one in (group.renderables if isinstance(group, Group) else [group])]
        least = [self._keep_whole(table) for table in whole if isinstance(table, Table)]
        with self._at_least(max(least, default=0)):
            super().print(*objects, **options)

    def rule(self, title: str | Text = "", **options: Any) -> None:
        """As of Console, with the whole title."""
        with self._at_least(len(title) + 3):
            super().rule(title, **options)

    @contextmanager
    def _at_least(self, columns: int) -> Iterator[None]:
        width = self.width
        self.width = max(width, columns)
        try:
            yield
        finally:
            self.width = width

    def _keep_whole(self, table: Table) -> int:
        """Make each column wide enough for its longest word, or for all of a cell where lines may not be broken.

        Returns the columns of the screen that the table needs.
        """
        options = self.options.update(max_width=WIDE)
        for column in table.columns:
            cells = [Measurement.get(self, options, cell) for cell in (column.header, *column.cells)]
            column.min_width = max(cell.maximum if column.no_wrap else cell.minimum for cell in cells)
        return Measurement.get(self, options, table).minimum


def write_document(text: str, declared: bool) -> None:
    """Write a document to the standard output, ended by a line break.

    declared: whether it says itself that it is UTF-8, as TeX, HTML and Markdown do. It goes into a file as it is. What a
    terminal cannot show becomes ASCII; DeriveError where that is not possible, as for Chinese.
    """
    stream = sys.stdout
    raw = getattr(stream, "buffer", None)
    if declared and raw is not None and not stream.isatty():
        stream.flush()
        raw.write(f"{text}\n".encode())
        return
    encoding = stream.encoding or "utf-8"
    found = plain(text, encoding)
    if found.count("?") > text.count("?"):
        raise DeriveError(
            f"the encoding {encoding} of this terminal cannot show the language of the document; "
            f"write it to a file with -o FILE, or set PYTHONIOENCODING=utf-8"
        )
    stream.write(f"{found}\n")


def prepare() -> None:
    """Make the streams of a command write whatever it has to say, and its widths those of a screen."""
    for name in ("stdout", "stderr"):
        stream: TextIO | None = getattr(sys, name)
        if stream is None:  # closed by the process that started us
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))
        elif hasattr(stream, "reconfigure"):
            stream.reconfigure(errors=HANDLER)
    for name, least, most in (("COLUMNS", NARROW, WIDE), ("LINES", 2, WIDE)):
        value = os.environ.get(name)
        if value is not None and not (value.isascii() and value.isdigit() and least <= int(value) <= most):
            del os.environ[name]


def run(command: Callable[[], Any]) -> int:
    """The status of a command that is run to its end, whatever that is. A traceback is a fault of this program."""
    prepare()
    try:
        try:
            status = _status(command)
        finally:
            sys.stdout.flush()
    except Unwritten as unwritten:
        status = _unwritten(unwritten.error)
    except OSError as error:
        status = _unwritten(error)
    except (KeyboardInterrupt, click.Abort):
        # A second one ends the process at once, if something takes long to end.
        with suppress(ValueError):  # not in the main thread
            signal.signal(signal.SIGINT, signal.SIG_DFL)
        status = INTERRUPTED
    for stream in (sys.stdout, sys.stderr):
        _finish(stream)
    return status


def _unwritten(error: OSError) -> int:
    """The status where the output cannot be written. Raises `error` if it is about something else."""
    if isinstance(error, BrokenPipeError):
        return NO_READER
    if error.filename is not None or error.errno is None:
        raise error
    _say(f"derive: cannot write the output: {error.strerror}")
    return MISUSE


def _status(command: Callable[[], Any]) -> int:
    try:
        found = command()
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except SystemExit as end:
        found = end.code
    return found if isinstance(found, int) else 0


def _say(line: str) -> None:
    with suppress(OSError):
        sys.stderr.write(f"{line}\n")
        sys.stderr.flush()


def _finish(stream: TextIO) -> None:
    """Flush a stream; what it still holds for a reader that is gone goes nowhere, and Python has nothing to say at its end."""
    try:
        stream.flush()
    except OSError:
        with suppress(OSError, ValueError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, stream.fileno())
            os.close(nowhere)
