"""The cells and losses that are there: every file of derive/cells/ and derive/losses/, found by looking."""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache
from typing import Any

from derive.errors import DeriveError
from derive.notation import Cell, Head


@cache
def _found(package: str, kind: type) -> dict[str, Any]:
    folder = importlib.import_module(package)
    found = {}
    for module in sorted(pkgutil.iter_modules(folder.__path__), key=lambda m: m.name):
        item = getattr(importlib.import_module(f"{package}.{module.name}"), module.name, None)
        if isinstance(item, kind):
            found[module.name] = item
    return found


def cells() -> dict[str, Cell]:
    """Name -> cell, sorted by name."""
    return {n: c for n, c in _found("derive.cells", Cell).items() if isinstance(c, Cell)}


def losses() -> dict[str, Head]:
    """Name -> loss or readout, sorted by name."""
    return {n: c for n, c in _found("derive.losses", Head).items() if isinstance(c, Head)}


def cell(name: str) -> Cell:
    """The cell of that name; DeriveError with the names that there are."""
    if name not in cells():
        raise DeriveError(f"no cell named {name!r}; there are: {', '.join(cells())}")
    return cells()[name]


def loss(name: str) -> Head:
    """The loss of that name; DeriveError with the names that there are."""
    if name not in losses():
        raise DeriveError(f"no loss named {name!r}; there are: {', '.join(losses())}")
    return losses()[name]
