"""What the tape keeps changes the memory of a call and the last bits of gradients, and nothing else.

The measure is the call with the full tape.  What comes out of the forward pass has its bits.
"""

import numpy as np
import pytest
from cells import CELLS, Problem, close, equal, load

MODULE = "lstm"
EVERY = ("recompute", 1, 2, 4, 100)  # T is 9 or more below: 2 and 4 leave a shorter last segment, 100 is one segment
LENGTHS = [9, 3, 9, 1, 8, 4, 5]
FORWARD = ("out", "inferred", "loss")


def final(name):
    return name in FORWARD or name.endswith("_T")


def same_but_last_bits(found, expected):
    """Bits of the forward pass, roundings of the gradients: sums over time are taken segment by segment."""
    assert list(found) == list(expected)
    equal({n: a for n, a in found.items() if final(n)}, {n: a for n, a in expected.items() if final(n)})
    eps = {"out": expected["out"]}
    close(
        {**eps, **{n: a for n, a in found.items() if not final(n)}},
        {**eps, **{n: a for n, a in expected.items() if not final(n)}},
        ulps=40,
    )


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("lengths", [None, LENGTHS], ids=["all", "lengths"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("cell", CELLS)
def test_every_tape_gives_the_gradients_of_the_full_one(cell, dtype, lengths, threads):
    problem = Problem(load(cell), 9, 7, dtype)
    if lengths is not None:
        for b, length in enumerate(lengths):
            for array in (problem.x, problem.y, problem.d_out):
                array[length:, b] = np.nan
    expected = problem.everything(lengths=lengths, threads=threads)
    assert all(np.isfinite(array).all() for array in expected.values())
    for tape in EVERY:
        same_but_last_bits(problem.everything(tape=tape, lengths=lengths, threads=threads), expected)


@pytest.mark.parametrize("batch", [1, 2, None])
@pytest.mark.parametrize("cell", CELLS)
def test_few_sequences(cell, batch):
    """One or two are summed in another order."""
    problem = Problem(load(cell), 11, batch, np.float32, units=20)
    expected = problem.everything(threads=1)
    for tape in EVERY:
        same_but_last_bits(problem.everything(tape=tape, threads=1), expected)


@pytest.mark.parametrize("tape", ["recompute", 2])
@pytest.mark.parametrize("cell", CELLS)
def test_threads_by_units_change_no_bit_whatever_the_tape(cell, tape, monkeypatch):
    from derive.runtime.core import split

    monkeypatch.setattr(split, "cpus", lambda: 2)
    problem = Problem(load(cell), 5, 1, np.float32, units=33)
    equal(problem.everything(tape=tape, threads=2), problem.everything(tape=tape, threads=1))


@pytest.mark.parametrize("cell", CELLS)
def test_more_steps_and_rows_than_a_chunk_holds(cell):
    for steps, batch, lengths in ((300, 2, [300, 7]), (2, 300, None), (40, 13, None)):
        problem = Problem(load(cell), steps, batch)
        expected = problem.everything(lengths=lengths, threads=1)
        for tape in ("recompute", 7, steps):
            found = problem.everything(tape=tape, lengths=lengths, threads=1)
            same_but_last_bits(found, expected)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("cell", CELLS)
def test_a_plan_keeps_its_tape_option(cell, dtype):
    problem = Problem(load(cell), 9, 4, dtype)
    p = problem
    for tape in (None, *EVERY):
        plan = p.module.plan(p.params, 9, 4, tape=tape, threads=1)
        expected = p.module.loss_and_grad(p.x, p.y, p.params, p.state, tape=tape, threads=1)
        for _ in range(2):  # the second call finds the memory of the first
            loss, grads = plan.loss_and_grad(p.x, p.y, p.state)
            assert loss == expected[0]
            equal(grads, expected[1])


def test_a_tape_is_read_twice_with_the_same_result():
    problem = Problem(load(MODULE), 9, 4)
    for tape in (None, *EVERY):
        saved = problem.module.forward(problem.x, problem.params, problem.state, tape=tape)[2]
        first, second = (problem.module.backward(saved, problem.d_out, problem.d_state) for _ in range(2))
        equal(first, second)


@pytest.mark.parametrize("cell", CELLS)
def test_less_is_kept(cell):
    """Bytes of the tape: all, states of every step, of each fourth, of none but the first; and it says so."""
    module, steps = load(cell), 64
    problem = Problem(module, steps, 3, np.float32, units=16)
    kept = {
        tape: module.forward(problem.x, problem.params, tape=tape)[2] for tape in (None, "recompute", 1, 4, 8, steps)
    }
    states = sum(problem.dims[d] for d in module.SPEC["states"].values()) * 3 * 4
    assert kept[steps].nbytes <= kept[8].nbytes < kept[4].nbytes < kept[1].nbytes
    assert kept[8].nbytes <= (steps // 8 + 1) * states
    if kept[None].nbytes:
        assert kept["recompute"].nbytes < kept[None].nbytes
    assert "states only" in repr(kept["recompute"]) and "states of every 4 steps" in repr(kept[4])
    assert "states" not in repr(kept[None])


BAD = {
    "text": ("all", ValueError, "found 'all'"),
    "empty text": ("", ValueError, "found ''"),
    "zero": (0, ValueError, "at least 1; found 0"),
    "negative": (-3, ValueError, "at least 1; found -3"),
    "bool": (True, TypeError, "found True"),
    "float": (2.0, TypeError, "found 2.0"),
    "list": ([2], TypeError, r"found \[2\]"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_tapes(case):
    tape, error, words = BAD[case]
    problem = Problem(load(MODULE), 5, 2)
    module, p = problem.module, problem
    calls = {
        "forward": lambda: module.forward(p.x, p.params, tape=tape),
        "loss_and_grad": lambda: module.loss_and_grad(p.x, p.y, p.params, tape=tape),
        "plan": lambda: module.plan(p.params, 5, 2, tape=tape),
        "memory": lambda: module.memory(3, 5, 5, 2, tape=tape),
    }
    for name, call in calls.items():
        with pytest.raises(error, match=rf"lstm\.{name}: tape must be None, \"recompute\".*{words}"):
            call()


def test_numbers_of_numpy_are_numbers():
    problem = Problem(load(MODULE), 9, 2)
    equal(problem.everything(tape=np.int32(4)), problem.everything(tape=4))
