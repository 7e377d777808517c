"""Sequences of different lengths in one batch. C wants them longest first, so that a step runs the first rows only."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..core.runner import Call
from ..core.split import Split
from .arrays import Array


class Ragged:
    """The lengths of a batch, and the order of its sequences in which C computes them.

    Attributes: `lengths` as the caller gave them; `steps`, those of the padded arrays; `order`, order[row] = sequence, or
    None where that changes nothing. Sorting is stable, and with several parts by batch the sequences are dealt like
    cards, longest first, so that each part gets its share of long ones and is sorted in itself.
    """

    __slots__ = ("lengths", "order", "sorted", "steps")

    def __init__(self, lengths: NDArray[np.intp], steps: int, split: Split) -> None:
        order = np.argsort(-lengths, kind="stable")
        if split.kind == "batch":
            order = np.concatenate([order[part :: split.parts] for part in range(split.parts)])
        self.lengths = lengths
        self.steps = steps
        self.sorted = lengths[order]
        self.order: NDArray[Any] | None = None if (order == np.arange(len(order))).all() else order

    def rows(self, counts: Sequence[int]) -> list[NDArray[np.uintp]]:
        """For each part, which has counts[part] rows: how many of them are still running at every step, (T,)."""
        time = np.arange(self.steps)
        ends = [0, *accumulate(counts)]
        parts = [self.sorted[start:end][::-1] for start, end in pairwise(ends)]
        return [(len(part) - np.searchsorted(part, time, side="right")).astype(np.uintp) for part in parts]


def run_ragged(call: Call, arrays: Sequence[Array | None], ragged: Ragged) -> tuple[float, list[Array | None]]:
    """As `call.run`, with arrays in the order of the caller. Returns also the arrays that C had, in its order."""
    rows = ragged.rows(call.counts)
    inner = list(arrays)
    if ragged.order is None:
        return call.run(inner, rows), inner
    inner = gather(call, arrays, ragged.order)
    loss = call.run(inner, rows)
    for k in call.scattered:
        theirs, ours = arrays[k], inner[k]
        if theirs is not None and ours is not None:
            put(theirs, ragged.order, call.batch_axes[k], ours)
    return loss, inner


def gather(call: Call, arrays: Sequence[Array | None], order: Array) -> list[Array | None]:
    """The arrays as C wants them: copies of inputs in the order of the rows, room for outputs."""
    inner = list(arrays)
    for k in (*call.gathered, *call.scattered):
        array = arrays[k]
        if array is not None:
            inner[k] = np.take(array, order, call.batch_axes[k]) if k in call.gathered else np.empty_like(array)
    return inner


def put(array: Array, order: Array, axis: int, rows: Array) -> None:
    """`rows` into an array, each where its sequence is; `axis` is that of the sequences."""
    array[(slice(None),) * axis + (order,)] = rows
