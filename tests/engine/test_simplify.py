"""Simplification: fewer operations, no function called twice, no digits lost, and every equation still accounted for."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import sympy as sp
from engine_tools import CELLS, SIZES, complex_step, derived, draw, gradients, relative

from derive import ir, registry
from derive.ir import ROW, Origin, Program, T, span, t
from derive.ir.functions import fma
from derive.notation import Rational, Sum, cell, exp, j, k, n, relu, sigmoid, softplus, tanh
from derive.passes.adjoint import vjp
from derive.passes.normalize import is_transcendental
from derive.passes.simplify import adjoints, count, save_values, simplify
from derive.verify import interpreter as reference

# Passes that put a value into a place of its own may need an operation more for it; the others may not.
MAY_COST = ("save_values", "make_carries")


@pytest.fixture(scope="module", params=CELLS)
def simple(request: pytest.FixtureRequest) -> Program:
    return simplify(derived(request.param))[0]


def backward(program: Program) -> list[ir.Equation]:
    """All equations of a simplified program that the forward pass does not compute."""
    forward = {e.id for e in program.primal.equations} | {
        e.id for e in program.equations if e.origin is Origin.SAVED_DERIVATIVE
    }
    return [e for e in program.equations if e.id not in forward]


# -- functions ---------------------------------------------------------------------------------------------------------


def test_no_function_and_no_root_is_left_in_any_adjoint(simple: Program) -> None:
    for equation in backward(simple):
        for node in sp.preorder_traversal(equation.rhs):
            assert not is_transcendental(node), f"{equation.id} calls {node}"
            if isinstance(node, sp.Pow):
                assert node.exp.is_Integer, f"{equation.id} has the power {node}"
            if isinstance(node, sp.Function):
                assert isinstance(node, (fma, span)), f"{equation.id} calls {node}"


def test_the_five_cells_need_no_saved_derivative(simple: Program) -> None:
    assert not [e for e in simple.equations if e.origin is Origin.SAVED_DERIVATIVE]


@pytest.mark.parametrize(("function", "saved"), [(softplus, "sigmoid"), (sp.sin, "cos"), (sp.cos, "sin")])
def test_a_derivative_that_was_not_computed_is_saved_by_the_forward_pass(function, saved: str) -> None:
    @cell(states="h")
    def mine(x, h, W, U, z):
        z[t, n] = Sum(W[n, j] * x[t, j], j) + Sum(U[n, k] * h[t - 1, k], k)
        h[t, n] = function(z[t, n])

    program, counts = simplify(vjp(mine.program()))
    extra = [e for e in program.equations if e.origin is Origin.SAVED_DERIVATIVE]
    assert [type(e.rhs).__name__ for e in extra] == [saved]
    order = [e.id for e in program.equations]
    first = order.index(adjoints(program)[0].id)
    assert order.index(extra[0].id) < first, "it belongs to the forward pass"
    assert any(ir.name_of(a) == extra[0].target for e in backward(program) for a in ir.accesses(e.rhs, program.tensors))
    assert counts[-1].calls == 0


def test_the_derivative_of_exp_and_of_relu_is_at_hand() -> None:
    @cell(states="h")
    def mine(x, h, W, z, e):
        z[t, n] = Sum(W[n, j] * x[t, j], j) + h[t - 1, n]
        e[t, n] = exp(-z[t, n])
        h[t, n] = e[t, n] + relu(z[t, n])

    program, _ = simplify(vjp(mine.program()))
    assert not [e for e in program.equations if e.origin is Origin.SAVED_DERIVATIVE]
    assert not any(e.rhs.has(exp) for e in backward(program))


def test_the_same_call_in_two_adjoints_is_saved_once() -> None:
    @cell(states="h")
    def mine(x, h, W, z, a, b):
        z[t, n] = Sum(W[n, j] * x[t, j], j) + h[t - 1, n]
        a[t, n] = softplus(z[t, n]) * z[t, n]
        b[t, n] = softplus(z[t, n]) - z[t, n]
        h[t, n] = a[t, n] * b[t, n]

    program, _ = simplify(vjp(mine.program()))
    assert sum(e.origin is Origin.SAVED_DERIVATIVE for e in program.equations) <= 1


# -- counts ------------------------------------------------------------------------------------------------------------


def test_the_lstm_needs_twelve_multiplications_and_six_additions() -> None:
    last = simplify(derived("lstm"))[1][-1]
    assert last.multiplications <= 12 and last.additions <= 6
    assert last.divisions == last.calls == 0


@pytest.mark.parametrize("name", CELLS)
def test_counts_never_rise_and_are_those_of_the_program(name: str) -> None:
    program, counts = simplify(derived(name))
    assert counts[0] == count(derived(name), "derived")
    assert counts[-1] == count(program, counts[-1].stage)
    stages = [c.stage for c in counts]
    assert stages[0] == "derived" and len(set(stages)) == len(stages)
    for before, after in pairwise(counts):
        if after.stage not in MAY_COST:
            assert after.multiplications <= before.multiplications, after
            assert after.additions <= before.additions, after
        assert after.calls <= before.calls and after.divisions <= before.divisions, after


def test_a_count_is_a_line_of_a_report() -> None:
    lines = [str(c) for c in simplify(derived("lstm"))[1]]
    assert all("multiplications" in line and "additions" in line for line in lines)
    assert lines[0].startswith("derived ")


def test_counting() -> None:
    """By hand: a product of three, a difference, a square and a fused multiply-add of what is already there."""
    program = simplify(derived("rnn"))[0]
    last = simplify(derived("rnn"))[1][-1]
    square = next(e for e in adjoints(program) if e.target == "d_z")
    assert square.rhs == (1 - program.tensors["h"].at() ** 2) * program.tensors["d_h"].at()
    assert (last.multiplications, last.additions, last.calls) == (2, 1, 0)


# -- accuracy ----------------------------------------------------------------------------------------------------------


def test_products_are_kept(simple: Program) -> None:
    """(1 - s) s is one factor times another; s - s^2 would be a sum in which nothing but rounding is left near 1."""
    gates = [x.name for x in simple.tensors.values() if x.role == "value" and not x.family and x.dims]
    for equation in backward(simple):
        for term in ir.terms(equation.rhs):
            for gate in gates:
                square = simple.tensors[gate].at() ** 2
                assert square not in sp.Mul.make_args(term), f"{equation.id}: {ir.text(term)}"


def saturated(name: str, program: Program) -> dict[str, np.ndarray]:
    """Values of all inputs and of the forward pass in float32, with sigmoid gates at 1 - 4e-6 or so."""
    values = draw(program, SIZES, scale=0.3)
    for x in program.of_role("param"):
        if x.name.startswith("b_") and x.member not in ("g", "n"):
            values[x.name] += 12.5
    forward = reference.run(program.primal, {m: values[m] for m in program.primal.inputs}, SIZES)
    assert all(5e-7 < 1 - forward[q].min() < 1e-4 for q in program.facts.gates if q not in ("g", "n"))
    return {m: a.astype(np.float32) for m, a in {**values, **forward}.items()}


def in_two_precisions(program: Program, values: dict[str, np.ndarray]) -> dict[str, float]:
    """The backward pass alone, from one and the same forward values, in float32 against float64."""
    only = program.with_equations(backward(program))
    found = [
        reference.run(only, {m: values[m].astype(kind) for m in only.inputs}, SIZES)
        for kind in (np.float32, np.float64)
    ]
    return {g: relative(found[0][g], found[1][g]) for g in program.outputs}


@pytest.mark.parametrize("name", ["lstm", "gru", "lstm_peephole"])
def test_saturated_gates_lose_no_digits_in_float32(name: str) -> None:
    """Some tens of roundings of 6e-8 each, where every form that subtracts near 1 loses all but one digit or two.

    The forward values are the rounded ones for both precisions: what rounding them costs is the same for all forms.
    """
    program = simplify(derived(name))[0]
    errors = in_two_precisions(program, saturated(name, program))
    assert max(errors.values()) < 5e-6, errors


def test_the_test_sees_an_expanded_gate() -> None:
    """The same with s - s^2 for s (1 - s), as `expand` writes it."""
    program = simplify(derived("lstm"))[0]
    gate = program.tensors["f"].at()
    target = program.equation("B10")
    assert target.rhs.has(1 - gate)
    expanded = derived("lstm").equation("B10").rhs.xreplace({sigmoid(program.tensors["z_f"].at()): gate})
    worse = save_values(derived("lstm"))
    d_f = worse.tensors["d_f"].at()
    worse = worse.with_equations(
        replace(e, rhs=d_f * gate - d_f * gate**2) if e.target == "d_z_f" else e for e in worse.equations
    )
    assert expanded == (1 - gate) * gate * d_f
    assert in_two_precisions(worse, saturated("lstm", worse))["d_b_f"] > 1e-3


# -- nothing is lost ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CELLS)
def test_every_id_is_there_exactly_once(name: str) -> None:
    before, after = derived(name), simplify(derived(name))[0]
    wanted = Counter(e.id for e in before.equations)
    found = Counter(i for e in after.equations for i in e.ids if not i.endswith("'") and not i.startswith(("P", "F'")))
    assert found == wanted and max(wanted.values()) == 1
    everything = Counter(i for e in after.equations for i in e.ids)
    assert max(everything.values()) == 1
    for number in wanted:
        assert number in after.equation(number).ids


def test_the_gradients_keep_their_names_and_shapes(simple: Program) -> None:
    source = derived(simple.name.removeprefix("vjp of "))
    assert simple.outputs == source.outputs and simple.inputs == source.inputs
    for name in simple.outputs:
        assert simple.tensors[name] == source.tensors[name]
    assert simple.primal is source.primal and simple.steps == source.steps


def test_what_is_declared_is_defined_and_what_is_defined_is_read(simple: Program) -> None:
    read = {ir.name_of(a) for e in simple.equations for a in ir.accesses(e.rhs, simple.tensors)}
    for equation in backward(simple):
        assert equation.target in read or equation.target in simple.outputs, equation.id
    for tensor in simple.tensors.values():
        if tensor.role in ("adjoint", "shared", "gradient"):
            assert tensor.name in simple.defined


def test_equations_stand_in_an_order_in_which_they_can_be_read(simple: Program) -> None:
    """Within a step nothing is read before its line; what comes from t+1 was computed a step ago."""
    place = {e.target: p for p, e in enumerate(simple.equations) if e.lhs.has(t)}
    for p, equation in enumerate(simple.equations):
        for access in ir.accesses(equation.rhs, simple.tensors):
            by = ir.offset(ir.time_of(access, simple.tensors))
            if equation.lhs.has(t) and by == 0 and ir.name_of(access) in place:
                assert place[ir.name_of(access)] < p, f"{equation.id} reads {access} before it is there"


# -- single passes -----------------------------------------------------------------------------------------------------


def test_saved_values_are_found_at_other_indices_and_times() -> None:
    program = save_values(derived("lstm"))
    tanh_c = program.tensors["tanh_c"].at()
    assert program.equation("B3").rhs.has(1 - tanh_c**2)
    assert program.equation("B11").rhs.has(1 - program.tensors["i"].at())


def test_a_carry_is_one_value_that_crosses_the_step() -> None:
    program = simplify(derived("lstm"))[0]
    carry = program.equation("B3'")
    assert carry.target == "carry_c" and carry.when == (sp.Integer(1), T)
    assert carry.rhs == program.tensors["d_c"].at() * program.tensors["f"].at()
    later = [a for a in ir.accesses(program.equation("B3").rhs, program.tensors) if a.has(t + 1)]
    assert later == [program.tensors["carry_c"].at(t + 1)]


def test_powers_of_a_saved_root_are_products() -> None:
    """d(1/sqrt(v))/dv = -v^(-3/2)/2 = -rho^3/2."""
    program = simplify(derived("lstm_layernorm"))[0]
    rho = program.tensors["rho3"].at()
    assert (
        next(e for e in adjoints(program) if e.target == "d_var3").rhs == -program.tensors["d_rho3"].at() * rho**3 / 2
    )


def test_the_loss_leaves_no_constants_behind() -> None:
    from engine_tools import primal

    objective, _ = simplify(vjp(registry.loss("squared_error").of(primal("lstm").tensors["h"]), ["h"]))
    (equation,) = adjoints(objective)
    assert equation.target == "d_h"
    h, y = objective.tensors["h"].at(), objective.tensors["y"].at()
    assert sp.expand(equation.rhs - 2 * (h - y)) == 0
    assert not any(x.role == "adjoint" for x in objective.tensors.values())


def test_equal_products_are_computed_once_for_each_pair() -> None:
    @cell(states="h")
    def mine(x, h, W, a, b, d):
        a[t, n] = sigmoid(Sum(W[n, j] * x[t, j], j) + h[t - 1, n])
        b[t, n] = tanh(a[t, n] * Rational(1, 2) + h[t - 1, n])
        d[t, n] = a[t, n] * b[t, n]
        h[t, n] = d[t, n] * a[t, n] + d[t, n] * b[t, n] * b[t, n]

    program = vjp(mine.program())
    values = draw(program, SIZES)
    expected = complex_step(program, values, SIZES, gradients(program).values())
    after, counts = simplify(program)
    found = reference.run(after, values, SIZES)
    assert counts[-1].multiplications < counts[0].multiplications
    for gradient, name in gradients(program).items():
        assert relative(found[gradient], expected[name]) < 1e-13


def test_simplifying_again_does_no_harm(simple: Program) -> None:
    twice = simplify(simple)[0]
    assert max(Counter(i for e in twice.equations for i in e.ids).values()) == 1
    values = draw(simple, SIZES)
    found = [reference.run(p, values, SIZES) for p in (simple, twice)]
    for gradient in simple.outputs:
        assert relative(found[1][gradient], found[0][gradient]) < 1e-13, gradient


@pytest.mark.parametrize("name", ["rnn", "lstm"])
def test_the_adjoint_of_a_simplified_program_can_be_simplified(name: str) -> None:
    """Carries, shared products and saved derivatives of both orders live side by side, each under a name of its own."""
    second = vjp(simplify(derived(name))[0])
    after = simplify(second)[0]
    assert max(Counter(i for e in after.equations for i in e.ids).values()) == 1
    first_order = {e.id: e for e in second.primal.equations}
    assert all(after.equation(number).rhs == e.rhs for number, e in first_order.items()), (
        "the first order stays as it is"
    )
    sizes = {**SIZES, "H": 2}
    values = draw(second, sizes)
    expected = complex_step(second, values, sizes, gradients(second).values())
    found = reference.run(after, values, sizes)
    for gradient, of in gradients(second).items():
        assert relative(found[gradient], expected[of]) < 1e-12, gradient


def test_no_batch_index_appears_on_its_own(simple: Program) -> None:
    assert not any(e.rhs.has(ROW) for e in simple.equations)


def test_a_program_that_was_never_differentiated_stays_as_it_is() -> None:
    """o = sigmoid(z_o) is no derivative in which the saved o could stand for sigmoid(z_o)."""
    for name in ("lstm", "lstm_layernorm"):
        program = registry.cell(name).normal()
        assert simplify(program)[0].equations == program.equations
