"""The register of paper cells: the equations as a cell file has them, and the same step as a person writes it in PyTorch.

A step takes x (B, I), the public parameter arrays of the module by name, and the states (B, dim) before it; it returns
those after it, the output first.  It is written from the paper's matrix equations, not from the cell file: gates are
taken out of the stacked arrays here as users of the module take them out.
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
    """A cell file's text, its step, and the states and parameters that are drawn positive."""

    name: str
    text: str
    step: Step
    positive: tuple[str, ...] = ()


CELLS: dict[str, Paper] = {}


def paper(text: str, positive: tuple[str, ...] = ()) -> Callable[[Step], Step]:
    """Register the step below under its own name, which is the cell's name too."""

    def register(step: Step) -> Step:
        name = step.__name__.strip("_")
        assert name not in CELLS and f"def {name}(" in text, name
        CELLS[name] = Paper(name, text, step, positive)
        return step

    return register


def gates(p: dict[str, Array], x: Array, h: Array, count: int) -> list[Array]:
    """W x + U h + b of stacked gates, one by one."""
    return list((linear(x, p["weight_ih"], p["bias"]) + linear(h, p["weight_hh"])).chunk(count, dim=-1))


def split(array: Array, count: int) -> tuple[Array, ...]:
    """The arrays of the gates, from a stacked one."""
    return torch.chunk(array, count, dim=0)
