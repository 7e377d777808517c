"""Sums over millions of steps or sequences in float32: as right as over a thousand.

One running sum in float is wrong by up to n/2 units in the last place after n terms, and where all terms are alike their
roundings are too.  The loss is compared with the exactly rounded sum of the squared errors of the outputs that were
computed; the gradients with those of float64.
"""

import math

import numpy as np
import pytest

EPS = float(np.finfo(np.float32).eps)
# What is left are the roundings within a block of 256 rows, all alike where the input is constant: none grows with T or B.
LIMIT_EPS = 40.0
SHAPES = {"steps": (1_000_000, 1), "sequences": (1, 500_000), "both": (20, 50_000)}


def drawn(kind, steps, batch):
    """x and y: all terms alike, or none."""
    if kind == "constant":
        return np.full((steps, batch, 1), 0.3, np.float32), np.zeros((steps, batch, 2), np.float32)
    rng = np.random.default_rng(0)
    return (
        np.abs(rng.normal(size=(steps, batch, 1))).astype(np.float32),
        rng.normal(size=(steps, batch, 2)).astype(np.float32),
    )


def errors(found, expected):
    """Normwise, in eps; a gradient that is zero everywhere has none."""
    return {
        n: float(np.linalg.norm(g - expected[n]) / np.linalg.norm(expected[n])) / EPS
        for n, g in found.items()
        if np.linalg.norm(expected[n])
    }


@pytest.mark.parametrize("kind", ["constant", "drawn"])
@pytest.mark.parametrize("shape", SHAPES)
def test_loss_and_gradients(rnn, shape, kind):
    x, y = drawn(kind, *SHAPES[shape])
    params = rnn.init_params(1, 2, dtype=np.float32, seed=0)
    loss, grads = rnn.loss_and_grad(x, y, params, threads=1)
    out, _ = rnn.infer(x, params, threads=1)
    exact = math.fsum(((out.astype(np.float64) - y) ** 2).ravel())
    assert abs(loss - exact) <= 2 * EPS * exact
    wide = {n: p.astype(np.float64) for n, p in params.items()}
    _, expected = rnn.loss_and_grad(x.astype(np.float64), y.astype(np.float64), wide, threads=1)
    found = errors({n: grads[n] for n in params}, expected)
    assert len(found) >= 2 and max(found.values()) <= LIMIT_EPS, found


def test_segments(rnn):
    """A tape of some states only: the gradients of thousands of segments are added up."""
    x, y = drawn("constant", 200_000, 1)
    params = rnn.init_params(1, 2, dtype=np.float32, seed=0)
    out, _, tape = rnn.forward(x, params, tape=20)
    grads = rnn.backward(tape, 2 * (out - y))
    wide = {n: p.astype(np.float64) for n, p in params.items()}
    _, expected = rnn.loss_and_grad(x.astype(np.float64), y.astype(np.float64), wide)
    found = errors({n: grads[n] for n in params}, expected)
    assert max(found.values()) <= LIMIT_EPS, found


def test_gradients_that_are_added_to_others(rnn):
    """Through C's `accumulate`: what was there is one term of the sum, of one block and of many."""
    ffi, lib = rnn._kernels.ffi, rnn._kernels.lib
    for steps in (5, 30_000):
        x, y = drawn("drawn", steps, 1)
        params = rnn.init_params(1, 2, dtype=np.float32, seed=0)
        out, _, _ = rnn.forward(x, params)
        args, sizes = ffi.new("rnn_f32_args *"), ffi.new("rnn_sizes *")
        args.T, args.B, args.I, args.H = steps, 1, 1, 2
        assert lib.rnn_f32_sizes(args, sizes) == 0
        arrays = {"x": x, "h_0": np.zeros(2, np.float32), "out": out, "d_out": 2 * (out - y), **params}
        arrays |= {"d_h_T": np.zeros(2, np.float32), "d_h_0": np.zeros(2, np.float32)}
        arrays |= {
            "tape": np.zeros(max(sizes.tape // 4, 1), np.float32),
            "workspace": np.zeros(sizes.backward, np.uint8),
        }
        arrays |= {"h_T": np.zeros(2, np.float32)} | {f"d_{n}": np.zeros_like(p) for n, p in params.items()}
        arrays = {n: np.ascontiguousarray(a) for n, a in arrays.items()}
        for n, a in arrays.items():
            setattr(args, n, ffi.cast("void *" if n == "workspace" else "float *", ffi.from_buffer(a)))
        args.workspace_size = sizes.backward
        if sizes.tape:
            copied = np.zeros(max(sizes.forward, 1), np.uint8)
            args.workspace, args.workspace_size = ffi.cast("void *", ffi.from_buffer(copied)), sizes.forward
            assert lib.rnn_f32_forward(args) == 0
            args.workspace = ffi.cast("void *", ffi.from_buffer(arrays["workspace"]))
            args.workspace_size = sizes.backward
        assert lib.rnn_f32_backward(args) == 0
        alone = {n: arrays[f"d_{n}"].copy() for n in params}
        args.accumulate = 1
        for n in params:
            arrays[f"d_{n}"][:] = 3
        assert lib.rnn_f32_backward(args) == 0
        for n in params:
            np.testing.assert_allclose(arrays[f"d_{n}"], 3 + alone[n], rtol=4 * EPS, atol=4 * EPS)


@pytest.mark.parametrize("shape", ["steps", "both"])
def test_an_infinite_loss_is_infinite(rnn, shape):
    """Infinity minus infinity, in what a sum has lost, must not make NaN of it."""
    x, y = drawn("constant", *SHAPES[shape])
    params = rnn.init_params(1, 2, dtype=np.float32, seed=0)
    y[y.shape[0] // 2, 0, 0] = 3e38
    assert rnn.loss_and_grad(x, y, params)[0] == math.inf
    y[y.shape[0] // 2, 0, 0] = math.nan
    assert math.isnan(rnn.loss_and_grad(x, y, params)[0])


def test_threads_do_not_change_the_loss_of_one_sequence(rnn):
    x, y = drawn("drawn", 100_000, 1)
    params = rnn.init_params(1, 2, dtype=np.float32, seed=0)
    one, two = (rnn.loss_and_grad(x, y, params, threads=n) for n in (1, 2))
    assert one[0] == two[0]
    for name, grad in one[1].items():
        np.testing.assert_array_equal(grad, two[1][name])
