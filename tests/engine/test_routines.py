"""Programs that are no cell: tangents, derivatives of derivatives, as C, against the interpreter of the program itself."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from routines import called, compiled, drawn, expected

from derive import registry
from derive.ir import Program
from derive.passes.adjoint import jvp, vjp
from derive.passes.layers import both_directions, stack
from derive.passes.simplify import simplify
from derive.pipeline import routine

CELLS = ("rnn", "lstm", "gru", "lstm_peephole", "lstm_layernorm", "lstm_readout")
SIZES = {"I": 3, "H": 5, "O": 2}


def simple(program: Program) -> Program:
    return simplify(program)[0]


DERIVED = {
    "jvp": lambda p: simple(jvp(p)),
    "vjp": lambda p: simple(vjp(p)),
    "vjp of vjp": lambda p: simple(vjp(simple(vjp(p)))),
    "jvp of vjp": lambda p: simple(jvp(simple(vjp(p)))),
}


def compare(program: Program, folder: Path, limit: float = 1e-11) -> None:
    outputs = {*program.outputs, *(n for n, x in program.tensors.items() if x.role in ("gradient", "final"))}
    program = replace(program, outputs=tuple(n for n in program.defined if n in outputs and n in program.tensors))
    made = routine("it", program)
    code = compiled(made, folder)
    for T, B in ((1, 1), (4, 3), (29, 20)):  # the last one takes several chunks of steps
        sizes = {"T": T, "B": B, **{d: SIZES.get(d, 4) for d in made.dims}}
        values = drawn(made, sizes, T + B)
        right = expected(made, program, values, sizes)
        found = called(made, code, values, sizes)
        assert set(found) == set(program.outputs)
        for name, array in found.items():
            scale = max(float(np.abs(right[name]).max()), 1e-3)
            assert np.abs(array - right[name]).max() <= limit * scale, (name, T, B)


@pytest.mark.parametrize(
    ("name", "kind"),
    [*(("rnn", k) for k in DERIVED), *((n, "vjp of vjp") for n in CELLS[1:]), ("lstm", "jvp"), ("gru", "jvp of vjp")],
)
def test_it_is_what_the_interpreter_says(name: str, kind: str, tmp_path: Path) -> None:
    compare(DERIVED[kind](registry.cell(name).normal()), tmp_path)


LAYERS = {
    "stack": lambda p, q: stack(p, q, p.facts.output),
    "both directions": lambda p, q: both_directions(p),
    "a stack of both directions": lambda p, q: both_directions(stack(p, q, p.facts.output)),
}


@pytest.mark.parametrize(
    ("layers", "kind"),
    [*((x, "") for x in LAYERS), ("stack", "jvp"), *(("a stack of both directions", kind) for kind in DERIVED)],
)
def test_layers_are_what_the_interpreter_says(layers: str, kind: str, tmp_path: Path) -> None:
    program = LAYERS[layers](registry.cell("rnn").normal(), registry.cell("gru").normal())
    program = DERIVED[kind](program) if kind else program
    compare(program, tmp_path)
