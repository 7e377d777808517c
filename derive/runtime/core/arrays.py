"""What the core asks of the library of arrays above it, and an answer for callers that have none."""

from __future__ import annotations

from math import prod
from typing import Any, Protocol

from .spec import Shape


class Arrays(Protocol):
    """The arrays of one floating point type. `dtype` is what the library calls the type; the core hands it on unread."""

    dtype: Any

    def zeros(self, shape: Shape) -> Any:
        """An array of zeros with the buffer protocol; read-only, as many calls read it."""

    def add(self, total: Any, own: memoryview) -> None:
        """Add the numbers in the bytes `own` to those in `total`, which has as many."""


class Buffers:
    """Plain buffers, from a cffi module: correct, and slow where several threads have gradients of parameters to add."""

    def __init__(self, ffi: Any, scalar: str) -> None:
        self.dtype: Any = scalar
        self._ffi = ffi
        self._array = ffi.typeof(f"{scalar}[]")
        self._itemsize = ffi.sizeof(scalar)

    def zeros(self, shape: Shape) -> Any:
        return memoryview(bytes(prod(shape) * self._itemsize))

    def add(self, total: Any, own: memoryview) -> None:
        into, part = (self._ffi.from_buffer(self._array, buffer) for buffer in (total, own))
        for k in range(len(part)):
            into[k] += part[k]
