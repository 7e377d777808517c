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


class Argument(NamedTuple):
    """An array of the caller: what it is for, and its axes: T and B, the steps and the sequences, then those of a row."""

    role: str
    shape: tuple[Extent, ...]

    @property
    def row(self) -> tuple[Extent, ...]:
        """The axes behind T and B: those of a row, or all of a parameter; none where it is one number."""
        return tuple(axis for axis in self.shape if axis.dim not in ("T", "B"))

    @property
    def batch_axis(self) -> int | None:
        """Which axis is B; None for what all sequences have in common."""
        return next((k for k, axis in enumerate(self.shape) if axis.dim == "B"), None)

    def axes(self, unbatched: bool = False) -> tuple[Extent, ...]:
        """The axes that a caller sees, without a batch axis or with it."""
        return tuple(axis for axis in self.shape if not (unbatched and axis.dim == "B"))


class Kept(NamedTuple):
    """A value on the tape: the region, and its slot of so many in a row of that; `row`, its axes in a step of a sequence."""

    region: int
    slot: int
    slots: int
    row: tuple[Extent, ...]


class Spec:
    """The parsed SPEC of a generated cell.

    Attributes: `name`; `digest` of the equations, `code` of the C;
    `dims` (dimension -> keyword of init_params, in the order of the C struct); `gates`; `init` (parameter -> rule, or a rule
    for each gate); `arguments` (name -> Argument, in the order of the C struct) and `calls` (function -> names of its
    arguments).  Drawn from the arguments, name -> tuple of Extent: `inputs` and `states`, the axes of a row, `params`, all axes;
    `output`, its name; `targets`, the names of what the loss reads beside it, y first, and among these `weight`, that of steps;
    `count`, the name of the number by which a mean divides; `classes`, target of whole numbers -> dimension of their units.
    `tape`: the values that a tape holds, in the order of their regions.
    """

    def __init__(self, raw: Mapping[str, Any]) -> None:
        self.name: str = raw["name"]
        self.digest: str = raw["digest"]
        self.code: str = raw["code"]
        self.dims: dict[str, str] = dict(raw["dims"])
        self.gates: tuple[str, ...] = tuple(raw["gates"])
        self.init: dict[str, str | float | list[str | float]] = dict(raw["init"])
        self.arguments: dict[str, Argument] = {
            name: Argument(role, tuple(map(self._extent, shape))) for name, (role, *shape) in raw["arguments"].items()
        }
        self.calls: dict[str, tuple[str, ...]] = {op: tuple(names) for op, names in raw["calls"].items()}
        self.inputs = {name: self.arguments[name].row for name in self.of_role("input")}
        self.params = {name: self.arguments[name].row for name in self.of_role("param")}
        initial = zip(raw["states"], self.of_role("initial"), strict=True)
        self.states = {state: self.arguments[name].row for state, name in initial}
        (self.output,), self.targets = self.of_role("output"), self.of_role("target", "weight")
        self.count = next(iter(self.of_role("count")), None)
        self.weight = next(iter(self.of_role("weight")), None)
        self.classes: dict[str, str] = dict(raw.get("classes", {}))
        self.tape = {
            name: Kept(region, slot, slots, tuple(map(self._extent, row)))
            for name, (region, slot, slots, *row) in raw.get("tape", {}).items()
        }
        known = {extent.dim for name in self.of_role("input", "param") for extent in self.arguments[name].shape}
        if lost := [dim for dim in self.dims if dim not in known]:
            raise ArgumentError(
                f"{self.name}: no parameter and no input has the dimension {lost[0]}: its size is unknown"
            )

    def of_role(self, *roles: str) -> tuple[str, ...]:
        """The names of the arguments of some roles, in the order of the C struct."""
        return tuple(name for name, argument in self.arguments.items() if argument.role in roles)

    def _extent(self, text: str) -> Extent:
        match = _EXTENT.fullmatch(text)
        if match is None or match["dim"] not in (*self.dims, "T", "B"):
            raise ArgumentError(
                f"{self.name}: {text!r} is no multiple of a dimension; dimensions: {', '.join(self.dims)}"
            )
        return Extent(int(match["factor"] or 1), match["dim"])

    def solve(self, shapes: Mapping[str, Shape], inputs: Mapping[str, Shape]) -> dict[str, int]:
        """The size of each dimension, from the numeric shapes of the parameters (ranks already checked).

        Where parameters disagree the size that most axes say wins, so that the odd one out gets the blame; at a tie
        the first one. `inputs`, the rows of those that are known, are asked only for a dimension that no parameter
        has; 0 where they do not say it either.
        """
        given = {name: dict(zip(self._names(self.inputs[name]), row, strict=True)) for name, row in inputs.items()}
        sizes: dict[str, int] = {}
        for dim in self.dims:
            votes: Counter[int] = Counter()
            for name, symbolic in self.params.items():
                for extent, length in zip(symbolic, shapes[name], strict=True):
                    if extent.dim == dim:
                        # A length that is no multiple still votes, so that there is always a size to compare with.
                        votes[length // extent.factor] += 1 if length % extent.factor else 2
            told = next((row[dim] for row in given.values() if dim in row), 0)
            sizes[dim] = votes.most_common(1)[0][0] if votes else told
        return sizes

    def source(self, dim: str) -> str:
        """The first parameter that has `dim`, or else the first input: where its size is said to come from."""
        for name, shape in self.params.items():
            if dim in self._names(shape):
                return f"params[{name!r}]"
        return next(name for name, row in self.inputs.items() if dim in self._names(row))

    def untold(self) -> list[str]:
        """The inputs of which no parameter has every size."""
        told = {dim for shape in self.params.values() for dim in self._names(shape)}
        return [name for name, row in self.inputs.items() if not told.issuperset(self._names(row))]

    @staticmethod
    def _names(axes: Iterable[Extent]) -> list[str]:
        """The dimensions of some axes."""
        return [axis.dim for axis in axes]
