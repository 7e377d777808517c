"""Arrays at the border to C: what may pass as it is, what is copied, what is refused."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..core.blocks import ALIGNMENT, require_memory
from ..core.errors import ArgumentTypeError, DtypeError, ShapeError
from ..core.spec import Shape, show

Array = NDArray[Any]

FLOATS: tuple[np.dtype[Any], np.dtype[Any]] = (np.dtype(np.float32), np.dtype(np.float64))

# Bits of ndarray.flags.num. C may read an array in place if it is C-contiguous and aligned.
PLAIN = 0x0001 | 0x0100


def aligned(nbytes: int) -> Array:
    """`nbytes` of uninitialised memory that begins on a cache line."""
    block = np.empty(nbytes + ALIGNMENT, np.uint8)
    start = -block.ctypes.data % ALIGNMENT
    return block[start : start + nbytes]


class NumpyArrays:
    """What the core asks of NumPy, for one dtype: see core/arrays.py."""

    def __init__(self, dtype: np.dtype[Any]) -> None:
        self.dtype = dtype

    def zeros(self, shape: Shape) -> Array:
        array = np.zeros(shape, self.dtype)
        array.flags.writeable = False
        return array

    def add(self, total: Array, own: memoryview) -> None:
        total += np.frombuffer(own, self.dtype).reshape(total.shape)


class Arena:
    """Arrays in one piece of memory, so that one comparison tells whether another array is among them."""

    def __init__(self, where: str, shapes: Sequence[Shape], dtype: np.dtype[Any]) -> None:
        sizes = [-(-prod(shape) * dtype.itemsize // 64) * 64 for shape in shapes]
        require_memory(sum(sizes), where, "the arrays")
        self.memory = aligned(sum(sizes))
        self.arrays: list[Array] = []
        start = 0
        for shape, size in zip(shapes, sizes, strict=True):
            used = prod(shape) * dtype.itemsize
            self.arrays.append(self.memory[start : start + used].view(dtype).reshape(shape))
            start += size


def as_array(value: object, where: str, name: str, dtype: np.dtype[Any] | None, like: str = "") -> Array:
    """`value` as a plain ndarray, without a copy, after checking its kind and dtype.

    dtype None accepts float32 and float64 and is for the argument that decides the dtype of the call.
    """
    wanted = "float32 or float64" if dtype is None else dtype.name
    if isinstance(value, np.floating):  # what arithmetic makes of arrays without axes
        value = np.asarray(value)
    if not isinstance(value, np.ndarray):
        raise ArgumentTypeError(
            f"{where}: {name} must be a NumPy array of {wanted}, found {type(value).__name__}; "
            f"convert it with np.asarray({name}, dtype=np.{dtype.name if dtype else 'float32'})"
        )
    if isinstance(value, np.ma.MaskedArray):
        raise ArgumentTypeError(
            f"{where}: {name} is a masked array, and the mask would be lost; pass {name}.filled(...)"
        )
    found = value.dtype
    if found in FLOATS and (dtype is None or found == dtype):
        return value.view(np.ndarray)
    if found.newbyteorder("=") in FLOATS and not found.isnative:
        raise DtypeError(
            f"{where}: {name} must be {wanted} in this machine's byte order, found byte-swapped {found.str!r}; "
            f"convert it with {name}.astype({name}.dtype.newbyteorder('='))"
        )
    if dtype is None:
        raise DtypeError(
            f"{where}: {name} must be float32 or float64, found {found}; convert it with {name}.astype(np.float32)"
        )
    raise DtypeError(
        f"{where}: {name} is {found}, but {like} is {dtype}: all arrays of a call must have one dtype; "
        f"convert it with {name}.astype(np.{dtype})"
    )


def require_shape(array: Array, where: str, name: str, symbolic: str, expected: Shape) -> None:
    """`array` has exactly the shape `expected`; `symbolic` is how the message spells it, such as (4*H, I)."""
    if array.shape != expected:
        raise ShapeError(f"{where}: {name} must have shape {symbolic} = {show(expected)}, found {show(array.shape)}")


def compact(array: Array, where: str, name: str) -> Array:
    """`array`, or a copy of it that C can read: C-contiguous and aligned."""
    if array.flags.num & PLAIN == PLAIN:
        return array
    require_memory(array.nbytes, where, f"a contiguous copy of {name}")
    return array.copy("C")


def overlap(a: Array, b: Array) -> bool:
    """Whether two arrays share memory. Exact unless that is too hard to tell; then a common range counts as sharing."""
    if not np.may_share_memory(a, b):
        return False
    try:
        return np.shares_memory(a, b, max_work=10_000)  # type: ignore[arg-type]  # the stubs know only -1 and 0
    except np.exceptions.TooHardError:
        return True
