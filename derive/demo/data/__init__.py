"""Real series that come with the package, so that nothing needs a network. README.md names their sources."""

from __future__ import annotations

from importlib import resources

import numpy as np
import numpy.typing as npt


def sunspots() -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """Return the years 1700 to 2008 and the mean sunspot number of each: two arrays of shape (309,)."""
    with (resources.files(__package__) / "sunspots.csv").open(encoding="utf-8") as file:
        table = np.loadtxt(file, delimiter=",", skiprows=1)
    return table[:, 0].astype(np.int64), table[:, 1]
