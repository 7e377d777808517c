"""Calls do not disturb one another: tapes, threads of Python and of ours, forked processes."""

import os
import subprocess
import sys
import threading

import numpy as np
import pytest
from call_tools import F32, H, I, equal, everything, normal, problem


def test_tape_can_be_used_again(lstm):
    x, y, params, state = problem(lstm)
    _, _, tape = lstm.forward(x, params, state)
    once = lstm.backward(tape, y)
    lstm.backward(tape, -y, state)
    everything(lstm, *problem(lstm, seed=20))
    equal(lstm.backward(tape, y), once)


def test_tapes_do_not_disturb_each_other(lstm):
    problems = [problem(lstm, seed=10 * k) for k in range(4)]
    expected = [everything(lstm, *p)[2] for p in problems]
    tapes = [lstm.forward(x, params, state)[2] for x, _, params, state in problems]
    for tape, (_, y, _, _), grads in reversed(list(zip(tapes, problems, expected, strict=True))):
        equal(lstm.backward(tape, normal(y.shape, F32, 9)), grads)


def test_tape_keeps_its_arrays_alive(lstm):
    x, y, params, state = problem(lstm)
    expected = lstm.backward(lstm.forward(x, params, state)[2], y)

    def make():
        return lstm.forward(
            x.copy(), {name: array.copy() for name, array in params.items()}, tuple(s.copy() for s in state)
        )[2]

    tape = make()
    junk = [np.full(array.shape, np.nan, F32) for _ in range(50) for array in (x, y, *params.values(), *state)]
    equal(lstm.backward(tape, y), expected)
    assert junk


def test_tape_says_what_it_is(lstm):
    x, _, params, state = problem(lstm)
    tape = lstm.forward(x, params, state)[2]
    assert tape.cell == "lstm" and tape.nbytes > 0
    for word in ("Tape of lstm", "T=7", "B=3", "I=5", "H=4", "float32", "B>"):
        assert word in repr(tape)
    assert "no batch axis" in repr(lstm.forward(x[:, 0], params)[2])


def close(a, b, dtype):
    """The same up to the order in which sums were taken: some tens of roundings of their largest entry."""
    for left, right in zip(
        a.values() if isinstance(a, dict) else a, b.values() if isinstance(b, dict) else b, strict=True
    ):
        np.testing.assert_allclose(left, right, rtol=0, atol=50 * np.finfo(dtype).eps * max(np.abs(right).max(), 1e-30))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("threads", [None, 1, 2, 3, 1000, np.int32(1), np.uint8(2)])
def test_threads_change_only_the_order_of_sums(lstm, threads, dtype):
    x, y, params, state = problem(lstm, dtype=dtype)
    out, final, tape = lstm.forward(x, params, state)
    grads, (loss, both) = lstm.backward(tape, y), lstm.loss_and_grad(x, y, params, state)

    again, last, other = lstm.forward(x, params, state, threads=threads)
    close([again, *last], [out, *final], dtype)
    close([lstm.infer(x, params, state, threads=threads)[0]], [out], dtype)
    close(lstm.backward(other, y), grads, dtype)
    value, split = lstm.loss_and_grad(x, y, params, state, threads=threads)
    close(split, both, dtype)
    assert abs(value - loss) <= 50 * np.finfo(dtype).eps * loss


def test_a_batch_on_several_threads_has_the_same_rows_and_always_the_same_bits(lstm):
    """Sequences do not know of each other; only sums over the batch depend on how it is cut, and nothing on timing."""
    x, y, params, state = problem(lstm, batch=33, steps=20)
    alone = lstm.forward(x, params, state, threads=1)
    for threads in (2, 3):
        split = lstm.forward(x, params, state, threads=threads)
        equal(split[:2], alone[:2])
        equal(lstm.infer(x, params, state, threads=threads), alone[:2])
        first = lstm.loss_and_grad(x, y, params, state, threads=threads)
        equal(lstm.loss_and_grad(x, y, params, state, threads=threads), first)
        equal(lstm.backward(split[2], y), lstm.backward(split[2], y))
        equal(
            {n: lstm.backward(split[2], y)[n] for n in ("x", "h0", "c0")},
            {n: lstm.backward(alone[2], y)[n] for n in ("x", "h0", "c0")},
        )


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_a_forked_child_may_use_threads(lstm):
    x, y, params, state = problem(lstm, batch=33)
    expected = lstm.loss_and_grad(x, y, params, state, threads=2)
    child = os.fork()
    if child == 0:
        loss, _ = lstm.loss_and_grad(x, y, params, state, threads=2)
        os._exit(0 if loss == expected[0] else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


@pytest.mark.parametrize("same_shapes", [True, False])
def test_python_threads_at_once(lstm, same_shapes):
    """Threads that call with the same shapes, and with others, get what they get alone."""
    count, rounds = 4, 50
    problems = [problem(lstm, steps=20 if same_shapes else 20 + k, seed=10 * k) for k in range(count)]
    expected = [everything(lstm, *p) for p in problems]
    shared = problem(lstm, steps=20, seed=99)
    shared_tape = lstm.forward(shared[0], shared[2], shared[3])[2]
    shared_grads = lstm.backward(shared_tape, shared[1])
    failures = []
    start = threading.Barrier(count)

    def work(k):
        try:
            start.wait()
            for _ in range(rounds):
                equal(everything(lstm, *problems[k]), expected[k])
                equal(lstm.backward(shared_tape, shared[1]), shared_grads)
        except BaseException as error:
            failures.append(error)
            raise

    workers = [threading.Thread(target=work, args=(k,)) for k in range(count)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert not failures


def test_many_shapes(lstm):
    """More shapes than are remembered, and large ones after small ones."""
    params = lstm.init_params(I, H)
    x = normal((300, 2, I))
    full, _ = lstm.infer(x, params)
    for steps in (*range(1, 150), 300, 1, 299):
        out, (h, _) = lstm.infer(x[:steps], params)
        np.testing.assert_allclose(out, full[:steps], rtol=1e-5, atol=1e-6)
        equal(h, out[-1])
    wide = normal((2, 3000, I))
    _, grads = lstm.loss_and_grad(wide, np.zeros((2, 3000, H), F32), params)
    assert np.isfinite(grads["x"]).all()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_after_fork(lstm):
    x, y, params, state = problem(lstm)
    expected = everything(lstm, x, y, params, state)
    child = os.fork()
    if child == 0:
        status = 1
        try:
            equal(everything(lstm, x, y, params, state), expected)
            status = 0
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_no_sympy_at_run_time(lstm):
    """A process that only calls a built module imports no SymPy, Jinja or click."""
    code = (
        "import sys, numpy as np; from derive.generated import lstm; p = lstm.init_params(2, 3); "
        "lstm.loss_and_grad(np.ones((4, 1, 2), 'f4'), np.ones((4, 1, 3), 'f4'), p); "
        "print(*sorted({'sympy', 'jinja2', 'click', 'rich'} & set(sys.modules)))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.split() == []
