"""One builder at a time, among threads and among processes; a lock ends with the process that holds it.

The lock between processes is `flock`: the kernel releases it when its owner dies, however he dies.  It belongs to an
open file and not to a process, so threads that wait for different locks are never taken for a deadlock, which fcntl's
own locks would do; and a child that is forked while a lock is held lets go of its copy of the open file at once.
"""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

try:
    import fcntl
except ImportError:  # no POSIX: threads wait for each other, processes replace each other's whole files
    fcntl = None  # type: ignore[assignment]

# What a file system answers that knows no locks, or none on a folder.
WITHOUT_LOCKS = {errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EINVAL, errno.EBADF, errno.ENOSYS}

_threads: dict[str, threading.Lock] = {}
_guard = threading.Lock()
_open: set[int] = set()


@contextmanager
def exclusive(path: Path, wait: bool = True) -> Iterator[bool]:
    """Hold the lock that a path names: a folder, which is there, or a file, which is made and removed again.

    Yields whether no other process has it: False where the file system knows no locks; without `wait` also where
    another thread or process holds it.  Raises OSError if the file cannot be made.
    """
    with _guard:
        mine = _threads.setdefault(str(path), threading.Lock())
    if not mine.acquire(blocking=wait):
        yield False
        return
    try:
        opened, locked = _acquire(path, wait)
        try:
            yield locked
        finally:
            _release(path, opened, locked)
    finally:
        if mine.locked():  # not so in a child that was forked meanwhile and threw its locks away
            mine.release()


def _acquire(path: Path, wait: bool) -> tuple[int, bool]:
    """An open file, and whether it is locked and still the one that the path names: its last owner may remove it."""
    flags = os.O_RDONLY if path.is_dir() else os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0)
    while True:
        opened = os.open(path, flags, 0o600)
        _open.add(opened)
        try:
            locked = _flock(opened, wait)
            if not locked or _same(opened, path):
                return opened, locked
        except BaseException:
            _close(opened)
            raise
        _close(opened)


def _flock(opened: int, wait: bool) -> bool:
    if fcntl is None:
        return False
    try:
        fcntl.flock(opened, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno in WITHOUT_LOCKS:
            return False
        raise
    return True


def _same(opened: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(opened), os.stat(path))
    except FileNotFoundError:
        return False


def _release(path: Path, opened: int, locked: bool) -> None:
    if opened not in _open:  # closed in a forked child: the lock is its parent's
        return
    try:
        if locked and not path.is_dir():
            path.unlink(missing_ok=True)
    except OSError:
        pass  # an empty file remains, which the next owner takes
    finally:
        _close(opened)


def _close(opened: int) -> None:
    _open.discard(opened)
    os.close(opened)


def _in_forked_child() -> None:
    """Locks are the parent's: forget them, and close the copies of its files, which would keep them locked."""
    global _guard
    _guard = threading.Lock()
    _threads.clear()
    while _open:
        os.close(_open.pop())


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_forked_child)
