"""Memory beside pages that cannot be touched: for what the calls read and write, and for tapes and workspaces.

An array ends where its page ends, or begins where it begins; new memory holds NaN, so that what was never written shows.
"""

from __future__ import annotations

import ctypes
import mmap
import sys

import numpy as np

PAGE = mmap.PAGESIZE
LIBC = ctypes.CDLL(None, use_errno=True)
at_end = True


def reserve(nbytes: int, alignment: int) -> np.ndarray:
    """Bytes between two pages that cannot be touched."""
    inside = max(1, -(-nbytes // PAGE)) * PAGE
    memory = mmap.mmap(-1, inside + 2 * PAGE)
    whole = np.frombuffer(memory, np.uint8)
    start = whole.ctypes.data
    for page in (start, start + PAGE + inside):
        if LIBC.mprotect(ctypes.c_void_p(page), ctypes.c_size_t(PAGE), 0):
            raise OSError(ctypes.get_errno(), "mprotect")
    first = PAGE + ((inside - nbytes) // alignment * alignment if at_end else 0)
    found = whole[first : first + nbytes]
    found[...] = 0xFF
    return found


def aligned(nbytes: int) -> np.ndarray:
    """As derive.runtime.numpy.arrays.aligned."""
    return reserve(nbytes, 64)


def empty(shape, dtype=float) -> np.ndarray:
    """As numpy.empty."""
    dtype = np.dtype(dtype)
    shape = (shape,) if isinstance(shape, int) else tuple(shape)
    return reserve(int(np.prod(shape, dtype=int)) * dtype.itemsize, dtype.itemsize).view(dtype).reshape(shape)


class _Numpy:
    """numpy, whose new arrays lie between such pages."""

    empty = staticmethod(empty)

    def __getattr__(self, name):
        return getattr(np, name)


def install() -> None:
    """Let the runtime, and the arrays that `validate` passes to it, take their memory here."""
    import derive.runtime.numpy.cell
    from derive.verify import calls

    for name, module in list(sys.modules.items()):
        if name.startswith("derive.runtime") and hasattr(module, "aligned"):
            module.aligned = aligned
        if name.startswith("derive.runtime") and hasattr(module, "scratch"):
            module.scratch = lambda nbytes: memoryview(aligned(nbytes))
    derive.runtime.numpy.cell.np = _Numpy()
    calls.FENCE = 0
    calls.memory_of = lambda count, dtype: empty((count,), dtype)
