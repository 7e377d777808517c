"""Calls of a generated module: what goes in and what comes out."""

import inspect

import numpy as np
import pytest
from call_tools import F32, F64, B, H, I, T, equal, everything, normal, problem


def test_names(lstm):
    assert lstm.PARAMS == {"weight_ih": ("4*H", "I"), "weight_hh": ("4*H", "H"), "bias": ("4*H",)}
    assert lstm.STATES == ("h", "c")
    assert lstm.GATES == ("i", "f", "g", "o")


def test_signatures(lstm):
    assert str(inspect.signature(lstm.init_params)).startswith("(input_size: int, hidden_size: int, dtype=")
    expected = {
        "infer": ["x", "params", "state", "threads", "out", "lengths", "inputs"],
        "forward": ["x", "params", "state", "threads", "out", "lengths", "tape", "inputs"],
        "backward": ["tape", "d_out", "d_state", "threads", "wrt"],
        "loss_and_grad": ["x", "y", "params", "state", "threads", "lengths", "tape", "wrt", "inputs"],
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
