"""Where the cache is, and whether it can be trusted: what lies there is loaded into the process that asks for it."""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Iterable
from pathlib import Path

from derive.errors import DeriveError

PRIVATE = 0o700
OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH
ELSEWHERE = "or let DERIVE_CACHE name another folder"


def cache_folder() -> Path:
    """Where `derive.build` keeps what it compiled: $DERIVE_CACHE, or `lstm-derive` in the user's cache folder.

    That is $XDG_CACHE_HOME, which counts if it is absolute, as its specification says, or ~/.cache.  A user without a
    home has a folder of his own among the temporary files.  Raises DeriveError for a ~name in DERIVE_CACHE that is no user.
    """
    given = os.environ.get("DERIVE_CACHE")
    if given:
        try:
            return Path(os.path.abspath(Path(given).expanduser()))
        except RuntimeError as error:
            raise DeriveError(
                f"DERIVE_CACHE={given}: there is no home folder for this ~; give the folder's full path"
            ) from error
    base = os.environ.get("XDG_CACHE_HOME", "")
    if os.path.isabs(base):
        return Path(base) / "lstm-derive"
    try:
        home: Path | None = Path.home()
    except RuntimeError:  # no HOME, and no entry for this user id
        home = None
    if home is not None and home.is_absolute() and home.is_dir():
        return home / ".cache" / "lstm-derive"
    return Path(tempfile.gettempdir()) / f"lstm-derive-{os.getuid() if hasattr(os, 'getuid') else 'user'}"


def trusted(folder: Path) -> Path:
    """The cache folder, resolved; made, for its owner alone, if it is not there.

    Raises DeriveError if it is another user's, or if others may write to it; OSError if it cannot be made.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    try:
        folder.mkdir(PRIVATE)
    except FileExistsError:
        pass
    if folder.is_symlink():  # a person may put the cache on another disk; another person may not
        _check(folder, os.lstat(folder), "the cache")
    if not folder.is_dir():
        raise DeriveError(f"cannot build in {folder}: it is no folder; remove it, {ELSEWHERE}")
    real = folder.resolve()
    _check(real, os.lstat(real), "the cache")
    return real


def existing(folder: Path) -> Path | None:
    """The cache folder, resolved, as of `trusted`; None where there is none yet, and none is made.

    Raises DeriveError as `trusted` does.
    """
    return trusted(folder) if os.path.lexists(folder) else None


def check_entry(folder: Path, names: Iterable[str]) -> None:
    """Refuse an entry of the cache that another user could have put there or changed; it exists.

    `names` are its files that count.  Raises DeriveError for a symbolic link, another owner, or a mode that lets others
    write, of the folder or of one of these files; FileNotFoundError where one is missing.
    """
    found = os.lstat(folder)
    if not stat.S_ISDIR(found.st_mode):
        raise DeriveError(f"{folder} is {_kind(found)}, expected a folder that derive made; remove it, {ELSEWHERE}")
    _check(folder, found, "an entry of the cache")
    for name in names:
        found = os.lstat(folder / name)
        if not stat.S_ISREG(found.st_mode):
            raise DeriveError(f"{folder / name} is {_kind(found)}, expected a file that derive made; remove {folder}")
        _check(folder / name, found, "a file of the cache")


def _check(path: Path, found: os.stat_result, what: str) -> None:
    if not hasattr(os, "geteuid"):
        return
    if found.st_uid != os.geteuid():
        raise DeriveError(
            f"{path}, {what}, belongs to user {found.st_uid} and not to you, user {os.geteuid()}: what lies there could "
            f"be anything, and it would run as you; remove it, {ELSEWHERE}"
        )
    if found.st_mode & OTHERS_WRITE and not stat.S_ISLNK(found.st_mode):
        raise DeriveError(
            f"{path}, {what}, can be written to by other users (mode {stat.S_IMODE(found.st_mode):04o}): what lies there "
            f"could be anything, and it would run as you; if you trust what is in it, `chmod go-w {path}`, else remove it, "
            f"{ELSEWHERE}"
        )


def _kind(found: os.stat_result) -> str:
    if stat.S_ISLNK(found.st_mode):
        return "a symbolic link"
    return "a folder" if stat.S_ISDIR(found.st_mode) else "a file" if stat.S_ISREG(found.st_mode) else "a device"
