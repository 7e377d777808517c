"""Files that are whole or not there, also after the power failed: written, synced, then renamed."""

from __future__ import annotations

import os
import shutil
from pathlib import Path


def write(path: Path, data: bytes) -> None:
    """Write a file that only its owner may change, in a folder that no other process reads yet."""
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(data)


def sync(path: Path) -> None:
    """Have what was written to a file, or the names in a folder, on the disk."""
    try:
        opened = os.open(path, os.O_RDONLY)
    except PermissionError:  # a folder, where folders cannot be opened
        return
    try:
        os.fsync(opened)
    except OSError as error:
        if not path.is_dir():
            raise
        del error  # some file systems sync no folders
    finally:
        os.close(opened)


def replace(path: Path, data: bytes) -> None:
    """Give a file new contents at once: readers see the old ones or the new ones."""
    landing = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        write(landing, data)
        sync(landing)
        os.replace(landing, path)
    finally:
        landing.unlink(missing_ok=True)
    sync(path.parent)


def publish(made: Path, place: Path) -> None:
    """Let a finished folder take its place, whatever lies there; the caller holds the lock of the place."""
    for path in made.iterdir():
        sync(path)
    sync(made)
    old = made.with_name(f"{made.name}-old")
    if os.path.lexists(place):
        place.rename(old)
    made.rename(place)
    sync(place.parent)
    remove(old)


def remove(path: Path) -> None:
    """Remove a file, a link or a folder, as far as it can be done."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
        return
    try:
        path.unlink(missing_ok=True)
    except OSError:
        pass
