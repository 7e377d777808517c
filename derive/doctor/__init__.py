"""What an installation consists of, whether it works, and what to do where it does not.

software.py looks at versions, compiling.py at the compiler and the processor, kept.py at the cells that are compiled and at the
cache, surroundings.py at the environment and the terminal.  Each looks without changing anything, and one that cannot look
says so: nothing here needs a compiler, a compiled cell, a home folder, or SymPy.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from derive.doctor import compiling, kept, software, surroundings
from derive.doctor.finding import BROKEN, NOTE, OK, Finding

__all__ = ["BROKEN", "NOTE", "OK", "PARTS", "Finding", "examine"]

# Part of the report -> what looks at it, in order.
PARTS: dict[str, Callable[[], Iterator[Finding]]] = {
    "versions": software.versions,
    "compiler": compiling.compiler,
    "processor": compiling.processor,
    "cells": kept.cells,
    "cache": kept.cache,
    "environment": surroundings.environment,
    "terminal": surroundings.terminal,
}


def examine(progress: Callable[[str], None] = lambda part: None) -> list[Finding]:
    """All findings, part by part."""
    found: list[Finding] = []
    for part, look in PARTS.items():
        progress(part)
        try:
            for finding in look():
                found.append(finding)
        except Exception as error:  # whatever is broken, the rest of the report is wanted all the more
            words = f"cannot be looked at: {type(error).__name__}: {error}"
            found.append(
                Finding(part, part, BROKEN, words, "repair what the message names, and run `derive doctor` again")
            )
    return found
