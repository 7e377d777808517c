"""What of a batch counts for the loss: steps that are there and have a weight; and targets that are numbers of units."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..core.errors import ArgumentError
from .arrays import Array

Mask = NDArray[np.bool_]


def counted(weight: Array | None, lead: tuple[int, ...], lengths: NDArray[np.intp] | None) -> Mask:
    """Which steps count, with the axes of a sequence of numbers: (T, B), or (T,) without a batch axis."""
    steps = np.arange(lead[0]).reshape(-1, *[1] * (len(lead) - 1))
    there = np.ones(lead, bool) if lengths is None else np.broadcast_to(steps < lengths, lead)
    return there if weight is None else there & (weight != 0)


def total(where: str, weight: Array | None, counts: Mask, dtype: Any) -> Array:
    """By how much a mean divides, as one number: the steps that count, or their weights.

    Raises ArgumentError where that is 0.
    """
    found = float(counts.sum()) if weight is None else float(np.sum(weight, where=counts, dtype=np.float64))
    if counts.size and found == 0:
        what = "there is no step" if weight is None else "the weights of all steps add up to 0"
        raise ArgumentError(f"{where}: the loss is a mean, and {what}")
    return np.array([found], dtype)


def as_numbers(value: Any, dtype: Any) -> Any:
    """An array of whole numbers in the dtype of a call; anything else as it is."""
    integers = isinstance(value, np.ndarray) and value.dtype.kind in "iu"
    return value.astype(dtype) if integers else value


def check_classes(where: str, name: str, value: Array, size: int, counts: Mask) -> None:
    """Raise ArgumentError where a number that counts is no position of a unit, 0 to size - 1."""
    wrong = counts & ~((value >= 0) & (value < size) & (value == np.floor(value)))
    if wrong.any():
        at = tuple(int(i) for i in np.argwhere(wrong)[0])
        raise ArgumentError(
            f"{where}: {name}[{', '.join(map(str, at))}] is {value[at]:g}; expected a whole number from 0 to {size - 1}, the "
            f"position of one of {size} units"
        )
