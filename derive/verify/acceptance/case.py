"""What is examined, and what the stamp of a module calls the examination."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from derive import verify
from derive.notation import Cell, Loss
from derive.runtime.core.isa import VARIABLE


@dataclass(frozen=True)
class Case:
    """A generated package in `folder`, and what it was made from; `sizes` are those that are fixed in its C."""

    cell: Cell
    loss: Loss | None
    sizes: Mapping[str, int]
    folder: Path


def tag() -> str:
    """What stands in a stamp for an examination that was passed: the instruction set asked for, and by which program."""
    return f"{os.environ.get(VARIABLE) or 'best'} {_program()}"


@cache
def _program() -> str:
    """The digest of the package that compares: a better one examines again what an older one accepted."""
    sources = sorted(Path(verify.__file__).parent.glob("*.py"))
    return hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()[:16]
