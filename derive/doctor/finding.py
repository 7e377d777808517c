"""One line of the report."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

OK, NOTE, BROKEN = "ok", "note", "broken"


@dataclass(frozen=True)
class Finding:
    """What was found of one thing. state: "ok", "note" (works, and you may want to know), or "broken".

    found: the finding in words.  advice: what to do, empty where there is nothing to do.  value: the finding for programs, a
    number, a string or a list of strings; None where there is none.
    """

    part: str
    name: str
    state: str
    found: str
    advice: str = ""
    value: Any = None
