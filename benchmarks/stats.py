"""Statistics of repeated timings: medians, quartiles, geometric means."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import exp, log
from typing import NamedTuple

import numpy as np


class Spread(NamedTuple):
    """Median and quartiles of a sample, and its size."""

    median: float
    q1: float
    q3: float
    samples: int

    @property
    def relative(self) -> float:
        """The distance between the quartiles as a share of the median."""
        return (self.q3 - self.q1) / self.median


def spread(values: Sequence[float]) -> Spread:
    """Raises ValueError for no values."""
    if not values:
        raise ValueError("no values to take the median of")
    q1, median, q3 = np.percentile(values, [25, 50, 75])
    return Spread(float(median), float(q1), float(q3), len(values))


def geometric_mean(values: Iterable[float]) -> float:
    """The n-th root of the product of n positive numbers; NaN for none."""
    logs = [log(value) for value in values]
    return exp(sum(logs) / len(logs)) if logs else float("nan")
