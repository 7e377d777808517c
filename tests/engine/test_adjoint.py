"""vjp and jvp: every derived gradient against the complex step, first and second order, whole cells and single equations.

The limit of 1e-13 is relative to the largest element of a gradient.  A complex step has no truncation error, so that what
is left is the rounding of some hundred operations of 1.1e-16 each; the errors seen are below 3e-15.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import sympy as sp
from engine_tools import (
    CELLS,
    SIZES,
    STEP,
    complex_step,
    derived,
    draw,
    gradients,
    objective,
    primal,
    relative,
    seeds_of,
)

from derive import ir, registry
from derive.errors import DeriveError
from derive.ir import Program, T, span, t
from derive.passes.adjoint import jvp, vjp
from derive.passes.simplify import (
    adjoints,
    fold_constants,
    fold_copies,
    inline,
    make_carries,
    save_values,
    share_products,
    simplify,
)
from derive.verify import interpreter as reference

LIMIT = 1e-13
PASSES = (save_values, make_carries, fold_constants, inline, share_products, fold_copies)


def assert_gradients(program: Program, sizes=SIZES, seed=0, limit=LIMIT, stages=(), positive=()) -> None:
    """Every gradient against the complex step; then again after each of the passes `stages`."""
    values = draw(program, sizes, seed)
    values |= {name: np.abs(values[name]) for name in positive}
    expected = complex_step(program, values, sizes, gradients(program).values())
    for stage in (None, *stages):
        program = stage(program) if stage else program
        found = reference.run(program, values, sizes)
        for gradient, name in gradients(program).items():
            error = relative(found[gradient], expected[name])
            assert error < limit, f"{gradient} after {stage.__name__ if stage else 'vjp'}: {error:.1e}"


# -- whole cells -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cell", CELLS)
def test_every_gradient_before_and_after_every_pass(cell: str) -> None:
    program = derived(cell)
    inputs = {x.name for x in primal(cell).tensors.values() if x.name in primal(cell).inputs}
    assert set(gradients(program).values()) == inputs, "parameters, x and every initial state have a gradient"
    assert_gradients(program, stages=PASSES)


@pytest.mark.parametrize("sizes", [{"T": 1}, {"T": 2}, {"T": 5, "H": 1, "I": 1}], ids=str)
@pytest.mark.parametrize("cell", ["rnn", "lstm", "lstm_peephole"])
def test_boundaries_of_short_sequences_and_small_layers(cell: str, sizes: dict[str, int]) -> None:
    assert_gradients(derived(cell), {**SIZES, **sizes}, seed=1, stages=(lambda p: simplify(p)[0],))


# -- each equation on its own ------------------------------------------------------------------------------------------


def alone(program: Program, equation: ir.Equation) -> Program:
    """A program of one equation: what it reads is given, what it defines is the output; its own past stays its own."""
    reads = {ir.name_of(a) for a in ir.accesses(equation.rhs, program.tensors)} - {equation.target}
    kept = [equation]
    if any(ir.name_of(a) == equation.target for a in ir.accesses(equation.rhs, program.tensors)):
        first = next(e for e in program.defined[equation.target] if e.lhs.has(sp.Integer(0)) and e is not equation)
        kept.append(first)
        reads |= {ir.name_of(first.rhs)}
    tensors = {n: replace(x, role="input") if n in reads else x for n, x in program.tensors.items()
               if n in reads or n == equation.target}  # fmt: skip
    return ir.verify(Program(f"{program.name} {equation.id}", tensors, tuple(kept), (equation.target,), program.facts))


@pytest.mark.parametrize("cell", CELLS)
def test_every_equation_on_its_own(cell: str) -> None:
    program = primal(cell)
    for equation in program.equations:
        single = vjp(alone(program, equation))
        assert set(gradients(single).values()) == set(single.primal.inputs)
        variances = [name for name in single.primal.inputs if name.startswith("var")]
        assert_gradients(single, stages=(lambda p: simplify(p)[0],), positive=variances)


# -- losses and heads --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", registry.losses())
def test_losses_and_readouts(name: str) -> None:
    source = primal("lstm")
    head = registry.losses()[name].of(source.tensors["h"])
    variances = [name for name in head.tensors if name == "v"]
    program = vjp(head)
    assert "d_h" in program.outputs
    sizes = {**{str(d): 2 for x in head.tensors.values() for d in x.dims}, **SIZES}
    assert_gradients(program, sizes, stages=PASSES, positive=variances)
    subset = vjp(head, ["h"])
    assert subset.outputs == ("d_h",)
    assert_gradients(subset, sizes, stages=PASSES, positive=variances)


def test_the_squared_error_is_twice_the_difference() -> None:
    program = vjp(registry.loss("squared_error").of(primal("lstm").tensors["h"]), ["h"])
    values = draw(program, SIZES)
    found = reference.run(program, values, SIZES)
    np.testing.assert_allclose(found["d_h"], 2 * (values["h"] - values["y"]), rtol=1e-15)
    assert found["L"] == pytest.approx(((values["h"] - values["y"]) ** 2).sum(), rel=1e-14)


# -- the log -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cell", CELLS)
def test_the_steps_add_up_to_the_adjoint_equations(cell: str) -> None:
    program = derived(cell)
    forward = {e.id for e in primal(cell).equations}
    sums: dict[str, sp.Expr] = {}
    for step in program.steps:
        assert step.parent in forward
        name = step.read.split("[")[0]
        sums[name] = sums.get(name, sp.Integer(0)) + step.result
    seeds = {name: seed for name, seed in seeds_of(program).items() if seed is not None}
    for equation in adjoints(program):
        name = program.tensors[equation.target].primal
        seed = seeds.get(name)
        assert equation.rhs == sums.get(name, 0) + (program.tensors[seed].at() if seed else 0), equation.id


def test_a_step_shows_its_work() -> None:
    """The edge of the cell state through the next step: delta(t-1, s) becomes t+1, and 1..T becomes 0..T-1."""
    step = next(s for s in derived("lstm").steps if s.parent == "F9" and s.read.startswith("c["))
    assert step.local.has(sp.KroneckerDelta) and step.contraction.has(sp.Sum)
    tensors = derived("lstm").tensors
    assert step.result == tensors["d_c"].at(t + 1) * tensors["f"].at(t + 1)
    assert step.when == (sp.Integer(0), T - 1)
    assert step.id in str(step) and "F9" in str(step)


@pytest.mark.parametrize("cell", CELLS)
def test_no_delta_no_piecewise_and_no_unrolling_is_left(cell: str) -> None:
    for equation in derived(cell).equations:
        assert not equation.rhs.has(sp.KroneckerDelta, sp.Piecewise, sp.Derivative, sp.Subs)
    assert len(adjoints(derived(cell))) <= 2 * len(primal(cell).equations) + len(primal(cell).inputs)


# -- boundaries --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cell", CELLS)
def test_both_ends_of_time(cell: str) -> None:
    """d_h(T) is what arrives from outside; d_h(0) is what arrives from step 1, and the gradient of the initial state."""
    program = derived(cell)
    values = draw(program, SIZES)
    found = reference.run(program, values, SIZES)
    for state in program.facts.states:
        np.testing.assert_array_equal(found[f"d_{state}_0"], found[f"d_{state}"][0])
        assert program.tensors[f"d_{state}"].time == (sp.Integer(0), T)
    first = program.facts.states[0]
    if program.facts.output == first:
        last = values[f"seed_{first}"][-1] + values[f"d_{first}_T"]
        # A peephole or another reader within the step would add to it: h has none.
        np.testing.assert_allclose(found[f"d_{first}"][-1], last, rtol=1e-15)


def test_ranges_are_there_because_they_must_be() -> None:
    """h[t] = tanh(c[t]) for t >= 1 says nothing of c(0): without its range the term would get to the gradient of c_0."""
    from derive.notation import Sum, cell, j, n, sigmoid, tanh

    @cell(states="h c")
    def bare(x, h, c, W, f):
        f[t, n] = sigmoid(Sum(W[n, j] * x[t, j], j) + h[t - 1, n])
        c[t, n] = f[t, n] * c[t - 1, n]
        h[t, n] = tanh(c[t, n])

    program = vjp(bare.program())
    assert any(term.has(span) and not term.has(T - 1) for term in ir.terms(program.equation("B2").rhs))
    assert_gradients(program, stages=PASSES)


# -- parts of a gradient -----------------------------------------------------------------------------------------------


def test_gradients_of_some_inputs_only() -> None:
    source = primal("lstm")
    part, whole = vjp(source, ["U_f", "c_0"]), derived("lstm")
    assert part.outputs == ("d_U_f", "d_c_0")
    assert len(adjoints(part)) < len(adjoints(whole))
    values = draw(whole, SIZES)
    found = [reference.run(p, {n: values[n] for n in p.inputs}, SIZES) for p in (part, whole)]
    for name in part.outputs:
        np.testing.assert_allclose(found[0][name], found[1][name], rtol=1e-13, atol=1e-16)


def test_what_does_not_depend_on_an_input_is_left_alone() -> None:
    """d_z_o reaches only W_o, U_o, b_o, x and h: for b_f alone, the path through o[t] still counts through h[t-1]."""
    source = registry.loss("squared_error").of(primal("rnn").tensors["h"])
    part = vjp(source, ["y"])
    assert part.outputs == ("d_y",) and "d_h" not in part.tensors
    assert_gradients(part)


def test_an_unknown_name_is_explained() -> None:
    with pytest.raises(DeriveError, match="vjp of rnn: no tensor Q to differentiate with respect to"):
        vjp(primal("rnn"), ["Q"])


# -- second order ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cell", ["rnn", "lstm"])
def test_the_adjoint_of_the_adjoint_is_the_hessian_vector_product(cell: str) -> None:
    """Against the complex step through the first-order gradients; one order more of roundings, 1e-12."""
    program = vjp(derived(cell))
    assert {e.id for e in adjoints(program)} == {f"BB{p + 1}" for p in range(len(adjoints(program)))}
    sizes = {**SIZES, "H": 2}
    assert_gradients(program, sizes, limit=1e-12)
    assert_gradients(vjp(simplify(derived(cell))[0]), sizes, limit=1e-12)


@pytest.mark.parametrize("cell", ["rnn", "lstm"])
def test_the_hessian_is_symmetric(cell: str) -> None:
    """<u, H v> = <v, H u>: no differences and no steps, only the derived program; 1e-12 for the sums of both sides."""
    program = vjp(derived(cell))
    values = draw(program, SIZES)
    wrt = list(derived(cell).outputs)
    seeds = seeds_of(program)
    random = np.random.default_rng(3)
    u, v = ({g: random.normal(size=values[seeds[g]].shape) for g in wrt} for _ in range(2))

    def product(direction):
        found = reference.run(program, {**values, **{seeds[g]: direction[g] for g in wrt}}, SIZES)
        return {g: found[f"d2_{g.removeprefix('d_')}"] for g in wrt}

    hu, hv = product(u), product(v)
    left, right = (sum((a[g] * b[g]).sum() for g in wrt) for a, b in ((u, hv), (v, hu)))
    assert left == pytest.approx(right, rel=1e-12)


# -- forward mode ------------------------------------------------------------------------------------------------------


def tangents(program: Program, values, sizes):
    """d outputs along the tangents `t_<name>`, by one complex step."""
    source = program.primal
    moved = {n: values[n] + 1j * STEP * values.get(f"t_{n}", 0) for n in source.inputs}
    found = reference.run(source, moved, sizes)
    return {n: np.imag(found[n]) / STEP for n in source.outputs}


@pytest.mark.parametrize("cell", CELLS)
def test_jvp_against_the_complex_step(cell: str) -> None:
    program = jvp(primal(cell))
    values = draw(program, SIZES)
    found, expected = reference.run(program, values, SIZES), tangents(program, values, SIZES)
    assert set(program.outputs) == {f"t_{n}" for n in primal(cell).outputs}
    for name, value in expected.items():
        assert relative(found[f"t_{name}"], value) < LIMIT


@pytest.mark.parametrize("cell", CELLS)
def test_both_modes_are_transposes_of_each_other(cell: str) -> None:
    """<u, J v> = <J^T u, v>.  The sums cancel by a factor of some ten at most: 1e-12."""
    forward, backward = jvp(primal(cell)), derived(cell)
    values = draw(backward, SIZES) | draw(forward, SIZES, seed=2)
    moved = reference.run(forward, {n: values[n] for n in forward.inputs}, SIZES)
    pulled = reference.run(backward, {n: values[n] for n in backward.inputs}, SIZES)
    along = {n: moved[f"t_{n}"][None] for n in primal(cell).outputs}
    left = objective(backward, values, along)[0]
    right = sum((pulled[g] * values[f"t_{n}"]).sum() for g, n in gradients(backward).items())
    assert left == pytest.approx(right, rel=1e-12)


@pytest.mark.parametrize("cell", ["rnn", "lstm"])
def test_forward_over_reverse(cell: str) -> None:
    """The usual way to a Hessian-vector product: the tangent of the gradients."""
    program = jvp(derived(cell))
    values = draw(program, SIZES)
    found, expected = reference.run(program, values, SIZES), tangents(program, values, SIZES)
    for name in derived(cell).outputs:
        assert relative(found[f"t_{name}"], expected[name]) < 1e-12, name


def test_jvp_of_a_part() -> None:
    program = jvp(primal("lstm"), ["b_f"])
    assert "t_W_i" not in program.tensors and "t_b_f" in program.inputs and "t_x" not in program.tensors
    values = draw(program, SIZES)
    assert relative(reference.run(program, values, SIZES)["t_h"], tangents(program, values, SIZES)["h"]) < LIMIT


# -- cost --------------------------------------------------------------------------------------------------------------


def calls_of(work: Callable[[], object]) -> int:
    """How many Python functions a piece of work calls, SymPy's own included: its cost on any machine, however busy."""
    count = 0

    def seen(frame: object, event: str, argument: object) -> None:
        nonlocal count
        count += event == "call"

    before = sys.getprofile()
    sp.core.cache.clear_cache()
    sys.setprofile(seen)
    try:
        work()
    finally:
        sys.setprofile(before)
    return count


def test_what_it_costs_to_derive_the_lstm() -> None:
    """Symbolic T and sizes, from equations to the simplified adjoint: about a second's worth; benchmarks have the time."""
    source = primal("lstm")
    assert calls_of(lambda: simplify(vjp(source))) < 1_200_000
