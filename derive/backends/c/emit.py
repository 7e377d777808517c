"""From a model to its C: fills templates/c/.

The passes decide everything; here their results are handed to Jinja.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import sympy as sp

from derive import ir
from derive.backends.c import layout
from derive.backends.c.render import render
from derive.backends.c.schedule import plan
from derive.backends.c.spelled import KernelText
from derive.backends.c.target import TARGET
from derive.backends.c.types import scalar
from derive.backends.shared.printer import F32, F64, Real
from derive.errors import DeriveError
from derive.ir import functions
from derive.pipeline import Model, Routine

REALS = (F32, F64)
SHARED = "derive_"  # begins the name of a header that all cells share
_PARTS: dict[str, dict[str, Any]] = {"vectors": {}, "math": {"records": functions.RECORDS}, "gemm": {}, "team": {}}
# The calls of a cell, each with what it takes beside `args`: in C, and as it is handed on.
_CALLS = (
    ("sizes", ", {}_sizes *sizes", ", sizes"),
    *((n, "", "") for n in ("infer", "forward", "backward", "loss_and_grad")),
)


@dataclass(frozen=True)
class Crossing:
    """Values of what crosses from one call to another.

    tape, states_tape: a row of a tape of everything, and of all states.  states: those of one sequence.  starts: where each
    begins among those of all sequences.  params: the numbers of each array.  widths: rows of the caller's arrays with time.
    """

    tape: sp.Expr
    states_tape: sp.Expr
    states: sp.Expr
    starts: dict[str, sp.Expr]
    params: dict[str, sp.Expr]
    widths: sp.Expr


def crossing(made: Model) -> Crossing:
    """The sizes of what crosses from one call to another."""
    record = next(k for k in plan(made) if k.name == "record")
    states = {a.of: a.values for a in made.signature.of_role("initial")}
    widths = list(states.values())
    return Crossing(
        sp.Add(*layout.tape_widths(made.tape.values()).values()),
        sp.Add(*layout.tape_widths(record.storage.places.values()).values()),
        sp.Add(*widths),
        {name: ir.B * sp.Add(*widths[:number]) for number, name in enumerate(states)},
        {a.name: a.values for a in made.signature.of_role("param")},
        sp.Add(*made.signature.widths),
    )


def c_kernels(made: Model, alone: bool = False) -> str:
    """The kernels of a model, for either scalar type."""
    return render(
        "c/kernels.c.j2",
        model=made,
        alone=alone,
        kernels=[KernelText(k) for k in plan(made)],
        splits=layout.splittable(plan(made)),
        extents=["B", *made.meta["dims"]],
        digest=made.digest[:16],
        sizes=crossing(made),
    )


@dataclass(frozen=True)
class _Named:
    """What the templates of kernels ask of a cell, for a routine."""

    name: str
    meta: dict[str, list[str]]


@dataclass(frozen=True)
class _Array:
    """One member of the struct of a routine."""

    array: str
    shape: str
    is_input: bool


def routine_files(made: Routine, real: Real) -> dict[str, str]:
    """Header and C of a routine in one scalar type, with the headers that they read."""
    plans = plan(made)
    program = made.program
    arguments = [_Array(p.array, program.tensors[n].shape, n in program.inputs) for n, p in made.arguments.items()]
    values = {
        "routine": made,
        "routine_model": _Named(made.name, {"dims": made.dims}),
        "real": real,
        "arguments": arguments,
        "kernels": [KernelText(k) for k in plans],
        "splits": layout.splittable(plans),
        "extents": ["B", *made.dims],
        "digest": made.digest[:16],
        "tape": sp.Add(*layout.tape_widths(made.tape.values()).values()),
    }
    own = {f"{made.name}.{kind}": render(f"c/routine.{kind}.j2", **values) for kind in ("h", "c")}
    return {**own, **shared()}


def c_header(made: Model, reals: Sequence[Real] = REALS) -> str:
    """The header: some scalar types, every array with its shape."""
    return render(
        "c/header.h.j2",
        model=made,
        reals=reals,
        tape=layout.tape_widths(made.tape.values()),
        text=lambda expr: ir.text(expr, ascii=True),
    )


def code(made: Model, reals: Sequence[Real] = REALS, alone: bool = False) -> dict[str, str]:
    """Every C file of a model, by its name; the headers that all cells share are in `shared`.

    `alone`: the files say of themselves that they need no others, as backends/c/standalone.py makes them.  Raises
    DeriveError for a cell whose header would have the name of one of those.
    """
    name = made.name
    if f"{name}.h" in shared():
        raise DeriveError(f"{name}: {name}.h is a header that the C of every cell reads; give the cell another name")
    found = {f"{name}.h": c_header(made, reals), f"{name}_kernels.h": c_kernels(made, alone)}
    for real in reals:
        found[f"{name}_{real.tag}.c"] = render("c/cell.c.j2", model=made, real=real, alone=alone)
        for isa in TARGET.built:
            found[f"{name}_{real.tag}_{isa.tag}.c"] = render("c/isa.c.j2", model=made, real=real, isa=isa)
    found[f"{name}_dispatch.c"] = render(
        "c/dispatch.c.j2",
        model=made,
        splits=layout.splittable(plan(made)),
        reals=reals,
        builds=list(enumerate(TARGET.built, 2))[::-1],  # the best first; 1 is the portable one
        calls=[(call, more.format(name), given) for call, more, given in _CALLS],
    )
    return found


@cache
def shared() -> Mapping[str, str]:
    """The headers that the kernels of every cell read, by their names; derive_f32.h or derive_f64.h reads the others."""
    found = {f"{SHARED}{name}.h": render(f"c/{name}.h.j2", **values) for name, values in _PARTS.items()}
    for real in REALS:
        found[f"{SHARED}{real.tag}.h"] = render(
            "c/type.h.j2", type=scalar(real), **functions.polynomials_of(real.dtype)
        )
    return found
