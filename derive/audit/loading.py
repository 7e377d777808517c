"""Derivations in a Python file of somebody's own."""

from __future__ import annotations

from pathlib import Path

from derive.audit.written import Derivation
from derive.errors import DeriveError
from derive.registry.user_file import run_file


def in_file(path: Path) -> list[Derivation]:
    """The derivations that a Python file defines, in order.  DeriveError for a file without one, or that cannot run."""
    module = run_file(path, "derivations, as those in examples/audit/ do")
    found = [x for x in vars(module).values() if isinstance(x, Derivation)]
    if not found:
        raise DeriveError(
            f'{path} defines no derivation; put @derivation("lstm") above a function whose body is the equations'
        )
    return found
