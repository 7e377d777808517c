"""Which bits a result has, and on what they depend: never on steps, tiles, kernels or threads by units."""

import numpy as np
import pytest
from cells import CELLS, Problem, load

import derive
from derive import registry
from derive.errors import DeriveError
from derive.runtime import KernelError

DTYPES = (np.float32, np.float64)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize(("batch", "units"), [(1, 5), (2, 33), (7, 17), (40, 20)])
def test_inference_has_the_bits_of_the_forward_pass(cell, dtype, batch, units):
    problem = Problem(load(cell), 9, batch, dtype, inputs=4, units=units)
    out, state, _ = problem.module.forward(problem.x, problem.params, problem.state, threads=1)
    inferred, last = problem.module.infer(problem.x, problem.params, problem.state, threads=1)
    np.testing.assert_array_equal(out, inferred)
    for a, b in zip(state, last, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize(("batch", "units"), [(1, 5), (1, 40), (2, 33), (3, 8), (7, 17), (40, 20)])
def test_one_step_at_a_time_has_the_bits_of_one_call(cell, dtype, batch, units):
    """Streaming: T = 1 called T times; also in pieces of odd length."""
    problem = Problem(load(cell), 11, batch, dtype, inputs=4, units=units)
    whole, last = problem.module.infer(problem.x, problem.params, problem.state, threads=1)
    for pieces in ([1] * 11, [3, 1, 7], [10, 1]):
        state, first = problem.state, 0
        for steps in pieces:
            x = problem.x[first : first + steps]
            out, state = problem.module.infer(x, problem.params, state, threads=1)
            np.testing.assert_array_equal(out, whole[first : first + steps])
            first += steps
        for a, b in zip(state, last, strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("cell", CELLS)
def test_a_row_does_not_depend_on_the_rows_beside_it(cell):
    """From three sequences on; one or two alone are summed in another order."""
    problem = Problem(load(cell), 5, 33, np.float32, units=20)
    whole, _ = problem.module.infer(problem.x, problem.params, problem.state, threads=1)
    for batch in (3, 4, 6, 7, 12, 13, 25):
        state = tuple(s[:batch].copy() for s in problem.state)
        part, _ = problem.module.infer(np.ascontiguousarray(problem.x[:, :batch]), problem.params, state, threads=1)
        np.testing.assert_array_equal(part, whole[:, :batch])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize(("steps", "units"), [(9, 1), (9, 16), (270, 70), (9, 130)])
def test_threads_by_units_change_no_bit(cell, dtype, steps, units, monkeypatch):
    """Where a cell cannot be shared so, asking for it changes nothing either.  270 steps are more than a chunk."""
    from derive.runtime.core import split

    problem = Problem(load(cell), steps, 1, dtype, inputs=5, units=units)
    alone = problem.everything(threads=1)
    for parts in (2, 3):
        monkeypatch.setattr(split, "cpus", lambda parts=parts: parts)
        kind = "units" if getattr(load(cell)._kernels.lib, f"{cell}_parts")() else "one"
        assert split.choose("infer", steps, 1, 1000, threads=parts, units=kind == "units").kind == kind
        shared = problem.everything(threads=parts)
        for name, array in alone.items():
            np.testing.assert_array_equal(shared[name], array, err_msg=name)


@pytest.mark.parametrize("cell", CELLS)
def test_denormals_are_flushed_and_the_mode_comes_back(cell):
    """Numbers that are too small to be normal neither come out nor stop the caller from computing with them."""
    problem = Problem(load(cell), 6, 3, np.float32)
    tiny = np.finfo(np.float32).tiny
    x = (problem.x * 0 + tiny / 4).astype(np.float32)
    state = tuple((s * 0 + tiny / 8).astype(np.float32) for s in problem.state)
    d_out = (problem.d_out * 0 + tiny / 2).astype(np.float32)
    out, last, tape = problem.module.forward(x, problem.params, state)
    grads = problem.module.backward(tape, d_out)
    for array in (out, *last, *grads.values()):
        small = array[(array != 0) & (abs(array) < tiny)]
        assert not small.size, small
    assert np.float32(tiny) / np.float32(2) > 0, "the caller's mode is not restored"


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("cell", CELLS)
def test_results_too_small_to_be_normal_are_zero(cell, dtype):
    """Of normal operands, in the last operation too: without weights a gate is 1/2, and half of a smallest number is none."""
    problem = Problem(load(cell), 1, 3, dtype)
    tiny = np.finfo(dtype).tiny
    params = {name: np.zeros_like(array) for name, array in problem.params.items()}
    for factor in (1, 1.5, 2, 3):
        state = tuple(np.full_like(array, factor * tiny) for array in problem.state)
        for call in (problem.module.infer, problem.module.forward):
            out, last, *_ = call(problem.x * 0, params, state)
            assert not any(((a != 0) & (abs(a) < tiny)).any() for a in (out, *last)), factor


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("call", ["infer", "forward", "backward", "loss_and_grad", "plan.infer", "plan.loss_and_grad"])
def test_every_call_gives_the_mode_of_the_processor_back(call, dtype):
    problem = Problem(load("lstm"), 4, 5, dtype)
    p, module = problem, problem.module
    tape, plan = module.forward(p.x, p.params)[2], module.plan(p.params, 4, 5)
    smallest = np.full(16, np.finfo(dtype).tiny)
    calls = {
        "infer": lambda: module.infer(p.x, p.params),
        "forward": lambda: module.forward(p.x, p.params),
        "backward": lambda: module.backward(tape, p.d_out),
        "loss_and_grad": lambda: module.loss_and_grad(p.x, p.y, p.params),
        "plan.infer": lambda: plan.infer(p.x),
        "plan.loss_and_grad": lambda: plan.loss_and_grad(p.x, p.y),
    }
    assert (smallest / 2 > 0).all(), "an earlier call did not"
    calls[call]()
    assert (smallest / 2 > 0).all()


def test_sizes_fixed_at_compile_time(tmp_path, monkeypatch):
    monkeypatch.setenv("DERIVE_CACHE", str(tmp_path))
    lstm = registry.cell("lstm")
    fixed = derive.build(lstm, sizes={"I": 3, "H": 5, "B": 2})
    problem = Problem(load("lstm"), 7, 2, np.float32)
    mine, general = (
        m.loss_and_grad(problem.x, problem.y, problem.params, problem.state) for m in (fixed, problem.module)
    )
    assert mine[0] == general[0]
    for name, array in general[1].items():
        np.testing.assert_array_equal(mine[1][name], array, err_msg=name)
    other = Problem(load("lstm"), 7, 3, np.float32)
    with pytest.raises((KernelError, MemoryError), match="other sizes"):
        fixed.infer(other.x, other.params)
    for sizes, words in (({"X": 3}, "sizes has 'X'"), ({"H": 0}, "at least 1"), ({"H": 2.0}, "integer")):
        with pytest.raises(DeriveError, match=words):
            derive.build(lstm, sizes=sizes)
