"""Next year's sunspot number, from all years before it: a recurrent cell against persistence and linear autoregression.

The series is split by time. Everything that is fitted sees the training years only; what is chosen (the step at which
to stop, the order of the autoregression) is chosen on the validation years; the held-out years are read once, at the
end. All errors are root mean squares in sunspot numbers, one year ahead.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from derive.demo.data import sunspots
from derive.demo.training import Adam, Arrays, clip, cosine

Floats = npt.NDArray[np.float64]
Batch = tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]


@dataclass(frozen=True)
class Series:
    """Yearly values: training years up to `train`, validation years up to `validation`, held-out years after that."""

    years: npt.NDArray[np.int64]
    values: Floats
    train: int = 1920
    validation: int = 1955

    @cached_property
    def cuts(self) -> tuple[int, int]:
        """How many years lie in the training part, and in training and validation together."""
        return int(np.sum(self.years <= self.train)), int(np.sum(self.years <= self.validation))

    @cached_property
    def moments(self) -> tuple[float, float]:
        """Mean and standard deviation of the square roots in the training years."""
        roots = np.sqrt(self.values[: self.cuts[0]])
        return float(roots.mean()), float(roots.std())

    @cached_property
    def scaled(self) -> Floats:
        """The values as the cell sees them. Sunspot counts scatter like their square root: the root evens that out."""
        mean, deviation = self.moments
        return (np.sqrt(self.values) - mean) / deviation

    def unscaled(self, scaled: npt.NDArray[Any]) -> Floats:
        """Turn what the cell says back into sunspot numbers."""
        mean, deviation = self.moments
        return np.maximum(np.asarray(scaled, np.float64) * deviation + mean, 0) ** 2

    def error(self, predicted: Floats, part: str) -> float:
        """Return the root mean square error over one part. `predicted[k]` is the guess for the year `years[k + 1]`."""
        first, last = {
            "train": (1, self.cuts[0]),
            "validation": self.cuts,
            "held-out": (self.cuts[1], len(self.values)),
        }[part]
        return float(np.sqrt(np.mean((predicted[first - 1 : last - 1] - self.values[first:last]) ** 2)))


def series() -> Series:
    """Return the bundled sunspot numbers with the split that the demo uses."""
    return Series(*sunspots())


def persistence(data: Series) -> Floats:
    """Next year is like this year."""
    return data.values[:-1]


def autoregression(data: Series, order: int, roots: bool) -> Floats:
    """Fit v(t) = a0 + a1 v(t-1) + ... by least squares to the training years and predict with it.

    Where `roots`, v is the square root of the sunspot number (as the cell sees it), else the number. The first years
    have too few predecessors: the value before them stands in.
    """
    value = data.scaled if roots else data.values
    last = len(value) - 1
    lags = [np.concatenate([np.full(lag, value[0]), value[: last - lag]]) for lag in range(order)]
    design = np.column_stack([np.ones(last), *lags])
    fitted = slice(order - 1, data.cuts[0] - 1)
    weights = np.linalg.lstsq(design[fitted], value[1:][fitted], rcond=None)[0]
    predicted = design @ weights
    return data.unscaled(predicted) if roots else predicted


def best_autoregression(data: Series, roots: bool, orders: range = range(1, 16)) -> tuple[int, Floats]:
    """Return the order with the smallest error on the validation years, and its predictions."""
    fits = {order: autoregression(data, order, roots) for order in orders}
    order = min(fits, key=lambda p: data.error(fits[p], "validation"))
    return order, fits[order]


@dataclass(frozen=True)
class Recipe:
    """How one network is trained. Chosen on the validation years."""

    hidden: int = 32
    window: int = 60
    batch: int = 16
    steps: int = 300
    rate: float = 1e-2
    limit: float = 1.0
    look: int = 10


@dataclass(frozen=True)
class Fit:
    """A trained network: its predictions at the step where the validation error was smallest."""

    predicted: Floats
    step: int
    validation: float


def windows(data: Series, recipe: Recipe, seed: int) -> Iterator[Batch]:
    """Yield batches of random stretches of the training years for ever: x (T, B, 1) and, one year on, y (T, B, 1)."""
    random = np.random.default_rng(seed)
    value = data.scaled.astype(np.float32)
    while True:
        start = random.integers(0, data.cuts[0] - recipe.window, recipe.batch)
        rows = start[None, :] + np.arange(recipe.window)[:, None]
        yield value[rows][..., None], value[rows + 1][..., None]


def start(cell: Any, recipe: Recipe, seed: int) -> Arrays:
    """Return fresh parameters; the forget gates start open (bias + 1: Gers, Schmidhuber & Cummins 2000)."""
    params = cell.init_params(1, recipe.hidden, output_size=1, dtype=np.float32, seed=seed)
    forget = cell.GATES.index("f") * recipe.hidden
    params["bias"][forget : forget + recipe.hidden] += 1
    return params


def predict(cell: Any, data: Series, scaled: Floats, params: Arrays) -> Floats:
    """Return the guess for each year but the first: the cell reads `scaled` once, from its first year on.

    One step ahead all along: what it says after reading year t is its guess for t + 1, so that no year's own value is
    among the inputs of its prediction.
    """
    out, _state = cell.infer(scaled[:-1, None, None].astype(np.float32), params)
    return data.unscaled(out[:, 0, 0])


def train(cell: Any, data: Series, recipe: Recipe, seed: int, progress: Callable[[int, float], None]) -> Fit:
    """Train `cell`, an LSTM with a readout, on the training years; call `progress(step, loss)` after every step.

    All steps are run; what counts is what the network predicted when it did best on the validation years.
    """
    params = start(cell, recipe, seed)
    adam = Adam(params)
    batches = windows(data, recipe, seed)
    best = Fit(persistence(data), 0, np.inf)
    for step in range(1, recipe.steps + 1):
        x, y = next(batches)
        loss, grads = cell.loss_and_grad(x, y, params)
        grads = {name: grads[name] / np.float32(y.size) for name in params}
        clip(grads, params, recipe.limit)
        adam.step(grads, cosine(step - 1, recipe.steps, recipe.rate))
        if step % recipe.look == 0 or step == recipe.steps:
            predicted = predict(cell, data, data.scaled, params)
            error = data.error(predicted, "validation")
            if error < best.validation:
                best = Fit(predicted, step, error)
        progress(step, float(loss) / y.size)
    return best
