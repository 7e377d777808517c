"""The cells and losses that are there: every file of derive/cells/ and derive/losses/, found by looking."""

from __future__ import annotations

import difflib
import importlib
import pkgutil
from functools import cache
from pathlib import Path
from typing import Any

from derive.errors import DeriveError
from derive.notation import Cell, Head
from derive.registry.user_file import run_file


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
    """The cell of that name, or the one in a file of yours (`mgu.py`); DeriveError with the names that there are."""
    if name in cells():
        return cells()[name]
    path = Path(name)
    stem = path.stem.lower()
    if path.suffix == ".py" and (path.exists() or stem not in cells()):
        return in_file(path)
    near = difflib.get_close_matches(stem, cells(), 1)
    hint = f"did you mean {near[0]}? " if near else ""
    found = "it is a folder" if name and path.is_dir() else f"{hint}There are: {', '.join(cells())}"
    raise DeriveError(f"no cell named {name!r}: {found}; a cell of your own is given by its file, as in mgu.py")


@cache
def in_file(path: Path) -> Cell:
    """The cell that a Python file defines: the one named like the file, or the only one."""
    found = {n: c for n, c in vars(run_file(path, "a cell")).items() if isinstance(c, Cell)}
    if path.stem not in found and len(found) != 1:
        raise DeriveError(
            f"{path} must define one cell, or one named {path.stem}; found {', '.join(found) or 'none'}. "
            f'A cell is a function under @cell(states="h"), see `derive list`'
        )
    return found.get(path.stem) or next(iter(found.values()))


def loss(name: str) -> Head:
    """The loss of that name; DeriveError with the names that there are."""
    if name not in losses():
        raise DeriveError(f"no loss named {name!r}; there are: {', '.join(losses())}")
    return losses()[name]
