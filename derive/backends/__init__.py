"""Backends: from lowered kernels to code, one folder each; base.py says what each of them owes."""

from __future__ import annotations

from derive.backends.base import Backend
from derive.errors import DeriveError


def backends() -> dict[str, Backend]:
    """Every backend by its name."""
    from derive.backends.c import emit as c
    from derive.backends.plain import emit as plain

    found = (
        Backend("c", "vectorised C for all sizes, with threads and a choice of instruction set", c.code),
        Backend("plain", "scalar C99 with fixed sizes and memory, one sequence at a time", plain.files),
    )
    return {backend.name: backend for backend in found}


def named(name: str) -> Backend:
    """The backend of that name; DeriveError with the names that there are."""
    found = backends()
    if name not in found:
        raise DeriveError(f"no backend named {name!r}; there are: {', '.join(found)}")
    return found[name]
