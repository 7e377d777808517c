"""The hand-written BPTT of every reference against derivatives that need no derivation."""

from __future__ import annotations

import numpy as np
import pytest

from derive.verify import references
from derive.verify.references import numerics

SIZES = [dict(T=5, B=3, I=4, H=3, O=2), dict(T=1, B=1, I=1, H=1, O=1), dict(T=3, B=1, I=2, H=5, O=3)]


def test_every_cell_has_a_module(cell):
    module = references.get(cell)
    assert module is not None and module.__name__ == f"derive.verify.references.{cell}"


@pytest.mark.parametrize("name", ["numerics", "no_such_cell", "", "a.b", "../lstm"])
def test_get_returns_none_for_what_is_no_reference(name):
    assert references.get(name) is None


@pytest.mark.parametrize("sizes", SIZES, ids=lambda s: "-".join(f"{k}{v}" for k, v in s.items()))
def test_every_gradient_against_the_complex_step(cell, draw, sizes):
    problem = draw(cell, **sizes)
    grads, magnitudes = problem.gradients(), problem.magnitudes()
    assert sorted(grads) == sorted(problem.names)
    for name in problem.names:

        def objective(value, name=name):
            return problem.with_value(name, value).objective()

        expected = numerics.complex_step_gradient(objective, problem.value(name))
        assert grads[name].shape == problem.value(name).shape
        # Scaled, because a gradient of one or two entries may cancel almost entirely.
        assert numerics.condition_scaled_error(grads[name], expected, magnitudes[name]) < 1e-14, name
        if sizes == SIZES[0]:
            assert numerics.normwise_error(grads[name], expected) < 1e-14, name


def test_every_gradient_against_the_central_difference(cell, draw):
    problem = draw(cell)
    grads = problem.gradients()
    for name in problem.names:

        def objective(value, name=name):
            return problem.with_value(name, value).objective()

        expected = numerics.central_difference(objective, problem.value(name))
        assert numerics.normwise_error(grads[name], expected) < 1e-8, name


def test_every_gradient_in_50_digits_against_the_complex_step_in_50_digits(cell, draw):
    problem = draw(cell, T=3, B=1, I=1, H=2, O=1).map(numerics.to_mp)
    grads = problem.gradients()
    for name in problem.names:

        def objective(value, name=name):
            return problem.with_value(name, value).objective()

        expected = numerics.mp_gradient(objective, problem.value(name))
        assert numerics.normwise_error(grads[name], expected) < 1e-46, name


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_rounding_errors_against_50_digits(cell, draw, dtype):
    """Published figures are for long sequences; here it is enough that nothing computes in too little precision."""
    problem = draw(cell, T=7).map(lambda a: a.astype(dtype))
    exact = problem.map(numerics.to_mp)
    grads, reference, magnitudes = problem.gradients(), exact.gradients(), exact.magnitudes()
    for name in problem.names:
        normwise = numerics.in_eps(numerics.normwise_error(grads[name], reference[name]), dtype)
        scaled = numerics.in_eps(numerics.condition_scaled_error(grads[name], reference[name], magnitudes[name]), dtype)
        assert normwise < 10 and scaled < 40, (name, normwise, scaled)


def test_magnitudes_bound_their_gradients(cell, draw):
    for seed, T in enumerate((1, 1, 1, 2, 2, 2, 5, 5, 5)):
        problem = draw(cell, T=T, seed=seed)
        grads, magnitudes = problem.gradients(), problem.magnitudes()
        assert grads.keys() == magnitudes.keys()
        for name, g in grads.items():
            assert magnitudes[name].shape == g.shape
            assert np.all(abs(g) <= magnitudes[name] * (1 + 1e-12)), name


@pytest.mark.parametrize("name", ["lstm", "lstm_peephole", "lstm_toy", "lstm_readout"])
def test_the_magnitude_of_a_single_term_is_its_own(draw, name):
    """One step, one output and no adjoint of the final state leave c0 with a single path: nothing can cancel."""
    problem = draw(name, T=1, O=1)
    params = {n: np.zeros_like(a) if n.startswith("peephole") else a for n, a in problem.params.items()}
    _, _, cache = problem.module.forward(problem.x, params, problem.state)
    grads = problem.module.backward(cache, problem.weights_out)
    magnitudes = problem.module.magnitudes(cache, problem.weights_out)
    np.testing.assert_allclose(magnitudes["c0"], abs(grads["c0"]), rtol=1e-14)


def test_loss_and_grad_is_the_sum_of_squares_over_time_and_batch(cell, draw):
    problem = draw(cell)
    module, y = problem.module, problem.weights_out
    out, _, cache = module.forward(problem.x, problem.params, problem.state)
    loss, grads = module.loss_and_grad(problem.x, y, problem.params, problem.state)
    assert loss == pytest.approx(
        sum(float((out[t, b] - y[t, b]) @ (out[t, b] - y[t, b])) for t in range(5) for b in range(3))
    )

    def objective(weight):
        return module.loss_and_grad(problem.x, y, problem.params | {"weight_hh": weight}, problem.state)[0]

    expected = numerics.complex_step_gradient(objective, problem.params["weight_hh"])
    assert numerics.normwise_error(grads["weight_hh"], expected) < 1e-13
    assert grads.keys() == module.backward(cache, out).keys()


def test_no_state_is_a_state_of_zeros(cell, draw):
    problem = draw(cell)
    zeros = tuple(np.zeros_like(s) for s in problem.state)
    out, final, cache = problem.module.forward(problem.x, problem.params)
    out0, final0, _ = problem.module.forward(problem.x, problem.params, zeros)
    np.testing.assert_array_equal(out, out0)
    np.testing.assert_array_equal(final, final0)
    grads = problem.module.backward(cache, problem.weights_out)
    grads0 = problem.module.backward(cache, problem.weights_out, zeros)
    for name in grads:
        np.testing.assert_array_equal(grads[name], grads0[name])


def test_one_sequence_continued_from_its_own_state_is_one_longer_sequence(cell, draw):
    problem = draw(cell)
    forward = problem.module.forward
    out, final, _ = forward(problem.x, problem.params, problem.state)
    first, middle, _ = forward(problem.x[:2], problem.params, problem.state)
    second, last, _ = forward(problem.x[2:], problem.params, middle)
    np.testing.assert_allclose(np.concatenate([first, second]), out, rtol=1e-14, atol=1e-15)
    np.testing.assert_allclose(last, final, rtol=1e-14, atol=1e-15)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.complex128])
def test_dtype_stays(cell, draw, dtype):
    problem = draw(cell).map(lambda a: a.astype(dtype))
    out, final, cache = problem.module.forward(problem.x, problem.params, problem.state)
    grads = problem.module.backward(cache, problem.weights_out, problem.weights_state)
    loss, loss_grads = problem.module.loss_and_grad(problem.x, problem.weights_out, problem.params)
    for array in (out, *final, loss, *grads.values(), *loss_grads.values()):
        assert array.dtype == dtype


def test_inputs_are_not_written_to(cell, draw):
    problem = draw(cell)
    before = problem.map(np.copy)
    problem.map(lambda a: a.setflags(write=False))
    problem.gradients()
    for name in problem.names:
        np.testing.assert_array_equal(problem.value(name), before.value(name))


def test_empty_batch(cell, draw):
    problem = draw(cell, B=0)
    grads = problem.gradients()
    for name in problem.names:
        assert grads[name].shape == problem.value(name).shape
        assert not np.any(grads[name])


def test_saturated_gates_stay_finite(cell, draw):
    problem = draw(cell)
    bias = next(n for n in problem.params if n.startswith("bias"))
    for sign in (-1e4, 1e4):
        far = problem.with_value(bias, np.full_like(problem.params[bias], sign))
        out, _, _ = far.module.forward(far.x, far.params, far.state)
        assert np.all(np.isfinite(out))
        assert all(np.all(np.isfinite(g)) for g in far.gradients().values())
