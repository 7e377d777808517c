"""What the cache holds, and how it is cleared: only what derive made, only under the lock of its builder.

    lstm_0123456789abcdef            an entry
    .lstm_0123456789abcdef.xxxxxxxx  what a builder is making, or left behind when it was killed
    reports                          reports on modules that were refused; only you remove them

Anything else in the folder is somebody else's and is left alone.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from derive.errors import DeriveError
from derive.toolchain.cache import entry, files, locks
from derive.toolchain.cache.folder import check_entry

NAME = re.compile(r"(.+)_[0-9a-f]{16}")
LEFT = re.compile(r"\.(.+_[0-9a-f]{16})\.[^.]+")
REPORTS = "reports"
MODULE, LEFTOVER, REPORT = "module", "leftover", "report"


@dataclass(frozen=True)
class Entry:
    """One thing in the cache. size: bytes on the disk; used: seconds since the epoch of its last use.

    state: "" where nothing is wrong, else what is.  `about` is what its stamp says: loss, sizes, flags, compiler.
    """

    name: str
    kind: str
    cell: str
    types: tuple[str, ...]
    size: int
    used: float
    state: str = ""
    about: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Cleared:
    """What was removed, and what was to be and stays, with the reason."""

    removed: tuple[Entry, ...]
    kept: tuple[tuple[Entry, str], ...]

    @property
    def size(self) -> int:
        """Bytes that were freed."""
        return sum(one.size for one in self.removed)


def contents(root: Path) -> list[Entry]:
    """Everything that derive made in a cache folder, the entry that was used last at first; nothing is changed.

    Raises OSError for a folder that cannot be read.
    """
    found = [one for path in root.iterdir() if (one := _entry(path)) is not None]
    reports = root / REPORTS
    if reports.is_dir() and not reports.is_symlink():
        folders = [path for path in reports.iterdir() if path.is_dir()]
        found += [
            replace(_measured(path, REPORT, NAME.sub(r"\1", path.name)), name=f"{REPORTS}/{path.name}")
            for path in folders
        ]
    return sorted(found, key=lambda one: (-one.used, one.name))


def clear(root: Path, before: float | None = None) -> Cleared:
    """Remove the entries of a trusted cache folder, and what killed builders left; reports stay.

    before: only what was last used before that time, in seconds since the epoch.  What is being built stays, and what
    another user could have put there.  Processes that have loaded a module keep it.
    """
    removed: list[Entry] = []
    kept: list[tuple[Entry, str]] = []
    for one in contents(root):
        if one.kind == REPORT or (before is not None and one.used >= before):
            continue
        why = _remove(root, one, before)
        if why is None:
            removed.append(one)
        elif why:
            kept.append((one, why))
    return Cleared(tuple(removed), tuple(kept))


def _remove(root: Path, one: Entry, before: float | None) -> str | None:
    """Remove an entry; None if it is gone, else why it stays: "" for one that was used meanwhile."""
    place = root / one.name
    owner = one.name if one.kind == MODULE else LEFT.sub(r"\1", one.name)
    try:
        with locks.exclusive(root / f".{owner}.lock", wait=False) as free:
            if not free:
                return "it is being built, or the file system has no locks by which to know"
            check_entry(place, [])
            if before is not None and _used(place) >= before:
                return ""
            if one.kind == MODULE:  # gone at once for all who look; what is killed here is a leftover
                aside = root / f".{owner}.{os.getpid()}"
                place.rename(aside)
                place = aside
            files.remove(place)
            return f"{place} cannot be removed" if os.path.lexists(place) else None
    except FileNotFoundError:  # somebody else removed it
        return ""
    except DeriveError as error:
        return str(error)
    except OSError as error:
        return f"it cannot be removed: {error.strerror or error}"


def _entry(path: Path) -> Entry | None:
    """What lies at a path, if derive made it: a folder with the name of an entry and a stamp, or one of a builder."""
    if path.is_symlink() or not path.is_dir():
        return None
    left, name = LEFT.fullmatch(path.name), NAME.fullmatch(path.name)
    if left:
        return _measured(path, LEFTOVER, NAME.sub(r"\1", left[1]), "a builder makes it, or was killed")
    if not name or not os.path.lexists(path / entry.STAMP):
        return None
    stamp = entry.look(path)
    if stamp is None:
        return _measured(path, MODULE, name[1], "damaged: it is built again when it is asked for")
    try:
        check_entry(path, [entry.STAMP, *stamp.sums])
        state = ""
    except (DeriveError, OSError) as error:
        state = str(error)
    return _measured(path, MODULE, name[1], state, stamp)


def _measured(path: Path, kind: str, cell: str, state: str = "", stamp: entry.Stamp | None = None) -> Entry:
    sums = stamp.sums if stamp else {}
    types = tuple(t for t, tag in (("float32", "_f32.c"), ("float64", "_f64.c")) if any(n.endswith(tag) for n in sums))
    about = stamp.about if stamp else {}
    return Entry(path.name, kind, str(about.get("cell", cell)), types, size_of(path), _used(path), state, about)


def size_of(folder: Path) -> int:
    """Bytes of the files below a folder; links count for nothing."""
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            try:
                found = os.lstat(os.path.join(place, name))
            except OSError:
                continue
            total += found.st_size
    return total


def _used(path: Path) -> float:
    """When an entry was last used: the time of its stamp, or of the folder where it has none."""
    for place in (path / entry.STAMP, path):
        try:
            return os.lstat(place).st_mtime
        except OSError:
            continue
    return 0.0
