"""Which instruction set the compiled functions use: the best that the processor has, or the one named in DERIVE_ISA.

The first build is that of the compiler's own target.  It is called "base"; on 64-bit ARM, where that target always has
NEON, it is shown as "neon", and DERIVE_ISA may say either.
"""

from __future__ import annotations

import os
import platform
from typing import Any

from .errors import ArgumentError

VARIABLE = "DERIVE_ISA"
NAMES = ("base", "avx2", "avx512")  # number 1, 2, 3 of args.isa in C; 0 there means the best


def names() -> tuple[str, ...]:
    """What builds 1, 2 and 3 are called on this processor."""
    return ("neon", *NAMES[1:]) if platform.machine().lower() in ("aarch64", "arm64") else NAMES


def best(module: Any, cell: str) -> int:
    """The number of the best instruction set of this processor; `module` is the compiled module of `cell`."""
    return int(getattr(module.lib, f"{cell}_isa")())


def wanted(number: int) -> int:
    """The number that DERIVE_ISA asks for, `number` (the best) if it is unset or empty. Raises ValueError."""
    name = os.environ.get(VARIABLE, "")
    if not name:
        return number
    known = dict.fromkeys((*NAMES[:1], *names()))  # base is right everywhere
    if name not in known:
        raise ArgumentError(
            f"{VARIABLE} must be one of {', '.join(known)}, or unset for the best of them; found {name!r}"
        )
    chosen = 1 if name == NAMES[0] else names().index(name) + 1
    if chosen > number:
        there = ", ".join(names()[:number])
        raise ArgumentError(f"{VARIABLE}={name}, but this processor has only {there}; choose one of these")
    return chosen


def cpu(module: Any, cell: str) -> dict[str, Any]:
    """{"available": names of the instruction sets that run here, "isa": the one that is used}."""
    number = best(module, cell)
    return {"available": names()[:number], "isa": names()[wanted(number) - 1]}
