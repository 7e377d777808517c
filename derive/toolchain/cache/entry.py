"""One module in the cache: a folder with its C, its Python, its extension module, and a stamp that knows them all.

An entry is published whole and never changed, except that the stamp notes who accepted it and, by its time, the last use.
What does not agree with the stamp, to the byte, does not count as being there: it is built again.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from derive.toolchain.cache import files
from derive.toolchain.cache.folder import check_entry
from derive.toolchain.compiler import sum_of

STAMP = "stamp.json"


@dataclass(frozen=True)
class Stamp:
    """What an entry is: the key of what it was made from, its extension module, the sums of its files, who accepted it.

    `about` is for people: what it was made from, in words (cell, loss, sizes, flags, compiler); nothing depends on it.
    """

    key: str
    module: str
    sums: dict[str, list[int | str]]
    accepted: tuple[str, ...] = ()
    about: dict[str, Any] = field(default_factory=dict)

    def with_acceptance(self, tag: str) -> Stamp:
        """The stamp with one more that accepted the module; "" is none."""
        return replace(self, accepted=tuple(sorted({*self.accepted, tag} - {""})))


def read(folder: Path, key: str) -> Stamp | None:
    """The stamp of an entry that is there, made from what `key` stands for, and whole; None if it is not.

    Raises DeriveError for an entry that another user could have put there.
    """
    if not os.path.lexists(folder):
        return None
    try:
        check_entry(folder, [STAMP])
        found = json.loads((folder / STAMP).read_bytes())
        stamp = _stamp(found)
        check_entry(folder, stamp.sums)
        whole = stamp.key == key and stamp.module in stamp.sums and "__init__.py" in stamp.sums
        whole = whole and all(sum_of(folder / name) == known for name, known in stamp.sums.items())
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):  # damaged, or being replaced
        return None
    return stamp if whole else None


def look(folder: Path) -> Stamp | None:
    """The stamp of an entry, whose files are not compared with it; None where there is none that can be read."""
    try:
        stamp = _stamp(json.loads((folder / STAMP).read_bytes()))
        return stamp if isinstance(stamp.sums, dict) and isinstance(stamp.about, dict) else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def _stamp(found: Any) -> Stamp:
    return Stamp(found["key"], found["module"], found["files"], tuple(found["accepted"]), found.get("about", {}))


def stamp_of(folder: Path, key: str, module: str, about: Mapping[str, Any]) -> Stamp:
    """The stamp for what lies in a folder now."""
    sums = {p.name: sum_of(p) for p in sorted(folder.iterdir()) if p.name != STAMP}
    return Stamp(key, module, sums, about=dict(about))


def note_use(folder: Path) -> None:
    """Note that an entry is used now: the time of its stamp says when it last was, as far as the file system lets us."""
    try:
        os.utime(folder / STAMP)
    except OSError:
        pass


def write(folder: Path, stamp: Stamp) -> None:
    """Write the stamp of an entry, at once."""
    said = {
        "key": stamp.key,
        "module": stamp.module,
        "files": stamp.sums,
        "accepted": stamp.accepted,
        "about": stamp.about,
    }
    files.replace(folder / STAMP, (json.dumps(said, indent=1) + "\n").encode())
