"""Sequences of different lengths in one batch: what each one gives alone, whatever lies beyond its end."""

import numpy as np
import pytest
from cells import CELLS, Problem, close, equal, load
from hypothesis import given, settings
from hypothesis import strategies as st

MODULE = "lstm"


def alone(problem, lengths):
    """Results of all calls from one call for each sequence, cut at its end."""
    module, p = problem.module, problem
    steps = len(p.x)
    zeros = {n: np.zeros_like(a) for n, a in p.params.items()}
    results = {"out": np.zeros_like(p.d_out), "inferred": np.zeros_like(p.d_out), "loss": np.zeros(())}
    for kind in ("backward", "loss"):
        results[f"{kind} x"] = np.zeros_like(p.x)
        results |= {f"{kind} {n}": a.copy() for n, a in zeros.items()}
        results |= {f"{kind} {n}0": np.zeros_like(a) for n, a in zip(module.STATES, p.state, strict=True)}
    for kind in ("", "inferred "):
        results |= {f"{kind}{n}_T": np.zeros_like(a) for n, a in zip(module.STATES, p.state, strict=True)}
    for b, length in enumerate(lengths):
        row = slice(b, b + 1)
        one = Problem(module, 1, 1, p.x.dtype)
        one.params = p.params
        one.x, one.y, one.d_out = (np.ascontiguousarray(a[:length, row]) for a in (p.x, p.y, p.d_out))
        one.state, one.d_state = (tuple(a[row].copy() for a in s) for s in (p.state, p.d_state))
        for name, array in one.everything(threads=1).items():
            if name in ("out", "inferred"):
                results[name][:length, row] = array
                results[name][length:, row] = array[-1]
            elif name == "loss" or name.split()[-1] in p.params:
                results[name] = results[name] + array
            elif name.endswith(" x"):
                results[name][:length, row] = array
            else:
                results[name][row] = array
        assert length <= steps
    return results


def spoil(problem, lengths):
    """NaN wherever no call may look."""
    for b, length in enumerate(lengths):
        for array in (problem.x, problem.y, problem.d_out):
            array[length:, b] = np.nan


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("cell", CELLS)
def test_every_sequence_is_as_it_is_alone(cell, dtype, threads):
    problem = Problem(load(cell), 9, 7, dtype)
    lengths = np.array([3, 9, 1, 5, 9, 2, 5])
    expected = alone(problem, lengths)
    spoil(problem, lengths)
    found = problem.everything(lengths=lengths, threads=threads)
    close(found, {name: expected[name] for name in found})
    for b, length in enumerate(lengths):
        assert not found["loss x"][length:, b].any() and not found["backward x"][length:, b].any()
        assert (found["out"][length:, b] == found["out"][length - 1, b]).all()


@settings(max_examples=60, deadline=None)
@given(
    steps=st.integers(1, 40),
    lengths=st.lists(st.integers(1, 40), min_size=1, max_size=20),
    threads=st.sampled_from([None, 1, 2]),
    units=st.sampled_from([1, 4, 17]),
)
def test_any_lengths(steps, lengths, threads, units):
    lengths = np.minimum(lengths, steps)
    problem = Problem(load(MODULE), steps, len(lengths), units=units)
    expected = alone(problem, lengths)
    spoil(problem, lengths)
    found = problem.everything(lengths=lengths, threads=threads)
    close(found, {name: expected[name] for name in found})


def test_all_steps_are_the_ordinary_call():
    problem = Problem(load(MODULE), 6, 4)
    equal(problem.everything(lengths=np.full(4, 6), threads=1), problem.everything(threads=1))


@pytest.mark.parametrize("longest", [1, 3, 299])
def test_no_row_runs_to_the_end(longest):
    problem = Problem(load(MODULE), 300, 3)
    lengths = np.array([1, longest, longest])
    expected = alone(problem, lengths)
    spoil(problem, lengths)
    found = problem.everything(lengths=lengths)
    close(found, {name: expected[name] for name in found})


def test_the_order_of_sequences_changes_no_bit_of_a_row():
    problem = Problem(load(MODULE), 12, 6, np.float32)
    lengths = np.array([12, 10, 7, 7, 3, 1])
    straight = problem.everything(lengths=lengths, threads=1)
    order = np.array([4, 2, 5, 0, 3, 1])
    for name in ("x", "y", "d_out"):
        setattr(problem, name, getattr(problem, name)[:, order])
    problem.state, problem.d_state = (tuple(a[order] for a in s) for s in (problem.state, problem.d_state))
    mixed = problem.everything(lengths=lengths[order], threads=1)
    for name in ("out", "inferred", "backward x", "loss x"):
        np.testing.assert_array_equal(mixed[name], straight[name][:, order], err_msg=name)
    for name in ("h_T", "c_T", "loss h0", "backward c0"):
        np.testing.assert_array_equal(mixed[name], straight[name][order], err_msg=name)


def test_without_batch_axis():
    problem = Problem(load(MODULE), 6, None)
    cut = Problem(load(MODULE), 6, None)
    cut.x, cut.y, cut.d_out = problem.x[:4].copy(), problem.y[:4].copy(), problem.d_out[:4].copy()
    expected = cut.everything()
    for length in (4, np.int32(4), np.array(4), np.array([4]), [4]):
        found = problem.everything(lengths=length)
        close({n: a[:4] if a.shape[:1] == (6,) else a for n, a in found.items()}, expected)
        assert (found["out"][4:] == found["out"][3]).all()


def test_out_is_used_and_a_tape_is_safe_from_changes_of_what_was_sorted():
    problem = Problem(load(MODULE), 8, 3)
    lengths = [2, 8, 5]
    expected = problem.everything(lengths=lengths)
    out = np.full_like(problem.d_out, np.nan)
    found, _, tape = problem.module.forward(problem.x, problem.params, problem.state, out=out, lengths=lengths)
    assert found is out
    np.testing.assert_array_equal(out, expected["out"])
    assert "lengths 2 to 8" in repr(tape)
    grads = problem.module.backward(tape, problem.d_out, problem.d_state)
    equal({f"backward {n}": g for n, g in grads.items()}, {n: a for n, a in expected.items() if n[:8] == "backward"})


def test_empty_batch():
    problem = Problem(load(MODULE), 5, 0)
    for lengths in (np.zeros(0, int), []):
        equal(problem.everything(lengths=lengths), problem.everything())


BAD = {
    "number": (3, TypeError, ["lengths must be None or an integer array (B,)", "int"]),
    "text": ("3", TypeError, ["lengths must be", "str"]),
    "float": (np.array([1.0, 2, 3]), TypeError, ["lengths must be integers, found float64"]),
    "float list": ([1.0, 2, 3], TypeError, ["lengths must be integers, found float64"]),
    "bool": (np.array([True, True, True]), TypeError, ["lengths must be integers, found bool"]),
    "none": ([1, None, 3], TypeError, ["lengths must be integers, found object"]),
    "nested": ([1, [2, 3], 3], TypeError, ["lengths must be"]),
    "masked": (np.ma.masked_array([1, 2, 3]), TypeError, ["masked"]),
    "short": ([1, 2], ValueError, ["lengths must have shape (B,) = (3,), found (2,)"]),
    "2D": (np.ones((3, 1), int), ValueError, ["lengths must have shape (B,) = (3,), found (3, 1)"]),
    "zero": ([1, 0, 3], ValueError, ["lengths[1] must be between 1 and T=5, found 0"]),
    "long": (np.array([1, 2, 6], np.uint8), ValueError, ["lengths[2] must be between 1 and T=5, found 6"]),
    "negative": ([-1, 2, 3], ValueError, ["lengths[0] must be between 1 and T=5, found -1"]),
}


@pytest.mark.parametrize("op", ["infer", "forward", "loss_and_grad", "plan.infer", "plan.loss_and_grad"])
@pytest.mark.parametrize("case", BAD)
def test_bad_lengths(case, op):
    lengths, error, words = BAD[case]
    problem = Problem(load(MODULE), 5, 3)
    module, args = problem.module, {"x": problem.x, "lengths": lengths}
    if op.endswith("loss_and_grad"):
        args["y"] = problem.y
    if op.startswith("plan"):
        function = getattr(module.plan(problem.params, 5, 3), op.split(".")[1])
    else:
        function, args["params"] = getattr(module, op), problem.params
    with pytest.raises(error) as caught:
        function(**args)
    for word in [f"lstm.{op.split('.')[-1]}:", *words]:
        assert word in str(caught.value)


def test_bad_length_without_batch_axis():
    problem = Problem(load(MODULE), 5, None)
    for lengths, error in ((0, ValueError), (6, ValueError), (True, TypeError), (2.0, TypeError), ([1, 2], ValueError)):
        with pytest.raises(error, match="lengths"):
            problem.module.infer(problem.x, problem.params, lengths=lengths)
