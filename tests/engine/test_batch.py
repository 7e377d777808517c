"""Many sequences at once are many times one sequence: the batched program against single runs of the interpreter."""

from __future__ import annotations

import numpy as np
import pytest
import sympy as sp
from engine_tools import CELLS, SIZES, complex_step, derived, draw, gradients, primal, relative

from derive import ir, registry
from derive.ir import ROW, B, Equation, Facts, Program, T, Tensor, t
from derive.passes.adjoint import jvp, vjp
from derive.passes.batch import batch
from derive.passes.normalize import normalize
from derive.passes.simplify import simplify
from derive.verify import interpreter as reference


def one_row(program: Program, name: str, value, row: int):
    """The part of a batched value that belongs to one sequence."""
    tensor = program.tensors[name]
    if not tensor.batched:
        return value
    return value[:, row] if tensor.time is not None else value[row]


def assert_rows(program: Program, sizes=SIZES, positive=()) -> None:
    """Stacked where there is a batch index; summed where there is none.  Only the order of sums differs: 1e-13."""
    many = batch(program)
    values = draw(many, sizes)
    values |= {name: np.abs(values[name]) for name in positive if name in values}
    found = reference.run(many, values, sizes)
    rows = [
        reference.run(program, {n: one_row(program, n, a, r) for n, a in values.items()}, sizes)
        for r in range(sizes["B"])
    ]
    for name, tensor in program.tensors.items():
        if tensor.batched:
            for r, row in enumerate(rows):
                assert relative(one_row(program, name, found[name], r), row[name]) < 1e-13, (name, r)
        elif tensor.role in ("gradient", "loss"):
            assert relative(found[name], sum(row[name] for row in rows)) < 1e-13, name


@pytest.mark.parametrize("cell", CELLS)
def test_a_batch_is_its_sequences(cell: str) -> None:
    assert_rows(derived(cell))
    assert_rows(simplify(derived(cell))[0])


@pytest.mark.parametrize("cell", ["rnn", "lstm"])
def test_tangents_and_second_derivatives_have_batches_too(cell: str) -> None:
    assert_rows(jvp(primal(cell)))
    program = vjp(derived(cell))
    # A second derivative with respect to a weight pairs the sequences through the seeds of the weights' gradients.
    many = batch(program)
    values = draw(many, {**SIZES, "H": 2})
    expected = complex_step(many, values, {**SIZES, "H": 2}, gradients(program).values())
    found = reference.run(many, values, {**SIZES, "H": 2})
    for gradient, name in gradients(program).items():
        assert relative(found[gradient], expected[name]) < 1e-12, gradient


@pytest.mark.parametrize("name", registry.losses())
def test_the_loss_of_a_batch_is_the_sum_of_losses(name: str) -> None:
    program = vjp(registry.losses()[name].of(primal("lstm").tensors["h"]))
    sizes = {**{str(d): 2 for x in program.tensors.values() for d in x.dims}, **SIZES}
    assert_rows(program, sizes, positive=("v",))


@pytest.mark.parametrize("sizes", [{"B": 1}, {"B": 2, "T": 1}, {"B": 5, "H": 1, "I": 1}], ids=str)
def test_other_sizes(sizes: dict[str, int]) -> None:
    assert_rows(simplify(derived("lstm"))[0], {**SIZES, **sizes})


@pytest.mark.parametrize("cell", CELLS)
def test_who_has_a_batch_index(cell: str) -> None:
    single, many = derived(cell), batch(derived(cell))
    for name, tensor in many.tensors.items():
        is_weight = tensor.role == "param" or (
            tensor.role == "gradient" and single.tensors[tensor.primal].role == "param"
        )
        assert (tensor.dims[:1] == (B,)) == (not is_weight), name
        assert tensor.dims[0 if is_weight else 1 :] == single.tensors[name].dims
    assert [e.id for e in many.equations] == [e.id for e in single.equations]
    assert many.primal is not None and many.primal.name == single.primal.name


def test_rows_are_summed_where_weights_meet_sequences_and_nowhere_else() -> None:
    many = batch(derived("lstm"))
    for equation in many.equations:
        summed = any(s == ROW for total in equation.rhs.atoms(sp.Sum) for s, *_ in total.limits)
        weight = many.tensors[equation.target].role == "gradient" and not many.tensors[equation.target].batched
        assert summed == weight, equation.id


def test_a_state_of_one_number_has_a_batch_index_as_well() -> None:
    size, j = ir.dimension("I"), ir.index("j")
    x, w = Tensor("x", (size,), (j,), "input", ir.STEPS), Tensor("w", (size,), (j,), "param", batched=False)
    h, first = Tensor("h", (), (), time=(sp.Integer(0), T)), Tensor("h_0", (), (), "initial")
    step = sp.tanh(sp.Sum(w.at() * x.at(), (j, 1, size)) + h.at(t - 1) / 2)
    equations = (Equation(h.at(), step, "F1", ir.STEPS), Equation(h.at(sp.Integer(0)), first.at(), "F2"))
    tensors = {tensor.name: tensor for tensor in (x, w, h, first)}
    facts = Facts(states=("h",), output="h", inputs=("x",))
    program = vjp(normalize(Program("single", tensors, equations, ("h",), facts)))
    assert batch(program).tensors["h_0"].dims == (B,)
    assert_rows(program)
    assert_rows(simplify(program)[0])
    sizes = {**SIZES, **{str(d): 2 for x in program.tensors.values() for d in x.dims}}
    values = draw(program, sizes)
    found = reference.run(program, values, sizes)
    for gradient, expected in complex_step(program, values, sizes, gradients(program).values()).items():
        assert np.shape(found[f"d_{gradient}"]) == np.shape(expected)
        assert relative(found[f"d_{gradient}"], expected) < 1e-13
