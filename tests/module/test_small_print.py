"""Promises in a subordinate clause: what is read-only, what is checked though it changes nothing, what is kept for how many."""

import numpy as np
import pytest
from cells import CELLS, Problem, load

from derive.runtime.core import runner
from derive.runtime.core.kept import KEPT


@pytest.mark.parametrize("cell", CELLS)
def test_zeros_that_stand_for_no_state_cannot_be_written(cell):
    """They are used again by every call of these shapes: one write, and all of them would be wrong."""
    KEPT.release()
    p = Problem(load(cell), 4, 3)
    p.everything()
    p.module.infer(p.x, p.params)
    plan = p.module.plan(p.params, 4, 3)
    plan.infer(p.x)
    (problem,) = KEPT.prepared.values()
    for zeros in (*problem.zeros, *plan._problem.zeros):
        assert not zeros.any()
        with pytest.raises(ValueError, match="read-only"):
            zeros[...] = 1


@pytest.mark.parametrize(
    ("threads", "error", "words"),
    [
        (0, ValueError, "threads must be at least 1, found 0"),
        (-3, ValueError, "threads must be at least 1, found -3"),
        (True, TypeError, "threads must be None or an integer, found True"),
        ("2", TypeError, "threads must be None or an integer, found '2'"),
        (2.0, TypeError, "threads must be None or an integer, found 2.0"),
    ],
)
def test_backward_checks_threads(threads, error, words):
    p = Problem(load("lstm"), 4, 3)
    tape = p.module.forward(p.x, p.params)[2]
    with pytest.raises(error) as caught:
        p.module.backward(tape, p.d_out, threads=threads)
    assert str(caught.value).startswith(f"lstm.backward: {words}")
    expected = p.module.backward(tape, p.d_out)
    for threads in (1, 7, np.int64(2)):
        found = p.module.backward(tape, p.d_out, threads=threads)
        assert all((found[name] == expected[name]).all() for name in expected)


def test_small_scratch_memory_stays_with_its_call_and_large_is_handed_on():
    KEPT.release()
    small, large = Problem(load("lstm"), 3, 2), Problem(load("lstm"), 300, 30, units=20)
    small.module.loss_and_grad(small.x, small.y, small.params, threads=1)
    assert not KEPT.blocks
    (problem,) = KEPT.prepared.values()
    (call,) = {id(found): found for found in problem.calls.values()}.values()
    (idle,) = call.idle
    assert 0 < idle.nbytes == call.held <= runner.SMALL
    for _ in range(3):
        small.module.loss_and_grad(small.x, small.y, small.params, threads=1)
    assert call.idle == [idle] and call.held == idle.nbytes, "the same one serves all calls that do not overlap"
    large.module.loss_and_grad(large.x, large.y, large.params, threads=1)
    told = KEPT.by_kind()["scratch"]
    assert told > runner.SMALL
    for _ in range(3):
        large.module.loss_and_grad(large.x, large.y, large.params, threads=1)
    assert KEPT.by_kind()["scratch"] == told, "each call takes what the one before gave"


def test_a_call_that_raises_gives_up_its_scratch_memory(monkeypatch):
    """What it points to is undefined; the next call makes its own, and the account says so."""
    KEPT.release()
    p = Problem(load("lstm"), 3, 2)
    expected = p.module.infer(p.x, p.params)[0]
    (problem,) = KEPT.prepared.values()
    (call,) = {id(found): found for found in problem.calls.values()}.values()
    (idle,) = call.idle
    with monkeypatch.context() as patch:
        patch.setattr(runner.Runner, "run", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            p.module.infer(p.x, p.params)
    assert not call.idle and call.held == 0
    np.testing.assert_array_equal(p.module.infer(p.x, p.params)[0], expected)
    assert call.idle and call.idle != [idle] and call.held == idle.nbytes


@pytest.mark.parametrize("op", ["forward", "loss_and_grad"])
def test_a_tape_that_no_memory_takes_is_refused_before_it_is_allocated(op, monkeypatch):
    """Where the results would fit: a system that overcommits would end the process."""
    p = Problem(load("lstm"), 50, 4)
    arrays = (p.x, p.params) if op == "forward" else (p.x, p.y, p.params)
    call = getattr(p.module, op)
    need = p.module.memory(**p.keywords, steps=50, batch=4, dtype=p.x.dtype, op=op)
    monkeypatch.setattr("derive.runtime.core.blocks.MEMORY", need.tape - 1)
    with pytest.raises(MemoryError, match=rf"lstm\.{op}: .* for T=50, B=4, I=3, H=5 needs .*, and this machine has"):
        call(*arrays)
    monkeypatch.setattr("derive.runtime.core.blocks.MEMORY", need.total)
    assert call(*arrays)
