"""Plans: the numbers of the ordinary calls, in the same arrays each time."""

import threading

import numpy as np
import pytest
from cells import CELLS, Problem, load
from hypothesis import given, settings
from hypothesis import strategies as st


def planned(problem, **options):
    batch = None if problem.x.ndim == 2 else problem.x.shape[1]
    return problem.module.plan(problem.params, len(problem.x), batch, **options)


def same(found, expected):
    """Pairs of results with the same bits."""
    for left, right in zip(found, expected, strict=True):
        if isinstance(right, dict):
            assert list(left) == list(right)
            same(left.values(), right.values())
        elif isinstance(right, tuple):
            same(left, right)
        else:
            np.testing.assert_array_equal(left, right)


@pytest.mark.parametrize("batch", [None, 1, 5, 9])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("cell", CELLS)
def test_a_plan_gives_the_bits_of_the_calls(cell, dtype, batch):
    p = Problem(load(cell), 7, batch, dtype)
    module, plan = p.module, planned(p)
    for state in (None, p.state, (None,) * len(p.state)):
        for _ in range(2):
            same(plan.infer(p.x, state), module.infer(p.x, p.params, state))
            same(plan.loss_and_grad(p.x, p.y, state), module.loss_and_grad(p.x, p.y, p.params, state))


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_threads_lengths_and_wrt(threads):
    p = Problem(load("lstm"), 7, 9)
    plan = planned(p, threads=threads, wrt=("params", "h0"))
    for lengths in (None, np.array([3, 7, 1, 5, 5, 2, 6, 7, 4]), np.full(9, 7), np.arange(9)[::-1] % 7 + 1):
        for state in (None, p.state):
            options = {"threads": threads, "lengths": lengths}
            same(plan.infer(p.x, state, lengths=lengths), p.module.infer(p.x, p.params, state, **options))
            expected = p.module.loss_and_grad(p.x, p.y, p.params, state, wrt=("params", "h0"), **options)
            same(plan.loss_and_grad(p.x, p.y, state, lengths=lengths), expected)


@settings(max_examples=40, deadline=None)
@given(
    cell=st.sampled_from(CELLS),
    steps=st.integers(1, 30),
    batch=st.sampled_from([None, 1, 2, 7]),
    units=st.sampled_from([1, 5, 16, 33]),
    dtype=st.sampled_from([np.float32, np.float64]),
    chunk=st.integers(1, 5),
)
def test_a_stream_has_the_bits_of_one_long_call(cell, steps, batch, units, dtype, chunk):
    steps *= chunk
    p = Problem(load(cell), steps, batch, dtype, units=units)
    expected, final = p.module.infer(p.x, p.params, p.state, threads=1)
    plan, state = p.module.plan(p.params, chunk, batch), p.state
    out = np.empty_like(expected)
    for t in range(0, steps, chunk):
        piece = out[t : t + chunk]
        result, state = plan.infer(p.x[t : t + chunk], state, out=piece)
        assert result is piece
    np.testing.assert_array_equal(out, expected)
    same(state, final)


def test_states_in_any_form():
    """The tuple that the plan returned, its arrays in another tuple, an older one, and one's own."""
    p = Problem(load("lstm"), 3, 2)
    module, plan = p.module, planned(p)
    first = module.infer(p.x, p.params)
    second = module.infer(p.x, p.params, first[1])
    third = module.infer(p.x, p.params, second[1])
    _, a = plan.infer(p.x)
    _, b = plan.infer(p.x, a)
    same(b, second[1])
    same(a, first[1])
    h, c = b
    out, again = plan.infer(p.x, (h, c))  # the arrays of b; the results take the place of a
    same((out, again), third)
    assert again is a
    _, d = plan.infer(p.x, b)  # not the latest: copied before the results of this call take its place
    same(d, third[1])
    swapped = module.infer(p.x, p.params, (third[1][1], third[1][0]))
    same(plan.infer(p.x, (d[1], d[0])), swapped)
    same(plan.infer(p.x, [p.state[0], None]), module.infer(p.x, p.params, (p.state[0], None)))
    assert plan.infer(p.x)[0] is plan.infer(p.x)[0]


def test_one_state_may_be_an_array():
    p = Problem(load("rnn"), 3, 2)
    plan = planned(p)
    same(plan.infer(p.x, p.state[0]), p.module.infer(p.x, p.params, p.state[0]))


def test_a_result_may_be_the_next_input():
    p = Problem(load("lstm"), 1, 2, inputs=5, units=5)
    plan, x, state = planned(p), p.x, None
    out, mine = p.x, None
    for _ in range(4):
        x, state = p.module.infer(x, p.params, state)
        out, mine = plan.infer(out, mine)
        same((out, mine), (x, state))
    expected = p.module.loss_and_grad(x, x, p.params, state)
    same(plan.loss_and_grad(out, out, mine), expected)
    d_x = expected[1]["x"]
    same(
        plan.loss_and_grad(plan.loss_and_grad(out, out, mine)[1]["x"], d_x), p.module.loss_and_grad(d_x, d_x, p.params)
    )


def test_parameters_are_a_copy_until_update():
    p = Problem(load("lstm"), 4, 2, np.float32)
    plan, module = planned(p), p.module
    before = module.infer(p.x, p.params)
    loss = module.loss_and_grad(p.x, p.y, p.params)
    old = {name: array.copy() for name, array in p.params.items()}
    same(plan.infer(p.x), before)
    for array in p.params.values():
        array *= 2
    same(plan.infer(p.x), before)
    same(plan.loss_and_grad(p.x, p.y), loss)
    plan.update(p.params)
    same(plan.infer(p.x), module.infer(p.x, p.params))
    same(plan.loss_and_grad(p.x, p.y), module.loss_and_grad(p.x, p.y, p.params))
    for name, array in plan.params.items():
        array[...] = old[name]
    plan.update()
    same(plan.infer(p.x), before)
    same(plan.loss_and_grad(p.x, p.y), loss)


def test_parameters_that_were_put_in_place_of_the_plans_own():
    p = Problem(load("lstm"), 4, 2)
    plan, module = planned(p), p.module
    own = dict(plan.params)
    plan.infer(p.x), plan.loss_and_grad(p.x, p.y)
    double = {name: 2 * array for name, array in p.params.items()}
    plan.params.update(double)
    plan.update()
    same(plan.infer(p.x), module.infer(p.x, double))
    same(plan.loss_and_grad(p.x, p.y), module.loss_and_grad(p.x, p.y, double))
    assert all(plan.params[name] is own[name] for name in own) and list(plan.params) == list(own)
    for wrong in ({"bias": double["bias"][:1]}, {"bais": double["bias"]}, {"bias": None}):
        plan.params.update(wrong)
        with pytest.raises((ValueError, TypeError), match=r"lstm\.plan\.update: .*b[ai]+s"):
            plan.update()
        same(plan.infer(p.x), module.infer(p.x, double))
        plan.params.clear()
        plan.params.update(own)
    del plan.params["bias"]
    with pytest.raises(ValueError, match="missing bias"):
        plan.update()


def test_parameters_that_change_places():
    """The new value of each is the old one of the other."""
    p = Problem(load("rnn"), 4, 2, inputs=5)
    plan = planned(p)
    swapped = {**p.params, "weight_ih": p.params["weight_hh"], "weight_hh": p.params["weight_ih"]}
    plan.update({**plan.params, "weight_ih": plan.params["weight_hh"], "weight_hh": plan.params["weight_ih"]})
    same(plan.infer(p.x), p.module.infer(p.x, swapped))
    plan.params["weight_ih"], plan.params["weight_hh"] = plan.params["weight_hh"], plan.params["weight_ih"]
    plan.update()
    same(plan.infer(p.x), p.module.infer(p.x, p.params))


def test_training_in_place():
    """Gradient descent on the plan's own arrays, against the ordinary calls."""
    p = Problem(load("lstm"), 5, 3)
    plan = planned(p, wrt="params")
    params = {name: array.copy() for name, array in p.params.items()}
    first = plan.loss_and_grad(p.x, p.y)[1]
    for _ in range(5):
        loss, grads = plan.loss_and_grad(p.x, p.y)
        assert grads is first
        expected, other = p.module.loss_and_grad(p.x, p.y, params, wrt="params")
        assert loss == expected
        for name in params:
            params[name] -= 0.01 * other[name]
            plan.params[name] -= 0.01 * grads[name]
        plan.update()
    same(plan.infer(p.x), p.module.infer(p.x, params))


def test_arguments_that_need_a_copy():
    p = Problem(load("lstm"), 4, 3)
    plan, expected = planned(p), planned(p).infer(p.x, p.state)
    for layout in (np.asfortranarray, lambda a: np.repeat(a, 2, -1)[..., ::2]):
        same(plan.infer(layout(p.x), tuple(map(layout, p.state))), expected)
        same(plan.loss_and_grad(layout(p.x), layout(p.y)), planned(p).loss_and_grad(p.x, p.y))
    strided = dict(zip(p.params, map(np.asfortranarray, p.params.values()), strict=True))
    same(p.module.plan(strided, 4, 3).infer(p.x, p.state), expected)


def test_bad_arguments():
    p = Problem(load("lstm"), 4, 3, np.float32)
    plan, module = planned(p), p.module
    state = plan.infer(p.x)[1]
    out = np.empty_like(p.d_out)
    frozen = out.copy()
    frozen.flags.writeable = False
    memory = np.zeros(100, np.float32)
    cases = [
        (lambda: plan.infer(p.x[:3]), ValueError, "x must have shape (T, B, I) = (4, 3, 3), found (3, 3, 3)"),
        (lambda: plan.infer(p.x[:, 0]), ValueError, "x must have shape"),
        (lambda: plan.infer(p.x.astype(float)), TypeError, "x is float64, but the plan is float32"),
        (lambda: plan.infer(p.x, out=out[:3]), ValueError, "out must have shape"),
        (lambda: plan.infer(p.x, out=frozen), ValueError, "out is read-only"),
        (lambda: plan.infer(p.x, out=np.asfortranarray(out)), ValueError, "out must be C-contiguous"),
        (
            lambda: plan.infer(memory[:36].reshape(4, 3, 3), out=memory[35:95].reshape(4, 3, 5)),
            ValueError,
            "out overlaps x",
        ),
        (lambda: plan.infer(p.x, (state[0],)), ValueError, "tuple (h, c) of 2"),
        (lambda: plan.infer(p.x, p.x), TypeError, "state must be None or a tuple (h, c)"),
        (lambda: plan.loss_and_grad(p.x, p.y[:3]), ValueError, "y must have shape"),
        (lambda: plan.update({}), ValueError, "lstm.plan.update: params: missing weight_ih"),
        (
            lambda: plan.update(module.init_params(3, 6)),
            ValueError,
            "must have shape (4*H, I) = (20, 3), found (24, 3)",
        ),
        (lambda: plan.update(module.init_params(3, 5, float)), TypeError, "is float64, but the plan is float32"),
        (lambda: module.plan({}, 4), ValueError, "lstm.plan: params: missing"),
        (lambda: module.plan(p.params, 0), ValueError, "steps must be at least 1"),
        (lambda: module.plan(p.params, 4, -1), ValueError, "batch must be at least 0"),
        (lambda: module.plan(p.params, 4, 2.0), TypeError, "batch must be an integer"),
        (lambda: module.plan(p.params, 4, threads=0), ValueError, "threads must be at least 1"),
        (lambda: module.plan(p.params, 4, tape="all"), ValueError, "tape must be"),
        (lambda: module.plan(p.params, 2**62, 2**62), MemoryError, "lstm"),
        (lambda: module.plan(p.params, 2**80), MemoryError, "lstm"),
        (
            lambda: module.plan({**p.params, "bias": p.params["bias"].astype(float)}, 4),
            TypeError,
            "params['weight_ih'] is",
        ),
    ]
    for call, error, words in cases:
        with pytest.raises(error) as caught:
            call()
        assert words in str(caught.value)
    same(plan.infer(p.x), module.infer(p.x, p.params))


def test_out_inside_of_the_plan():
    p = Problem(load("lstm"), 1, 5, units=3)
    plan = planned(p)
    out, state = plan.infer(p.x)
    same(plan.infer(p.x, out=out), p.module.infer(p.x, p.params))
    with pytest.raises(ValueError, match="overlaps an array of the plan"):
        plan.infer(p.x, state, out=state[0][None])


def test_an_output_that_lies_in_the_input():
    """Refused however the input lies, also where it was copied."""
    p = Problem(load("lstm"), 4, 4, inputs=4, units=4)
    plan, memory = planned(p), np.zeros((4, 4, 4))
    for x in (memory, memory.transpose(1, 0, 2), memory[..., ::-1]):
        for infer in (plan.infer, lambda x, out: p.module.infer(x, p.params, out=out)):
            with pytest.raises(ValueError, match="out overlaps x"):
                infer(x, out=memory)


def test_one_call_at_a_time():
    """A second thread gets an error, not wrong numbers; different plans run at once."""
    p = Problem(load("lstm"), 6, 3)
    plan = planned(p)
    plan._running.acquire()
    for call in (lambda: plan.infer(p.x), lambda: plan.loss_and_grad(p.x, p.y), plan.update):
        with pytest.raises(RuntimeError, match=r"lstm\.plan\.\w+: the plan is running"):
            call()
    plan._running.release()
    expected = p.module.loss_and_grad(p.x, p.y, p.params)
    failures = []

    def work():
        own = planned(p)
        for _ in range(200):
            try:
                same(own.loss_and_grad(p.x, p.y), expected)
            except BaseException as error:
                failures.append(error)
                raise

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


def test_what_a_plan_says_of_itself():
    p = Problem(load("lstm"), 6, None, np.float32)
    plan = planned(p)
    assert repr(plan) == "<Plan of lstm: T=6, I=3, H=5, no batch axis, float32>"
    assert (plan.steps, plan.batch, plan.dtype) == (6, None, np.float32)
    before = plan.nbytes
    plan.infer(p.x)
    between = plan.nbytes
    plan.loss_and_grad(p.x, p.y)
    assert 0 < before < between < plan.nbytes
    assert planned(Problem(p.module, 6, 2)).batch == 2
