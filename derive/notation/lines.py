"""Where an equation stands in the file that a person wrote, for the messages of errors."""

from __future__ import annotations

import ast
import linecache
import os
import traceback
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from types import FrameType, TracebackType

_HERE = str(Path(__file__).resolve().parent)
_WIDEST = 160  # letters of a statement that are shown


@dataclass(frozen=True)
class Line:
    """A line of Python: the file as the interpreter names it, and the number of the line."""

    file: str
    number: int

    def __str__(self) -> str:
        """cell.py, line 12: h[t, n] = tanh(z[t, n])

        A notebook and a text that is executed have no file that a reader could open; where even the text is gone the
        line stands alone.
        """
        name = f"{os.path.basename(self.file)}, " if os.path.exists(self.file) else ""
        statement = self.statement()
        return f"{name}line {self.number}" + (f": {statement}" if statement else "")

    def statement(self) -> str:
        """The statement that begins or continues on the line, on one line; empty where its text is not known."""
        linecache.checkcache(self.file)  # a person changes the file and runs it again
        lines = linecache.getlines(self.file)
        try:
            tree = ast.parse("".join(lines))
        except (SyntaxError, ValueError):
            return linecache.getline(self.file, self.number).strip()
        found = [
            node
            for node in ast.walk(tree)
            if isinstance(node, ast.stmt)
            and not hasattr(node, "body")
            and node.lineno <= self.number <= (node.end_lineno or node.lineno)
        ]
        text = ast.get_source_segment("".join(lines), found[-1]) if found else linecache.getline(self.file, self.number)
        text = " ".join((text or "").split())
        return text if len(text) <= _WIDEST else f"{text[: _WIDEST - 3]}..."


def of_caller(frame: FrameType | None) -> Line:
    """The line of the innermost caller outside of the notation: a cell function, or one that it calls."""
    while frame is not None and _is_ours(frame.f_code.co_filename):
        frame = frame.f_back
    return Line(frame.f_code.co_filename, frame.f_lineno) if frame is not None else Line("", 0)


def of_error(trace: TracebackType | None, files: Iterable[str]) -> Line | None:
    """The innermost line of a traceback that stands in one of the files; else the innermost that is a person's."""
    frames = [f for f in traceback.extract_tb(trace) if not _is_ours(f.filename) and f.lineno is not None]
    own = [f for f in frames if f.filename in set(files)]
    for frame in reversed(own or frames):
        return Line(frame.filename, frame.lineno or 0)
    return None


def _is_ours(file: str) -> bool:
    return os.path.dirname(file) == _HERE
