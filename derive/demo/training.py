"""What it takes to train a compiled cell, in NumPy: Adam, gradient clipping, a learning rate that fades out.

The arrays are dictionaries as `init_params` and `loss_and_grad` give them. Everything here is updated in place, and the
gradients of the inputs and of the initial state, which are no parameters, are left alone.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

Arrays = dict[str, npt.NDArray[Any]]


class Adam:
    """Adam, Kingma & Ba 2015, algorithm 1: moments of each gradient, corrected for their start at 0."""

    def __init__(self, params: Arrays, decay: tuple[float, float] = (0.9, 0.999), epsilon: float = 1e-8) -> None:
        self.params = params
        self.decay = decay
        self.epsilon = epsilon
        self.steps = 0
        self.first = {name: np.zeros_like(value) for name, value in params.items()}
        self.second = {name: np.zeros_like(value) for name, value in params.items()}

    def step(self, grads: Mapping[str, npt.NDArray[Any]], rate: float) -> None:
        """Move every parameter by one step of size `rate` at most (or nearly so)."""
        self.steps += 1
        b1, b2 = self.decay
        scale = rate * math.sqrt(1 - b2**self.steps) / (1 - b1**self.steps)
        for name, value in self.params.items():
            m, v, g = self.first[name], self.second[name], grads[name]
            m += (1 - b1) * (g - m)
            v += (1 - b2) * (g * g - v)
            value -= scale * m / (np.sqrt(v) + self.epsilon)


def clip(grads: Arrays, names: Mapping[str, Any], limit: float) -> float:
    """Scale the gradients of `names` together so that their joint Euclidean norm is at most `limit`; return that norm.

    Pascanu, Mikolov & Bengio 2013: what bounds one step when the product of the Jacobians explodes.
    """
    norm = math.sqrt(sum(float(np.vdot(grads[name], grads[name])) for name in names))
    if norm > limit:
        for name in names:
            grads[name] = grads[name] * (limit / norm)
    return norm


def cosine(step: int, steps: int, rate: float) -> float:
    """Return the learning rate at `step` of `steps`: from `rate` down to 0 along half a cosine."""
    return 0.5 * rate * (1 + math.cos(math.pi * step / steps))


def descend(params: Arrays, grads: Mapping[str, npt.NDArray[Any]], rate: float) -> None:
    """One step of plain gradient descent."""
    for name, value in params.items():
        value -= rate * grads[name]
