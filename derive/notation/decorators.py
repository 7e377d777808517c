"""`@cell`, `@head` and `@loss`, and what they make of a function: an object that has its program on demand."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, replace

from derive import ir
from derive.errors import DeriveError
from derive.ir import Program, Tensor
from derive.normalize import normalize
from derive.notation.joining import join, rebind
from derive.notation.program import written


@dataclass(frozen=True, eq=False, repr=False)
class Definition(ir.Shown):
    """What a person wrote: its name, its documentation and its equations as they were written."""

    name: str
    doc: str
    source: Program

    def program(self) -> Program:
        """The equations in normal form."""
        return normalize(self.source)

    def __repr__(self) -> str:
        head = f"<{type(self).__name__.lower()} {self.name}"
        return "\n".join([head, *(f"  {equation}" for equation in self.source.equations)]) + ">"


class Cell(Definition):
    """A cell: equations with states, whose first state is the output."""

    def then(self, other: Head, name: str, doc: str = "") -> Cell:
        """The cell with a head on top: the head reads the cell's output, and its own output becomes the output."""
        return Cell(name, doc or f"{self.doc}\n\nWith a head:\n\n{other.doc}", join(self.source, other.source, name))


class Head(Definition):
    """Equations without states that read a sequence: a readout, or a loss, whose last equation is a scalar."""

    def of(self, prediction: Tensor) -> Program:
        """The program with its first argument bound to the tensor that it judges."""
        return normalize(rebind(self.source, prediction))


def cell(states: str = "h", gates: str = "", **public: str) -> Callable[[Callable[..., None]], Cell]:
    """Decorator: the body of the function is the cell.  The first state is the output.

    `states` are the tensors that may be read at t-1 (each gets an initial value), `gates` the order in which the public
    weight arrays stack the gates, `**public` the public names of parameters: `bias_hh="v"`.
    Raises DeriveError with the cell, the equation and the index for anything that is no recurrent cell.
    """

    if callable(states):
        raise DeriveError(
            f'cell {getattr(states, "__name__", "")}: write @cell(states="h") above it, with the names of its states'
        )
    if not isinstance(states, str) or not isinstance(gates, str):
        raise DeriveError(
            f'@cell(states={states!r}, gates={gates!r}): write the names in one string, as in states="h c"'
        )
    if not states.split():
        raise DeriveError(
            '@cell(states=""): a cell has at least one state, and the first is its output; for equations '
            "without states there is @head"
        )

    def build(function: Callable[..., None]) -> Cell:
        return Cell(function.__name__, _doc(function), written(function, states.split(), gates.split(), public))

    return build


def head(**public: str) -> Callable[[Callable[..., None]], Head]:
    """Decorator: a readout.  The first argument is what it reads; the last equation defines the new output."""
    return lambda function: Head(function.__name__, _doc(function), written(function, [], [], public))


def loss(function: Callable[..., None]) -> Head:
    """Decorator: a loss.  First argument the prediction, second the target; the last equation is the scalar L[()]."""
    program = written(function, [], [], {})
    if len(program.meta["inputs"]) != 2 or program.equations[-1].lhs.args:
        raise DeriveError(f"loss {function.__name__}: expected a prediction, a target and at last a scalar L[()] = ...")
    target = program.meta["inputs"][1]
    tensors = {**program.tensors, target: replace(program.tensors[target], role="target")}
    return Head(
        function.__name__,
        _doc(function),
        replace(program, tensors=tensors, meta={**program.meta, "prefixes": ("L", "D")}),
    )


def _doc(function: Callable[..., None]) -> str:
    module = inspect.getmodule(function)
    return inspect.getdoc(function) or (inspect.getdoc(module) if module else "") or ""
