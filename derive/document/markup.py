"""Running text with its four marks, cut into pieces that each form writes in its own way."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

_MARKS = re.compile(r"\$([^$]+)\$|`([^`]+)`|\*\*(.+?)\*\*|\[\[([^\]]+)\]\]")


@dataclass(frozen=True)
class Piece:
    """kind: text, math, code, strong, ref, line (of the C file)."""

    kind: str
    text: str


def pieces(text: str) -> list[Piece]:
    """The pieces of a text, in order."""
    found = []
    start = 0
    for mark in _MARKS.finditer(text):
        if mark.start() > start:
            found.append(Piece("text", text[start : mark.start()]))
        math, code, strong, ref = mark.groups()
        if math is not None:
            found.append(Piece("math", math))
        elif code is not None:
            found.append(Piece("code", code))
        elif strong is not None:
            found.append(Piece("strong", strong))
        elif ref.startswith("c:"):
            found.append(Piece("line", ref[2:]))
        else:
            found.append(Piece("ref", ref))
        start = mark.end()
    if start < len(text):
        found.append(Piece("text", text[start:]))
    return found


def written(text: str, write: Callable[[Piece], str]) -> str:
    """A text with every piece written."""
    return "".join(write(p) for p in pieces(text))
