"""vjp and jvp against the complex step: every cell, every pass, second order, and random programs."""

from __future__ import annotations

import time

import numpy as np
import pytest
import sympy as sp
from engine_tools import CELLS, SIZES, complex_step, derived, draw, gradients, primal, relative
from hypothesis import HealthCheck, given, settings
from random_programs import programs

from derive import ir, reference, registry
from derive.adjoint import jvp, vjp
from derive.normalize import is_transcendental
from derive.simplify import (
    adjoints,
    count,
    fold_constants,
    fold_copies,
    inline,
    make_carries,
    save_values,
    share_products,
    simplify,
)

PASSES = (save_values, make_carries, fold_constants, inline, share_products, fold_copies)
ROUNDING = 1e-13  # hundreds of roundings of 1e-16, each of a term not larger than the gradient


def check(program, sizes=SIZES, seed=0):
    values = draw(program, sizes, seed)
    found = reference.run(program, values, sizes)
    expected = complex_step(program, values, sizes, gradients(program).values())
    return {name: relative(found[name], expected[of]) for name, of in gradients(program).items()}


@pytest.mark.parametrize("cell", CELLS)
def test_every_gradient_after_every_pass(cell):
    program = derived(cell)
    assert max(check(program).values()) < ROUNDING
    for rule in PASSES:
        program = ir.verify(rule(program))
        errors = check(program)
        assert max(errors.values()) < ROUNDING, (rule.__name__, errors)


@pytest.mark.parametrize("cell", CELLS)
def test_no_transcendental_is_left_and_no_id_is_lost(cell):
    program, _ = simplify(derived(cell))
    for equation in adjoints(program):
        for node in sp.preorder_traversal(equation.rhs):
            assert not is_transcendental(node), equation
            assert not (isinstance(node, sp.Pow) and not node.exp.is_Integer), equation
    before = sorted(e.id for e in adjoints(derived(cell)))
    after = sorted(i for e in adjoints(program) for i in e.ids if i[0] == "B" and not i.endswith("'"))
    assert after == before


def test_operations_of_the_lstm():
    program, counts = simplify(derived("lstm"))
    assert counts[-1].multiplications <= 12 and counts[-1].additions <= 6
    assert counts[-1].calls == counts[-1].divisions == 0
    assert counts[0].calls > 0
    assert count(program, "again") == type(counts[-1])(
        "again", *[getattr(counts[-1], n) for n in ("multiplications", "additions", "divisions", "calls")]
    )


def test_saturated_gates_keep_their_digits():
    """s(1-s) and not s - s^2: with gates at 1 - 1e-4 the float32 adjoint is still good to some roundings."""
    program, _ = simplify(derived("lstm"))
    values = draw(program, SIZES)
    for name in ("b_i", "b_f", "b_o"):
        values[name] = values[name] + 9.0
    exact = reference.run(program, values, SIZES)
    single = reference.run(program, {n: v.astype(np.float32) for n, v in values.items()}, SIZES)
    for name in ("d_b_f", "d_W_o", "d_U_i"):
        # What a rounding of s costs 1 - s: eps/(1 - s) = 1e-3 where 1 - s = 1e-4.
        assert relative(single[name], exact[name]) < 2e-2


def test_the_lstm_is_derived_within_a_second():
    times = []
    for _ in range(3):
        began = time.perf_counter()
        simplify(vjp(registry.cell("lstm").program()))
        times.append(time.perf_counter() - began)
    assert min(times) < 1.0


def test_boundaries_come_out_of_ranges():
    program = derived("lstm")
    shapes = {n: program.tensors[n].time for n in ("d_h", "d_c", "d_z_f")}
    assert shapes == {"d_h": (0, ir.T), "d_c": (0, ir.T), "d_z_f": (1, ir.T)}
    values = draw(program, SIZES)
    found = reference.run(program, values, SIZES)
    weights = {q: values[f"U_{q}"] for q in "ifgo"}
    from_first = sum(w.T @ found[f"d_z_{q}"][0] for q, w in weights.items())
    np.testing.assert_allclose(found["d_h_0"], from_first, rtol=1e-13)
    np.testing.assert_allclose(found["d_h"][-1], values["seed_h"][-1] + values["d_h_T"], rtol=1e-13)


@pytest.mark.parametrize("cell", CELLS)
def test_the_steps_are_the_derivation(cell):
    """The sum of what the steps say is what the equations say."""
    program = derived(cell)
    parts = {}
    for step in program.steps:
        name = step.read.split("[")[0]
        parts.setdefault(name, []).append(step.result)
    for equation in adjoints(program):
        name = program.tensors[equation.target].primal
        seeds = [a for a in ir.terms(equation.rhs) if str(a).startswith("seed_")]
        assert sp.Add(*parts.get(name, []), *seeds) == equation.rhs


@pytest.mark.parametrize("cell", ["rnn", "lstm"])
def test_the_derivative_of_the_derivative(cell):
    program = vjp(derived(cell))
    assert program.primal is derived(cell)
    assert max(check(program).values()) < 1e-12


@pytest.mark.parametrize("cell", ["rnn", "gru", "lstm_layernorm"])
def test_forward_mode(cell):
    """The tangent is the imaginary part of a complex step along it, and <u, J v> = <J^T u, v>."""
    source = primal(cell)
    program = jvp(source)
    values = draw(program, SIZES)
    found = reference.run(program, values, SIZES)
    moved = {n: values[n] + 1e-40j * values.get(f"t_{n}", 0) for n in source.inputs}
    stepped = reference.run(source, moved, SIZES)
    for name in source.outputs:
        assert relative(found[f"t_{name}"], np.imag(stepped[name]) / 1e-40) < ROUNDING
    backward = derived(cell)
    drawn = draw(backward, SIZES)
    drawn.update({n: values[n] for n in source.inputs})
    grads = reference.run(backward, drawn, SIZES)
    left = sum((drawn[f"d_{s}_T"] * found[f"t_{s}_T"]).sum() for s in source.meta["states"])
    left += (drawn["seed_h"] * found["t_h"][1:]).sum()
    right = sum((grads[f"d_{n}"] * values[f"t_{n}"]).sum() for n in source.inputs)
    assert left == pytest.approx(right, rel=1e-12)


def test_forward_over_reverse():
    program = jvp(derived("rnn"))
    values = draw(program, SIZES)
    found = reference.run(program, values, SIZES)
    source = derived("rnn")
    moved = {n: values[n] + 1e-40j * values.get(f"t_{n}", 0) for n in source.inputs}
    stepped = reference.run(source, moved, SIZES)
    for name in source.outputs:
        assert relative(found[f"t_{name}"], np.imag(stepped[name]) / 1e-40) < 1e-12


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(programs())
def test_random_programs(program):
    """No index is captured: contractions, repeated accesses, states of states, shared names of bound and free indices."""
    sizes = {
        "T": 3,
        **{str(d): 2 + p for p, d in enumerate(sorted({d for x in program.tensors.values() for d in x.dims}, key=str))},
    }
    adjoint = vjp(program)
    for variant in (adjoint, simplify(adjoint)[0]):
        for name, error in check(variant, sizes).items():
            assert error < 1e-10, (name, error, program.dump())
