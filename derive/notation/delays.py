"""Values of earlier steps: x[t - 1] of an input and h[t - 2] of a state, each kept in a state by itself.

    x[t - 1, j]    ->   x_past[t - 1, j]    with  x_past[t, j] = x[t, j]
    h[t - 2, n]    ->   h_past[t - 1, n]    with  h_past[t, n] = h[t - 1, n]

The new states follow those of the cell; their initial values are what stood there before the first step.
"""

from __future__ import annotations

from collections.abc import Sequence

import sympy as sp
from sympy.tensor.indexed import Indexed, IndexedBase

from derive import ir
from derive.ir import t
from derive.notation.writer import Name, Writer

MOST = 64  # steps: one state for each


def with_delays(writer: Writer, states: Sequence[str]) -> list[str]:
    """Rewrite reads of earlier steps; the states of the cell, those that this needs included.

    Raises DeriveError, with the equation and its line, for a read of more than 64 steps ago, and where a name is taken.
    """
    assigned = {ir.name_of(lhs) for lhs, _ in writer.equations}
    inputs = {label for label in writer.names if label not in assigned}
    made: dict[tuple[str, int], str] = {}

    def kept(access: Indexed, steps: int, equation: int) -> str:
        """The state whose value of the step before is that of `steps` steps ago."""
        label = ir.name_of(access)
        if steps == 1 and label in states:
            return label
        number = steps - (label in states)
        name = f"{label}_past{number if number > 1 else ''}"
        if (label, number) not in made:
            if number > MOST:
                raise writer.mistake(equation, f"{access} is read {steps} steps back; {MOST} at most can be")
            if name in writer.names:
                raise writer.mistake(
                    equation, f"{access} is kept in a state called {name}, and an argument has this name; rename it"
                )
            rest = access.indices[1:]
            read = IndexedBase(label)[(t - int(label in states), *rest)]
            if number > 1:
                read = IndexedBase(kept(access, steps - 1, equation))[(t - 1, *rest)]
            made[label, number] = name
            writer.names[name] = Name(name, writer)
            writer.used.add(name)
            writer.equations.append((IndexedBase(name)[(t, *rest)], read))
            writer.lines.append(writer.lines[equation])
        return name

    for position, (lhs, rhs) in enumerate(list(writer.equations)):
        moves = {}
        for access in sorted(rhs.atoms(Indexed), key=sp.default_sort_key):
            label, by = ir.name_of(access), ir.offset(access.indices[0])
            if by is None or not (by < -1 or (by == -1 and label in inputs)) or label not in {*states, *inputs}:
                continue
            moves[access] = IndexedBase(kept(access, -by, position))[(t - 1, *access.indices[1:])]
        if moves:
            writer.equations[position] = (lhs, rhs.xreplace(moves))
    return [*states, *made.values()]
