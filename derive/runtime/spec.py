"""What a cell's generated module says about itself: names, symbolic shapes, dimensions. Parsed once, at import."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from .errors import ArgumentError

Shape = tuple[int, ...]

_EXTENT = re.compile(r"(?:(?P<factor>[1-9]\d*)\*)?(?P<dim>[A-Za-z_]\w*)")


class Extent(NamedTuple):
    """One axis of a symbolic shape, `factor * dim`: "4*H" is Extent(4, "H")."""

    factor: int
    dim: str

    def __str__(self) -> str:
        return self.dim if self.factor == 1 else f"{self.factor}*{self.dim}"

    def size(self, dims: Mapping[str, int]) -> int:
        return self.factor * dims[self.dim]


def show(shape: Iterable[object]) -> str:
    """A shape as Python prints a tuple, without quotes: (4*H, I), (H,)."""
    texts = [str(axis) for axis in shape]
    return f"({texts[0]},)" if len(texts) == 1 else f"({', '.join(texts)})"


class Spec:
    """The parsed SPEC of a generated cell.

    Attributes: `name`; `digest` of the equations, `code` of the C;
    `dims` (dimension -> keyword of init_params, in the order of the C struct); `states`
    (name -> dimension); `gates`; `params` (name -> tuple of Extent); `init` (name -> rule); `input_dim`, `output_dim`
    and `target_dim`, the last axis of x, out and y.
    """

    def __init__(self, raw: Mapping[str, Any]) -> None:
        self.name: str = raw["name"]
        self.digest: str = raw["digest"]
        self.code: str = raw["code"]
        self.dims: dict[str, str] = dict(raw["dims"])
        self.states: dict[str, str] = dict(raw["states"])
        self.gates: tuple[str, ...] = tuple(raw["gates"])
        self.input_dim: str = raw["input"][1]
        self.output_dim: str = raw["output"][1]
        self.target_dim: str = raw["target"][1]
        self.params: dict[str, tuple[Extent, ...]] = {
            name: tuple(map(self._extent, shape)) for name, shape in raw["params"].items()
        }
        self.init: dict[str, str] = dict(raw["init"])
        known = {extent.dim for shape in self.params.values() for extent in shape} | {self.input_dim}
        if lost := [dim for dim in self.dims if dim not in known]:
            raise ArgumentError(f"{self.name}: no parameter and not x has the dimension {lost[0]}: its size is unknown")

    def _extent(self, text: str) -> Extent:
        match = _EXTENT.fullmatch(text)
        if match is None or match["dim"] not in self.dims:
            raise ArgumentError(
                f"{self.name}: {text!r} is no multiple of a dimension; dimensions: {', '.join(self.dims)}"
            )
        return Extent(int(match["factor"] or 1), match["dim"])

    def solve(self, shapes: Mapping[str, Shape], input_size: int) -> dict[str, int]:
        """The size of each dimension, from the numeric shapes of the parameters (ranks already checked).

        Where parameters disagree the size that most axes say wins, so that the odd one out gets the blame; at a tie
        the first one. x is asked only for a dimension that no parameter has.
        """
        sizes: dict[str, int] = {}
        for dim in self.dims:
            votes: Counter[int] = Counter()
            for name, symbolic in self.params.items():
                for extent, length in zip(symbolic, shapes[name], strict=True):
                    if extent.dim == dim:
                        # A length that is no multiple still votes, so that there is always a size to compare with.
                        votes[length // extent.factor] += 1 if length % extent.factor else 2
            sizes[dim] = votes.most_common(1)[0][0] if votes else input_size
        return sizes

    def source(self, dim: str) -> str:
        """The first parameter that has `dim`: where its size is said to come from."""
        for name, shape in self.params.items():
            if any(extent.dim == dim for extent in shape):
                return name
        raise KeyError(dim)
