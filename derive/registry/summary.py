"""A cell or a loss in one line, and as a record for other programs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import sympy as sp

from derive.notation import Cell, Head


@dataclass(frozen=True)
class Summary:
    """What a line of `derive list` says; `count` is how many numbers the parameters have, 0 for none."""

    name: str
    title: str
    states: tuple[str, ...]
    count: str


def summary(of: Cell | Head) -> Summary:
    """The line of a cell or loss."""
    program = of.program()
    count = sp.expand(sum((sp.prod(x.dims) for x in program.of_role("param")), sp.Integer(0)))
    title = next(iter((of.doc or "").strip().splitlines()), "")
    return Summary(of.name, title, tuple(program.facts.states), str(count))


def as_dict(of: Cell | Head) -> dict[str, Any]:
    """The record of a cell or loss: its line, its sizes and parameters by their names in the equations, and its equations."""
    line, program = summary(of), of.program()
    return {
        "name": line.name,
        "title": line.title,
        "states": list(line.states),
        "gates": list(program.facts.gates),
        "sizes": [str(size) for size in program.facts.sizes],
        "parameters": {x.name: [str(d) for d in x.dims] for x in program.of_role("param")},
        "count": line.count,
        "equations": [{"id": e.id, "text": str(e)} for e in program.equations],
    }
