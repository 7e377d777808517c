"""How a stage that runs over a space reads a tensor: along its innermost dimension, or one number for all of its units.

    C[t,d,e] = f[t]*C[t-1,d,e] + v[t,d]*k[t,e]     runs over (D, E), E innermost

C and k are read along e, f and v are numbers there.  From one d to the next v moves by one value and C by E.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import sympy as sp
from sympy.tensor.indexed import Indexed

from derive import ir
from derive.ir import Equation, Space, Tensor

Tensors = dict[str, Tensor]
Shift = tuple[sp.Expr, ...]  # values from one unit to the next, of each dimension of a space but the innermost


def variable(access: sp.Expr, equation: Equation, tensors: Tensors, name: Callable[[str, int], str]) -> str:
    """The C variable of an access; of a tensor that is not read along the last dimensions it says along which."""
    by = ir.offset(ir.time_of(access, tensors)) if isinstance(access, Indexed) else 0
    own, places = _positions(access, equation, tensors)
    usual = list(range(places - len(own), places))
    mark = "" if own == usual else "_along" + "_".join(str(p + 1) for p in own)
    return name(ir.name_of(access), by or 0) + mark


def is_along(access: sp.Expr, equation: Equation, tensors: Tensors) -> bool:
    """Whether an access has a value for each unit of the innermost dimension."""
    own, places = _positions(access, equation, tensors)
    return bool(own) and own[-1] == places - 1


def shift(access: sp.Expr, equation: Equation, tensors: Tensors) -> Shift:
    """How an access moves with the units of the outer dimensions."""
    own, places = _positions(access, equation, tensors)
    distances = strides(ir.units(tensors[ir.name_of(access)]))
    return tuple(distances[own.index(p)] if p in own else sp.Integer(0) for p in range(places - 1))


def strides(space: Space) -> list[sp.Expr]:
    """Values from one unit to the next, of each dimension of a space."""
    return [sp.Mul(*space[n + 1 :]) for n in range(len(space))]


def shift_of(indices: Sequence[sp.Expr], dims: Space, outer: Sequence[sp.Expr]) -> Shift:
    """How something with these indices moves with some of them."""
    found = dict(zip(indices, strides(dims), strict=True))
    return tuple(found.get(i, sp.Integer(0)) for i in outer)


def _positions(access: sp.Expr, equation: Equation, tensors: Tensors) -> tuple[list[int], int]:
    axes = list(ir.axes(equation, tensors))
    return [axes.index(i) for i in ir.unit_indices(access, tensors)], len(axes)
