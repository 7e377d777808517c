"""The cells and losses that are there, found by looking; a file is imported when its cell is asked for.

    derive/cells/NAME.py            a cell that ships: its files are committed in generated/, and compiled on installation
    derive/cells/FAMILY/NAME.py     a cell of the zoo: built on demand, like a cell of one's own, and kept in the cache
    derive/losses/NAME.py           a loss or a readout

The names of shipped cells and of those in the zoo are unlike each other: either is given by its name wherever a cell is.
"""

from __future__ import annotations

import difflib
import importlib
import pkgutil
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from derive.errors import DeriveError
from derive.notation import Cell, Head, Loss
from derive.registry.user_file import run_file


@cache
def _modules(package: str) -> dict[str, str]:
    """Name -> module, for the files of a package; nothing of them is imported."""
    found = pkgutil.iter_modules(importlib.import_module(package).__path__)
    return {one.name: f"{package}.{one.name}" for one in sorted(found, key=lambda one: one.name) if not one.ispkg}


@cache
def families() -> dict[str, str]:
    """The families of the zoo: folder of derive/cells/ -> what belongs into it, as its first line says."""
    folder = importlib.import_module("derive.cells")
    names = sorted(one.name for one in pkgutil.iter_modules(folder.__path__) if one.ispkg)
    return {name: (importlib.import_module(f"derive.cells.{name}").__doc__ or "").strip() for name in names}


@cache
def _zoo() -> dict[str, str]:
    """Name -> module of the cells of the zoo."""
    found = [item for family in families() for item in _modules(f"derive.cells.{family}").items()]
    twice = {name for name, _ in found if name in _modules("derive.cells")} or len(found) - len(dict(found))
    assert not twice, f"derive/cells/ has two files of one name: {twice}"
    return dict(found)


def _items(modules: dict[str, str], kind: type) -> Iterator[tuple[str, Any]]:
    for name, module in modules.items():
        item = getattr(importlib.import_module(module), name, None)
        if isinstance(item, kind):
            yield name, item


def shipped() -> dict[str, Cell]:
    """Name -> cell of those that ship, sorted by name."""
    return dict(_items(_modules("derive.cells"), Cell))


def zoo(family: str | None = None) -> dict[str, Cell]:
    """Name -> cell of the zoo, or of one of its families; by family and name."""
    return dict(_items(_zoo() if family is None else _modules(f"derive.cells.{family}"), Cell))


def is_shipped(name: str) -> bool:
    """Whether a cell of that name ships; imports nothing."""
    return name in _modules("derive.cells")


def is_cell(name: str) -> bool:
    """Whether there is a cell of that name, shipped or in the zoo; imports nothing but families."""
    return is_shipped(name) or is_in_zoo(name)


def is_in_zoo(name: str) -> bool:
    """Whether the zoo has a cell of that name; imports nothing but its families."""
    return name in _zoo()


def losses() -> dict[str, Head]:
    """Name -> loss or readout, sorted by name."""
    return dict(_items(_modules("derive.losses"), Head))


def cell(name: str) -> Cell:
    """The cell of that name, or the one in a file of yours (`mine.py`); DeriveError with the names that there are."""
    known = {**_modules("derive.cells"), **_zoo()}
    if name in known:
        return dict(_items({name: known[name]}, Cell))[name]
    path = Path(name)
    stem = path.stem.lower()
    if path.suffix == ".py" and (path.exists() or stem not in known):
        return in_file(path)
    near = difflib.get_close_matches(stem, known, 1)
    hint = f"did you mean {near[0]}? There" if near else "there"
    there = f"{hint} are {', '.join(_modules('derive.cells'))}, and {len(_zoo())} in the zoo, see `derive list`"
    found = "it is a folder" if name and path.is_dir() else there
    raise DeriveError(f"no cell named {name!r}: {found}; a cell of your own is given by its file, as in mine.py")


@cache
def in_file(path: Path) -> Cell:
    """The cell that a Python file defines: the one named like the file, or the only one."""
    found: Cell = _defined_in(path, Cell, "cell", 'a function under @cell(states="h")')
    return found


def _defined_in(path: Path, kind: type, what: str, how: str) -> Any:
    """What a Python file defines of a kind: the one named like the file, or the only one."""
    found = {n: c for n, c in vars(run_file(path, f"a {what}")).items() if type(c) is kind}
    if path.stem not in found and len(found) != 1:
        raise DeriveError(
            f"{path} must define one {what}, or one named {path.stem}; found {', '.join(found) or 'none'}. "
            f"A {what} is {how}, see `derive list`"
        )
    return found.get(path.stem) or next(iter(found.values()))


def loss(name: str) -> Loss:
    """The loss of that name or in a file of yours, with +weighted and +mean behind it: "cross_entropy+weighted+mean".

    Raises DeriveError with the names that there are.
    """
    base, *changes = name.split("+")
    found = _named(base, Loss, "loss", "a function under @loss")
    for change in changes:
        if change not in ("weighted", "mean"):
            raise DeriveError(f"the loss {name!r}: {change!r} is no change of a loss; there are +weighted and +mean")
        found = getattr(found, change)()
    return found


def head(name: str) -> Head:
    """The head of that name, or in a file of yours; DeriveError with the names that there are."""
    found: Head = _named(name, Head, "head", "a function under @head()")
    return found


def _named(name: str, kind: type, what: str, how: str) -> Any:
    known = {n: one for n, one in losses().items() if type(one) is kind}
    if name in known:
        return known[name]
    path = Path(name)
    if path.suffix == ".py":
        return _defined_in(path, kind, what, how)
    near = difflib.get_close_matches(name, known, 1)
    hint = f"did you mean {near[0]}? There" if near else "there"
    raise DeriveError(
        f"no {what} named {name!r}: {hint} are {', '.join(known)}; a {what} of your own is given by its file, as in mine.py"
    )


def joined() -> Cell:
    """The cell that gives what it reads: what stands between two directions and a head or a loss."""
    found: Cell = importlib.import_module("derive.losses.joined").joined
    return found


def with_head(of: Cell, on_top: Head | str | None) -> Cell:
    """A cell under a head, called by both names; the cell itself where there is none."""
    if on_top is None:
        return of
    found = head(on_top) if isinstance(on_top, str) else on_top
    return of.then(found, f"{of.name}_{getattr(found, 'name', '')}")
