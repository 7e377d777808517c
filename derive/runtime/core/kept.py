"""What stays in the process between calls, under one budget in bytes: scratch memory, and what was prepared for a set of shapes.

Fresh pages cost the operating system more time than the kernels need to fill them (a training step with a tape of 240 MiB
took 2.7 times as long where memory was fragmented), so large scratch memory is handed on from call to call, whatever
their shapes are. What was least recently used goes first. Arrays and tapes that a caller holds, and plans, are the caller's.

Large blocks are mapped for themselves and not taken from the heap: glibc does not return what lies below a block in use,
so that 300 shapes of some MiB had left 1.1 GiB in the process where a quarter of it was known to be kept.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from itertools import count
from operator import attrgetter, itemgetter
from typing import Any, Protocol

from .blocks import MEMORY, scratch

BUDGET = min(1 << 30, MEMORY // 16)  # bytes that stay between calls, in all
SHAPES = 256  # sets of shapes that stay prepared, of all cells and dtypes together
WASTE = 2  # how many times larger a block may be than what is asked for
BLOCKS = 64  # blocks that stay at most: beyond, they are too many to look through
LEAST = 1 << 12  # bytes from which on a block is worth it
FULL = 7 / 8  # part of the budget that is left full when something has to go, so that it does not have to go each time

CLOCK: Iterator[int] = count()  # tells what was used before what


class Prepared(Protocol):
    """What belongs to a set of shapes. `used`: the CLOCK at its last use."""

    used: int

    def nbytes(self) -> int:
        """Bytes that it keeps at the moment."""

    def forget(self) -> None:
        """Go out of the table in which calls look it up, and let go of what is idle."""


class Kept:
    """The one account of what stays. Any thread may use it, and a signal handler that calls a cell meanwhile."""

    def __init__(self, budget: int = BUDGET, shapes: int = SHAPES) -> None:
        self.budget = budget
        self.shapes = shapes
        self.lock = threading.RLock()  # a handler may come in while its own thread is here
        self.blocks: list[tuple[int, memoryview]] = []  # the oldest first
        self.prepared: dict[int, Prepared] = {}
        self.charged = 0  # bytes of `prepared`: never less than they keep, counted anew where that matters

    # -- scratch memory ----------------------------------------------------------------------------------------------

    def take(self, nbytes: int) -> memoryview:
        """Uninitialised memory of at least `nbytes` bytes that begins on a cache line; `give` it back whole."""
        with self.lock:
            best = None
            for k in range(len(self.blocks) - 1, -1, -1):
                size = self.blocks[k][1].nbytes
                if nbytes <= size <= nbytes * WASTE and (best is None or size < self.blocks[best][1].nbytes):
                    best = k
                    if size == nbytes:
                        break
            if best is not None:
                found = self.blocks.pop(best)
                if nbytes <= found[1].nbytes:
                    return found[1]
                self.blocks.append(found)  # a signal handler took the one that was meant
        return scratch(nbytes)

    def give(self, block: memoryview) -> None:
        """A whole block from `take` that no call uses any longer."""
        if LEAST <= block.nbytes <= self.budget * FULL:
            with self.lock:
                self.blocks.append((next(CLOCK), block))
                del self.blocks[:-BLOCKS]
                self._fit()

    # -- sets of shapes ----------------------------------------------------------------------------------------------

    def admit(self, prepared: Prepared) -> None:
        """From now on a set of shapes stays; the least recently used ones may have to go."""
        with self.lock:
            prepared.used = next(CLOCK)
            self.prepared[id(prepared)] = prepared
            if len(self.prepared) > self.shapes:
                for old in sorted(self.prepared.values(), key=attrgetter("used"))[: max(1, self.shapes // 8)]:
                    self._drop(old)
            self.charge(prepared.nbytes())

    def charge(self, nbytes: int) -> None:
        """A set of shapes keeps `nbytes` more."""
        with self.lock:
            self.charged += nbytes
            self._fit()

    # -- all together ------------------------------------------------------------------------------------------------

    def by_kind(self) -> dict[str, int]:
        """Bytes that stay at the moment: {"scratch": .., "shapes": ..}."""
        with self.lock:
            return {
                "scratch": sum(block.nbytes for _, block in list(self.blocks)),
                "shapes": sum(one.nbytes() for one in list(self.prepared.values())),
            }

    def release(self) -> int:
        """Let go of everything that stays; returns how many bytes that was. Calls that run meanwhile are not disturbed."""
        with self.lock:
            before = sum(self.by_kind().values())
            self.blocks.clear()
            for old in list(self.prepared.values()):
                self._drop(old)
            self.charged = 0
        return before

    def _drop(self, old: Prepared) -> None:
        self.prepared.pop(id(old), None)
        old.forget()

    def _fit(self) -> None:
        """Keep to the budget: what was least recently used goes, whatever its kind."""
        total = self.charged + sum(block.nbytes for _, block in self.blocks)
        if total <= self.budget:
            return
        kinds = self.by_kind()
        self.charged, total = kinds["shapes"], sum(kinds.values())
        if total <= self.budget:  # some of it went without a word
            return
        kept: list[tuple[int, int, memoryview | Prepared]]
        kept = [(one.used, one.nbytes(), one) for one in list(self.prepared.values())]
        kept += [(stamp, block.nbytes, block) for stamp, block in list(self.blocks)]
        gone: set[int] = set()
        for _, nbytes, what in sorted(kept, key=itemgetter(0)):
            if total <= self.budget * FULL:
                break
            total -= nbytes
            if isinstance(what, memoryview):
                gone.add(id(what))
            else:
                self._drop(what)
                self.charged -= nbytes
        self.blocks = [(stamp, block) for stamp, block in self.blocks if id(block) not in gone]

    def after_fork(self) -> None:
        """In a forked child: another thread of the parent may have held the lock, in the middle of a change."""
        self.lock = threading.RLock()
        self.blocks = []


KEPT = Kept()

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=KEPT.after_fork)


def release() -> int:
    """Let go of what stays between calls, and of what the heap of the C library holds free; returns the bytes that stayed."""
    found = KEPT.release()
    trim = _trimmer()
    if trim is not None:
        trim(0)
    return found


def _trimmer() -> Any:
    """glibc's malloc_trim, or None."""
    try:
        import ctypes

        return getattr(ctypes.CDLL(None), "malloc_trim", None)
    except (ImportError, OSError, TypeError):
        return None
