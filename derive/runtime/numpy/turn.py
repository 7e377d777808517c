"""The second direction: sequences turned round, each within its own length."""

from __future__ import annotations

import numpy as np

from .arrays import Array


class Turn:
    """Sequences turned round, each within its own length; what follows its end repeats its last step."""

    def __init__(self, steps: int, lengths: Array | None) -> None:
        self.steps, self.lengths = steps, lengths
        if lengths is not None:
            time = np.arange(steps)[:, None]
            self.index = np.where(time < lengths, lengths - 1 - time, 0)
            self.there = time < lengths

    def values(self, array: Array) -> Array:
        """An array over time, (T, B, ...) or (T, ...), turned round; turned back, what is beyond an end repeats the last step."""
        if self.lengths is None:
            return np.ascontiguousarray(array[::-1])
        return array[self.index, np.arange(array.shape[1])]

    def gradients(self, array: Array) -> Array:
        """Derivatives by values, turned round, those beyond the end as zeros: they stand for repeated values."""
        if self.lengths is None:
            return np.ascontiguousarray(array[::-1])
        found = self.values(array)
        found[~self.there] = 0
        return found
