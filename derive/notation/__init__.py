"""The notation of a cell file: `@cell` turns a function whose body is equations into a `Program`.

    @cell(states="h c", gates="i f g o")
    def lstm(x, h, c, W, U, b, z, i, f, g, o):
        for q in (i, f, g, o):
            z[q][t, n] = Sum(W[q][n, j] * x[t, j], j) + Sum(U[q][n, k] * h[t - 1, k], k) + b[q][n]
        ...

The arguments *are* the tensors.  `W[q]` is the tensor W of gate q; `h[t, n] = ...` writes an equation.  A tensor that
is assigned is a value (a state, if named so); one that is not is an input when it has a time index, a parameter when
it has none.  Inputs stand before the states, as x does; each has a size of its own.  Which index runs over what is found
by unification: j is an input index because x[t, j] is an input.
Keyword arguments of `@cell` give parameters their public names: `bias_ih="b"`.

Arguments may have Greek letters, as papers do; C, file names and the dict of parameters spell them: λ is params["lambda_"].
A cell that means something else than what is computed, or that nothing computes yet, is refused with the equation and its
line, when it is read or when its program is first asked for.

This file holds the names that a cell file imports; among them are the functions of derive/ir/functions/, so that one
that gets a record there can be imported here.  symbols.py has the words, decorators.py `@cell` and its kin,
writer.py notes what a function writes and lines.py where; conditions.py makes comparisons numbers, own.py functions of
one's own, delays.py states of earlier steps; pieces.py has equations that cells share; spelling.py spells names; hints.py,
formulas.py, checks.py, inputs.py, sizes.py and public.py say what is wrong with it, whole.py what is wrong with the whole;
program.py makes a program of it, and joining.py puts a head on top of a cell.
"""

import sys
from dis import opname
from typing import Any

from derive.errors import UnknownNameError
from derive.ir import t
from derive.ir.functions import IN_CELLS
from derive.notation.decorators import Cell, Head, Loss, cell, head, loss
from derive.notation.hints import nearest
from derive.notation.own import function
from derive.notation.positions import one_hot, position
from derive.notation.symbols import (
    H,
    Rational,
    Sum,
    i,
    j,
    k,
    m,
    mean,
    n,
    o,
    pi,
    sqrt,
)
from derive.notation.writer import value

__all__ = [
    "Cell",
    "H",
    "Head",
    "Loss",
    "Rational",
    "Sum",
    "cell",
    "function",
    "head",
    "i",
    "j",
    "k",
    "loss",
    "m",
    "mean",
    "n",
    "o",
    "one_hot",
    "pi",
    "position",
    "sqrt",
    "t",
    "value",
    *IN_CELLS,
]

globals().update(IN_CELLS)


def __getattr__(name: str) -> Any:
    """What has no name here; type checkers take its presence for any function that has a record.

    `from derive.notation import name` gets the message as an ImportError; who only asks, as hasattr does, an AttributeError.
    """
    near = nearest(name, __all__)
    said = (
        f"derive.notation has no name {name!r}{f'; did you mean {near}?' if near else ''} Functions are "
        f"{', '.join(sorted(IN_CELLS))}; a function of your own is made by function(name, definition, derivative)"
    )
    asking = sys._getframe(1)
    if not name.startswith("_") and opname[asking.f_code.co_code[asking.f_lasti]] == "IMPORT_FROM":
        raise UnknownNameError(said)
    raise AttributeError(said)
