"""Programs that are no cell, by the plain backend: derivatives of derivatives, stacks, layers in both directions of time."""

from __future__ import annotations

import ctypes
from dataclasses import replace

import numpy as np
import pytest
from c_tools import run
from plain_tools import STRICT

from derive import backends, registry
from derive.passes.adjoint import jvp, vjp
from derive.passes.layers import both_directions, stack
from derive.passes.simplify import simplify
from derive.pipeline import routine
from tests.engine.routines import drawn, expected, shape_of

SIZES = {"I": 3, "H": 5, "O": 2}
LONGEST = 4


def simple(program):
    return simplify(program)[0]


def layers(name):
    lstm, gru = registry.cell("lstm").normal(), registry.cell("gru").normal()
    stacked = stack(lstm, gru, lstm.facts.output)
    return {"stack": stacked, "both directions": both_directions(gru), "all": both_directions(stacked)}[name]


PROGRAMS = {
    "tangents of an LSTM": lambda: simple(jvp(registry.cell("lstm").normal())),
    "gradients of layer norm": lambda: simple(vjp(registry.cell("lstm_layernorm").normal())),
    "second derivatives of a GRU": lambda: simple(jvp(simple(vjp(registry.cell("gru").normal())))),
    "gradients of gradients of an RNN": lambda: simple(vjp(simple(vjp(registry.cell("rnn").normal())))),
    "a stack": lambda: layers("stack"),
    "both directions": lambda: layers("both directions"),
    "gradients of a stack in both directions": lambda: simple(vjp(layers("all"))),
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program_is_what_the_interpreter_says(name, tmp_path):
    program = PROGRAMS[name]()
    outputs = {*program.outputs, *(n for n, x in program.tensors.items() if x.role in ("gradient", "final"))}
    program = replace(program, outputs=tuple(n for n in program.defined if n in outputs and n in program.tensors))
    made = routine("it", program)
    dims = {d: SIZES.get(d, 4) for d in made.dims}
    files = backends.named("plain").files(made, sizes=dims, T=LONGEST, real="double")
    for file, text in files.items():
        (tmp_path / file).write_text(text)
    library = tmp_path / "it.so"
    run("gcc", "-std=c99", "-O1", *STRICT, "-shared", "-fPIC", tmp_path / "it.c", "-o", library, "-lm")
    call = ctypes.CDLL(str(library)).it
    tape = np.full(10_000, np.nan)
    for steps in (1, 3, LONGEST):
        sizes = {"T": steps, "B": 1, **dims}
        values = drawn(made, sizes, steps)
        right = expected(made, program, values, sizes)
        arrays = {
            n: np.ascontiguousarray(values[n] if n in values else np.full(shape_of(made, n, sizes), np.nan))
            for n in made.arguments
        }
        pointers = [a.ctypes.data for a in (tape, *arrays.values())]
        args = (ctypes.c_size_t * (1 + len(pointers)))(steps, *pointers)
        assert call(args) == 0
        results = {n: a for n, a in arrays.items() if n not in values}
        assert set(results) == set(program.outputs)
        for key, array in results.items():
            scale = max(float(np.abs(right[key]).max()), 1e-3)
            assert np.abs(array - right[key]).max() <= 1e-11 * scale, (key, steps)
    assert call((ctypes.c_size_t * (1 + len(pointers)))(LONGEST + 1, *pointers)) == 1
