"""The register of steps: for each cell of the zoo the same step as a person writes it in PyTorch.

A step takes x (B, I), the public parameter arrays of the module by name, and the states (B, dim) before it, further inputs by
keyword; it returns the states after it, the output first.  It is written from the paper's matrix equations, not from the cell
file: gates are taken out of the stacked arrays here as users of the module take them out.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn.functional import linear

Array = Any
Step = Callable[..., tuple[Array, ...]]


@dataclass(frozen=True)
class Paper:
    """A step, the states and parameters that are drawn positive, and the text of a cell that is not in the zoo."""

    name: str
    step: Step
    positive: tuple[str, ...] = ()
    text: str = ""


ZOO: dict[str, Paper] = {}
OTHERS: dict[str, Paper] = {}


def zoo(step: Step) -> Step:
    """Register the step below for the cell of the zoo that has its name."""
    return positive()(step)


def positive(*names: str) -> Callable[[Step], Step]:
    """The same for a cell that divides by a state: the states of these names are drawn positive."""

    def register(step: Step) -> Step:
        assert step.__name__ not in ZOO
        ZOO[step.__name__] = Paper(step.__name__, step, names)
        return step

    return register


def paper(text: str, positive: tuple[str, ...] = ()) -> Callable[[Step], Step]:
    """Register the step below for a cell that only the tests have, with the text of its file."""

    def register(step: Step) -> Step:
        name = step.__name__
        assert name not in OTHERS and f"def {name}(" in text, name
        OTHERS[name] = Paper(name, step, positive, text)
        return step

    return register


def gates(p: dict[str, Array], x: Array, h: Array, count: int) -> list[Array]:
    """W x + U h + b of stacked gates, one by one."""
    return list((linear(x, p["weight_ih"], p["bias"]) + linear(h, p["weight_hh"])).chunk(count, dim=-1))


def split(array: Array, count: int) -> tuple[Array, ...]:
    """The arrays of the gates, from a stacked one."""
    return torch.chunk(array, count, dim=0)
