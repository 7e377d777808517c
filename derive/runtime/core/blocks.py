"""Blocks of memory from the system: scratch memory of calls, and how much of it a machine has."""

from __future__ import annotations

import mmap
import os
import sys

from _cffi_backend import FFI

from .errors import OutOfMemoryError

ALIGNMENT = 64  # bytes of a cache line
MAPPED = 1 << 20  # from this size on a block has pages of its own
HUGE = 4 << 20  # from this size on large pages are asked for, as NumPy does

_ffi = FFI()
_new = _ffi.new_allocator(should_clear_after_alloc=False)


def _physical_memory() -> int:
    try:
        nbytes = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):
        nbytes = 0
    return nbytes if nbytes > 0 else sys.maxsize


MEMORY = _physical_memory()


def amount(nbytes: int) -> str:
    """`nbytes` for people: 512 B, 18.5 KiB, 2.3 TiB."""
    size, unit = float(nbytes), "B"
    for unit in ("B", "KiB", "MiB", "GiB", "TiB", "PiB"):
        if size < 1024 or unit == "PiB":
            break
        size /= 1024
    return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"


def require_memory(nbytes: int, where: str, what: str) -> None:
    """Raise MemoryError for what cannot fit; a system that overcommits would kill the process instead."""
    if nbytes > MEMORY:
        raise OutOfMemoryError(
            f"{where}: {what} needs {amount(nbytes)}, and this machine has {amount(MEMORY)}; "
            "use smaller sizes, a smaller batch or shorter sequences"
        )


def scratch(nbytes: int) -> memoryview:
    """`nbytes` of uninitialised memory that begins on a cache line; back at the system as soon as no object refers to it."""
    if nbytes < MAPPED:
        owner = _new("char[]", nbytes + ALIGNMENT)
        start = -int(_ffi.cast("uintptr_t", owner)) % ALIGNMENT
        return memoryview(_ffi.buffer(owner))[start : start + nbytes]
    try:
        # Private: by default a forked child would write to the pages of its parent.
        pages = mmap.mmap(-1, nbytes, **({"flags": mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS} if os.name != "nt" else {}))
    except (OSError, OverflowError, ValueError) as error:
        raise OutOfMemoryError(f"the system does not give {nbytes} bytes of scratch memory: {error}") from None
    if nbytes >= HUGE and hasattr(mmap, "MADV_HUGEPAGE"):
        try:
            pages.madvise(mmap.MADV_HUGEPAGE)
        except OSError:  # a kernel without them
            pass
    return memoryview(pages)
