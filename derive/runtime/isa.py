"""Which instruction set the compiled functions use: the best that the processor has, or the one named in DERIVE_ISA."""

from __future__ import annotations

import os
from typing import Any

VARIABLE = "DERIVE_ISA"
NAMES = ("base", "avx2", "avx512")  # number 1, 2, 3 of args.isa in C; 0 there means the best


def best(module: Any, cell: str) -> int:
    """The number of the best instruction set of this processor; `module` is the compiled module of `cell`."""
    return int(getattr(module.lib, f"{cell}_isa")())


def wanted(number: int) -> int:
    """The number that DERIVE_ISA asks for, `number` (the best) if it is unset or empty. Raises ValueError."""
    name = os.environ.get(VARIABLE, "")
    if not name:
        return number
    if name not in NAMES:
        raise ValueError(f"{VARIABLE} must be one of {', '.join(NAMES)}, or unset for the best of them; found {name!r}")
    if NAMES.index(name) >= number:
        there = ", ".join(NAMES[:number])
        raise ValueError(f"{VARIABLE}={name}, but this processor has only {there}; choose one of these")
    return NAMES.index(name) + 1


def cpu(module: Any, cell: str) -> dict[str, Any]:
    """{"available": names of the instruction sets that run here, "isa": the one that is used}."""
    number = best(module, cell)
    return {"available": NAMES[:number], "isa": NAMES[wanted(number) - 1]}
