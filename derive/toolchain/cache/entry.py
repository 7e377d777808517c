"""One module in the cache: a folder with its C, its Python, its extension module, and a stamp that knows them all.

An entry is published whole and never changed, except that the stamp notes who accepted it.  What does not agree with
the stamp, to the byte, does not count as being there: it is built again.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, replace
from pathlib import Path

from derive.toolchain.cache import files
from derive.toolchain.cache.folder import check_entry
from derive.toolchain.compiler import sum_of

STAMP = "stamp.json"


@dataclass(frozen=True)
class Stamp:
    """What an entry is: the key of what it was made from, its extension module, the sums of its files, who accepted it."""

    key: str
    module: str
    sums: dict[str, list[int | str]]
    accepted: tuple[str, ...] = ()

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
        stamp = Stamp(found["key"], found["module"], found["files"], tuple(found["accepted"]))
        check_entry(folder, stamp.sums)
        whole = stamp.key == key and stamp.module in stamp.sums and "__init__.py" in stamp.sums
        whole = whole and all(sum_of(folder / name) == known for name, known in stamp.sums.items())
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):  # damaged, or being replaced
        return None
    return stamp if whole else None


def stamp_of(folder: Path, key: str, module: str) -> Stamp:
    """The stamp for what lies in a folder now."""
    return Stamp(key, module, {p.name: sum_of(p) for p in sorted(folder.iterdir()) if p.name != STAMP})


def write(folder: Path, stamp: Stamp) -> None:
    """Write the stamp of an entry, at once."""
    said = {"key": stamp.key, "module": stamp.module, "files": stamp.sums, "accepted": stamp.accepted}
    files.replace(folder / STAMP, (json.dumps(said, indent=1) + "\n").encode())
