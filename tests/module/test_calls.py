"""Calls of a generated module: what goes in, what comes out, and that calls do not disturb one another."""

import inspect
import os
import subprocess
import sys
import threading

import numpy as np
import pytest

T, B, I, H = 7, 3, 5, 4
F32, F64 = np.float32, np.float64


@pytest.fixture(scope="module")
def lstm():
    return pytest.importorskip("derive.generated.lstm")


@pytest.fixture(scope="module")
def rnn():
    return pytest.importorskip("derive.generated.rnn")


def normal(shape, dtype=F32, seed=1):
    return np.random.default_rng(seed).normal(size=shape).astype(dtype)


def problem(module, steps=T, batch=B, dtype=F32, seed=1):
    """x, y, params, state with a batch axis."""
    return (
        normal((steps, batch, I), dtype, seed),
        normal((steps, batch, H), dtype, seed + 1),
        module.init_params(I, H, dtype=dtype, seed=seed),
        tuple(normal((batch, H), dtype, seed + 2 + k) for k in range(len(module.STATES))),
    )


def equal(a, b):
    """The same structure and the same bits."""
    assert type(a) is type(b)
    if isinstance(a, dict):
        assert list(a) == list(b)
        a, b = tuple(a.values()), tuple(b.values())
    if isinstance(a, (tuple, list)):
        assert len(a) == len(b)
        for left, right in zip(a, b, strict=True):
            equal(left, right)
    elif isinstance(a, np.ndarray):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)
    else:
        assert a == b


def everything(module, x, y, params, state):
    """The results of all calls for one problem."""
    d_out = normal(y.shape, y.dtype.newbyteorder("="), 9)
    out, final, tape = module.forward(x, params, state)
    return (
        module.infer(x, params, state),
        (out, final),
        module.backward(tape, d_out),
        module.loss_and_grad(x, y, params, state),
    )


def test_names(lstm):
    assert lstm.PARAMS == {"weight_ih": ("4*H", "I"), "weight_hh": ("4*H", "H"), "bias": ("4*H",)}
    assert lstm.STATES == ("h", "c")
    assert lstm.GATES == ("i", "f", "g", "o")


def test_signatures(lstm):
    assert str(inspect.signature(lstm.init_params)).startswith("(input_size: int, hidden_size: int, dtype=")
    expected = {
        "infer": ["x", "params", "state", "threads", "out", "lengths"],
        "forward": ["x", "params", "state", "threads", "out", "lengths", "tape"],
        "backward": ["tape", "d_out", "d_state", "threads", "wrt"],
        "loss_and_grad": ["x", "y", "params", "state", "threads", "lengths", "tape", "wrt"],
        "plan": ["params", "steps", "batch", "threads", "tape", "wrt"],
        "memory": ["input_size", "hidden_size", "steps", "batch", "dtype", "op", "tape", "threads"],
    }
    for name, parameters in expected.items():
        assert [*inspect.signature(getattr(lstm, name)).parameters] == parameters
    for name in ("init_params", *expected):
        assert len(inspect.getdoc(getattr(lstm, name))) > 200


@pytest.mark.parametrize("dtype", [F32, F64])
def test_shapes_and_dtypes(lstm, dtype):
    x, y, params, state = problem(lstm, dtype=dtype)
    out, final, tape = lstm.forward(x, params, state)
    assert out.shape == (T, B, H) and [s.shape for s in final] == [(B, H)] * 2
    grads = lstm.backward(tape, y)
    loss, loss_grads = lstm.loss_and_grad(x, y, params, state)
    assert type(loss) is float
    expected = {"x": x, **params, "h0": state[0], "c0": state[1]}
    for found in (grads, loss_grads):
        assert {n: g.shape for n, g in found.items()} == {n: a.shape for n, a in expected.items()}
    for array in (out, *final, *grads.values(), *loss_grads.values()):
        assert type(array) is np.ndarray and array.dtype == dtype
        assert array.flags.c_contiguous and array.flags.writeable and array.flags.owndata


@pytest.mark.parametrize("dtype", [F32, F64])
def test_calls_agree(lstm, dtype):
    x, y, params, state = problem(lstm, dtype=dtype)
    out, final = lstm.infer(x, params, state)
    out_f, final_f, tape = lstm.forward(x, params, state)
    loss, grads = lstm.loss_and_grad(x, y, params, state)
    tolerance = 1e3 * np.finfo(dtype).eps
    np.testing.assert_allclose(out, out_f, rtol=tolerance, atol=tolerance)
    np.testing.assert_allclose(final, final_f, rtol=tolerance, atol=tolerance)
    np.testing.assert_allclose(out[-1], final[0])
    np.testing.assert_allclose(loss, float(((out - y) ** 2).sum()), rtol=tolerance)
    for name, gradient in lstm.backward(tape, 2 * (out_f - y)).items():
        np.testing.assert_allclose(grads[name], gradient, rtol=tolerance, atol=tolerance, err_msg=name)


@pytest.mark.parametrize("dtype", [F32, F64])
def test_against_pytorch(lstm, dtype):
    torch = pytest.importorskip("torch")
    x, y, params, state = problem(lstm, dtype=dtype)
    peer = torch.nn.LSTM(I, H, dtype=getattr(torch, np.dtype(dtype).name))
    with torch.no_grad():
        peer.weight_ih_l0.copy_(torch.from_numpy(params["weight_ih"]))
        peer.weight_hh_l0.copy_(torch.from_numpy(params["weight_hh"]))
        peer.bias_ih_l0.copy_(torch.from_numpy(params["bias"]))
        peer.bias_hh_l0.zero_()
    leaves = [torch.from_numpy(a.copy()).requires_grad_() for a in (x, *state)]
    out, (h, c) = peer(leaves[0], (leaves[1][None], leaves[2][None]))
    loss = ((out - torch.from_numpy(y)) ** 2).sum()
    loss.backward()
    expected = dict(zip(("x", "h0", "c0"), (leaf.grad.numpy() for leaf in leaves), strict=True))
    expected |= {
        "weight_ih": peer.weight_ih_l0.grad.numpy(),
        "weight_hh": peer.weight_hh_l0.grad.numpy(),
        "bias": peer.bias_ih_l0.grad.numpy(),
    }
    tolerance = 1e3 * np.finfo(dtype).eps
    found, final = lstm.infer(x, params, state)
    np.testing.assert_allclose(found, out.detach().numpy(), rtol=tolerance, atol=tolerance)
    np.testing.assert_allclose(final, (h[0].detach().numpy(), c[0].detach().numpy()), rtol=tolerance, atol=tolerance)
    found_loss, grads = lstm.loss_and_grad(x, y, params, state)
    np.testing.assert_allclose(found_loss, loss.item(), rtol=tolerance)
    assert grads.keys() == expected.keys()
    for name, gradient in grads.items():
        np.testing.assert_allclose(gradient, expected[name], rtol=tolerance, atol=tolerance, err_msg=name)


def test_gradient_of_the_last_state(lstm):
    """d_state alone, one entry alone, and both together: backward is linear in them."""
    x, y, params, state = problem(lstm, dtype=F64)
    _, _, tape = lstm.forward(x, params, state)
    d_h, d_c = normal((B, H), F64, 11), normal((B, H), F64, 12)
    only_h = lstm.backward(tape, None, (d_h, None))
    only_c = lstm.backward(tape, None, [None, d_c])
    both = lstm.backward(tape, y, (d_h, d_c))
    rest = lstm.backward(tape, y)
    equal(only_h, lstm.backward(tape, np.zeros_like(y), (d_h, np.zeros_like(d_h))))
    for name in both:
        np.testing.assert_allclose(both[name], only_h[name] + only_c[name] + rest[name], rtol=1e-12, atol=1e-12)
    equal(lstm.backward(tape, None, (None, None))["x"], np.zeros_like(x))
    d_last = np.zeros_like(y)
    d_last[-1] = d_h
    for name, gradient in lstm.backward(tape, d_last).items():
        np.testing.assert_allclose(only_h[name], gradient, rtol=1e-12, atol=1e-12)


def test_no_state_is_zeros(lstm):
    x, y, params, state = problem(lstm)
    zeros = tuple(np.zeros_like(s) for s in state)
    expected = everything(lstm, x, y, params, zeros)
    equal(everything(lstm, x, y, params, None), expected)
    equal(everything(lstm, x, y, params, (None, None)), expected)
    equal(everything(lstm, x, y, params, [None, zeros[1]]), expected)


@pytest.mark.parametrize("dtype", [F32, F64])
def test_without_batch_axis(lstm, dtype):
    x, y, params, state = problem(lstm, batch=1, dtype=dtype)
    infer, forward, backward, loss = everything(lstm, x, y, params, state)
    squeezed = (
        (infer[0][:, 0], tuple(s[0] for s in infer[1])),
        (forward[0][:, 0], tuple(s[0] for s in forward[1])),
        {**backward, "x": backward["x"][:, 0], "h0": backward["h0"][0], "c0": backward["c0"][0]},
        (loss[0], {**loss[1], "x": loss[1]["x"][:, 0], "h0": loss[1]["h0"][0], "c0": loss[1]["c0"][0]}),
    )
    for flat in (state, tuple(s[0] for s in state), (state[0], state[1][0])):
        equal(everything(lstm, x[:, 0], y[:, 0], params, flat), squeezed)
    _, _, tape = lstm.forward(x[:, 0], params, state)
    rows = (normal((1, H), dtype), normal((1, H), dtype))
    equal(lstm.backward(tape, y[:, 0], rows), lstm.backward(tape, y[:, 0], tuple(r[0] for r in rows)))
    out = np.empty((T, H), dtype)
    assert lstm.infer(x[:, 0], params, state, out=out)[0] is out
    equal(out, squeezed[0][0])
    with pytest.raises(ValueError, match=r"d_out must have shape \(T, H\) = \(7, 4\), found \(7, 1, 4\)"):
        lstm.backward(tape, y)
    with pytest.raises(
        ValueError, match=r"state\[0\] \(h\) must have shape \(H,\) or \(1, H\) = \(4,\), found \(3, 4\)"
    ):
        lstm.infer(x[:, 0], params, (normal((3, H), dtype), None))


def test_one_state(rnn):
    x, y, params, (h,) = problem(rnn)
    _, final, tape = rnn.forward(x, params, (h,))
    assert type(final) is tuple and len(final) == 1
    expected = everything(rnn, x, y, params, (h,))
    equal(everything(rnn, x, y, params, h), expected)
    equal(everything(rnn, x, y, params, [h]), expected)
    assert [*expected[2]] == ["x", *rnn.PARAMS, "h0"]
    d_h = normal((B, H), seed=5)
    equal(rnn.backward(tape, y, d_h), rnn.backward(tape, y, (d_h,)))
    equal(rnn.infer(x[:, 0], params, h[:1]), rnn.infer(x[:, 0], params, h[0]))
    with pytest.raises(ValueError, match="out overlaps"):
        rnn.infer(normal((1, B, I)), params, h, out=h.reshape(1, B, H))


def test_empty_batch(lstm):
    x, y, params, state = problem(lstm, batch=0)
    out, final, tape = lstm.forward(x, params, state)
    assert out.shape == (T, 0, H) and [s.shape for s in final] == [(0, H)] * 2
    out, final = lstm.infer(x, params)
    assert out.shape == (T, 0, H) and [s.shape for s in final] == [(0, H)] * 2
    loss, loss_grads = lstm.loss_and_grad(x, y, params, state)
    assert loss == 0.0 and type(loss) is float
    for grads in (loss_grads, lstm.backward(tape, y), lstm.backward(tape, None, state)):
        assert grads["x"].shape == (T, 0, I) and grads["h0"].shape == grads["c0"].shape == (0, H)
        for name, array in params.items():
            equal(grads[name], np.zeros_like(array))
    assert tape.nbytes == 0 and "B=0" in repr(tape)
    with pytest.raises(ValueError, match="state"):
        lstm.infer(x, params, problem(lstm, batch=1)[3])


def layouts(array):
    """The same numbers, differently in memory."""
    yield "fortran", np.asfortranarray(array)
    yield "reversed", array[::-1].copy()[::-1]
    wide = np.zeros((*array.shape[:-1], 2 * array.shape[-1]), array.dtype)
    wide[..., ::2] = array
    yield "strided", wide[..., ::2]
    raw = np.zeros(array.nbytes + 1, np.uint8)[1:]
    raw[:] = np.frombuffer(array.tobytes(), np.uint8)
    yield "misaligned", raw.view(array.dtype).reshape(array.shape)
    read_only = array.copy()
    read_only.flags.writeable = False
    yield "read-only", read_only

    class Subclass(np.ndarray):
        pass

    yield "subclass", array.view(Subclass)


@pytest.mark.parametrize("layout", ["fortran", "reversed", "strided", "misaligned", "read-only", "subclass"])
@pytest.mark.parametrize("which", ["x", "y", "params", "state", "all"])
def test_layout_of_inputs_does_not_matter(lstm, layout, which):
    x, y, params, state = problem(lstm)
    expected = everything(lstm, x, y, params, state)

    def change(array, name):
        return dict(layouts(array))[layout] if which in (name, "all") else array

    changed = (
        change(x, "x"),
        change(y, "y"),
        {name: change(array, "params") for name, array in params.items()},
        tuple(change(array, "state") for array in state),
    )
    found = everything(lstm, *changed)
    equal(found, expected)
    _, _, tape = lstm.forward(x, params, state)
    seeds = y, state
    equal(lstm.backward(tape, change(y, "y"), changed[3]), lstm.backward(tape, *seeds))


def test_broadcast_input(lstm):
    params = lstm.init_params(I, H)
    x = np.broadcast_to(normal((1, 1, I)), (T, B, I))
    equal(lstm.infer(x, params), lstm.infer(x.copy(), params))


def test_inputs_are_not_written(lstm):
    x, y, params, state = problem(lstm)
    for array in (x, y, *params.values(), *state):
        array.flags.writeable = False
    copies = [array.copy() for array in (x, y, *params.values(), *state)]
    everything(lstm, x, y, params, state)
    for array, before in zip((x, y, *params.values(), *state), copies, strict=True):
        equal(array, before)


def test_other_mappings_and_orders_of_params(lstm):
    from collections import ChainMap
    from types import MappingProxyType

    x, y, params, state = problem(lstm)
    expected = everything(lstm, x, y, params, state)
    for mapping in (dict(reversed(params.items())), MappingProxyType(params), ChainMap({}, params)):
        equal(everything(lstm, x, y, mapping, state), expected)


@pytest.mark.parametrize("op", ["infer", "forward"])
def test_out_is_used(lstm, op):
    x, _, params, state = problem(lstm)
    expected, final = lstm.infer(x, params, state)
    out = np.full((T, B, H), np.nan, F32)
    result = getattr(lstm, op)(x, params, state, out=out)
    assert result[0] is out
    np.testing.assert_allclose(out, expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(result[1], final, rtol=1e-5, atol=1e-6)
    whole = np.full((T + 2, B, H), 7, F32)
    getattr(lstm, op)(x, params, state, out=whole[1:-1])
    equal(whole[1:-1], out)
    assert (whole[0] == 7).all() and (whole[-1] == 7).all()


def test_results_do_not_share_memory(lstm):
    x, y, params, state = problem(lstm)
    first, second = everything(lstm, x, y, params, state), everything(lstm, x, y, params, state)

    def flat(value):
        if isinstance(value, np.ndarray):
            return [value]
        entries = value.values() if isinstance(value, dict) else value if isinstance(value, tuple) else ()
        return [array for entry in entries for array in flat(entry)]

    arrays = [*flat(first), *flat(second), x, y, *params.values(), *state]
    for k, a in enumerate(arrays):
        for b in arrays[:k]:
            assert not np.shares_memory(a, b)


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


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e30])
def test_nan_and_inf_go_through(lstm, value):
    x, y, params, state = problem(lstm)
    expected, _ = lstm.infer(x, params, state)
    x[3, 1, 0] = value
    out, _ = lstm.infer(x, params, state)
    equal(out[:3], expected[:3])
    equal(out[:, 0], expected[:, 0])
    assert np.isnan(out[3:, 1]).all() == np.isnan(value)
    if not np.isnan(value):
        assert (np.abs(out[3, 1]) <= 1).all()
    loss, grads = lstm.loss_and_grad(x, y, params, state)
    assert np.isnan(loss) == np.isnan(value)
    assert np.isfinite(grads["x"][:, 0]).all()


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
