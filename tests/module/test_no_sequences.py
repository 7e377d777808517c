"""B = 0: one answer everywhere. Results have an empty axis, the loss is 0, the gradients of parameters are zeros."""

import numpy as np
import pytest
from cells import CELLS, Problem, load

EMPTY = (None, [], np.zeros(0, int), np.zeros(0, np.uint8), ())
TAPES = (None, "recompute", 1, 3, 100)


def check_gradients(p, found, wrt=None):
    names = ["x", *p.params, *(f"{state}0" for state in p.module.STATES)]
    shapes = [p.x.shape, *(a.shape for a in p.params.values()), *(a.shape for a in p.state)]
    wanted = set(names) if wrt is None else {*p.params} if wrt == "params" else {wrt}
    assert list(found) == [name for name in names if name in wanted]
    for name, shape in zip(names, shapes, strict=True):
        if name in wanted:
            assert found[name].shape == shape and found[name].dtype == p.x.dtype and not found[name].any()


def check_results(p, out, state):
    assert out.shape == p.d_out.shape and out.dtype == p.x.dtype
    assert [a.shape for a in state] == [a.shape for a in p.state] and all(a.dtype == p.x.dtype for a in state)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("cell", CELLS)
def test_calls(cell, dtype):
    p = Problem(load(cell), 4, 0, dtype)
    for lengths in EMPTY:
        for threads in (None, 1, 3):
            options = {"lengths": lengths, "threads": threads}
            for state in (None, p.state, [None] * len(p.state)):
                check_results(p, *p.module.infer(p.x, p.params, state, **options))
            for tape in TAPES:
                out, state, saved = p.module.forward(p.x, p.params, p.state, tape=tape, **options)
                check_results(p, out, state)
                assert saved.nbytes == 0 and "B=0" in str(saved)
                for wrt in (None, "x", "params", f"{p.module.STATES[0]}0"):
                    check_gradients(p, p.module.backward(saved, p.d_out, wrt=wrt), wrt)
                    check_gradients(p, p.module.backward(saved, None, p.d_state, wrt=wrt), wrt)
                    loss, grads = p.module.loss_and_grad(p.x, p.y, p.params, tape=tape, wrt=wrt, **options)
                    assert loss == 0.0 and type(loss) is float
                    check_gradients(p, grads, wrt)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("cell", CELLS)
def test_plans(cell, dtype):
    p = Problem(load(cell), 4, 0, dtype)
    for wrt in (None, "x", "params"):
        for tape in TAPES[:3]:
            plan = p.module.plan(p.params, 4, 0, wrt=wrt, tape=tape)
            assert plan.batch == 0 and "B=0" in str(plan) and plan.nbytes >= sum(a.nbytes for a in p.params.values())
            state = None
            for lengths in EMPTY:
                out, state = plan.infer(p.x, state, lengths=lengths)
                check_results(p, out, state)
                check_results(p, *plan.infer(p.x, p.state, lengths=lengths))
                loss, grads = plan.loss_and_grad(p.x, p.y, state, lengths=lengths)
                assert loss == 0.0 and type(loss) is float
                check_gradients(p, grads, wrt)
                for array in grads.values():
                    array[...] = 3  # what a caller does to them is no matter
                assert plan.loss_and_grad(p.x, p.y)[1] is grads
            given = np.empty_like(p.d_out)
            assert plan.infer(p.x, out=given)[0] is given
            plan.update(p.params)
            plan.update()


def test_a_plan_without_sequences_checks_as_others_do():
    p = Problem(load("lstm"), 4, 0)
    plan = p.module.plan(p.params, 4, 0)
    wrong = [
        (lambda: plan.infer(p.x[:3]), ValueError, "x must have shape"),
        (lambda: p.module.plan(p.params, 2**62, 0), MemoryError, "lstm.plan: T=4611686018427387904, B=0"),
        (lambda: p.module.plan(p.params, 2**70, 0), MemoryError, "lstm.plan: T=1180591620717411303424, B=0"),
        (lambda: plan.infer(p.x, p.x), TypeError, "state must be None or a tuple"),
        (lambda: plan.infer(p.x, lengths=[1]), ValueError, "lengths must have shape"),
        (lambda: plan.infer(p.x, lengths=3), TypeError, "lengths must be None or an integer array"),
        (lambda: plan.infer(p.x, out=p.x), ValueError, "out must have shape"),
        (lambda: plan.loss_and_grad(p.x, p.x), ValueError, "y must have shape"),
        (lambda: plan.loss_and_grad(p.x[:, :, :1], p.y), ValueError, "x must have shape"),
        (lambda: plan.loss_and_grad(p.x, p.y, 3), TypeError, "state must be None or a tuple"),
        (lambda: plan.loss_and_grad(p.x, p.y, lengths=[[]]), ValueError, "lengths must have shape"),
    ]
    for call, error, words in wrong:
        with pytest.raises(error) as caught:
            call()
        assert words in str(caught.value)


@pytest.mark.parametrize("op", ["infer", "forward", "backward", "loss_and_grad"])
@pytest.mark.parametrize("cell", CELLS)
def test_memory(cell, op):
    p = Problem(load(cell), 4, 0, np.float32)
    found = p.module.memory(**p.keywords, steps=4, batch=0, op=op)
    weights = sum(array.nbytes for array in p.params.values())
    out = weights if op in ("backward", "loss_and_grad") else 0
    assert found == (0, 0, out, out)
