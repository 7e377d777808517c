"""Backends: from lowered kernels to code, one folder each; base.py says what each of them owes."""

from __future__ import annotations

from derive.backends.base import Backend
from derive.errors import DeriveError


def all_backends() -> dict[str, Backend]:
    """Every backend by its name."""
    from derive.backends.c.backend import C
    from derive.backends.plain.emit import Plain

    found: tuple[Backend, ...] = (C(), Plain())
    return {backend.name: backend for backend in found}


def named(name: str) -> Backend:
    """The backend of that name; DeriveError with the names that there are."""
    found = all_backends()
    if name not in found:
        raise DeriveError(f"no backend named {name!r}; there are: {', '.join(found)}")
    return found[name]
