"""A problem for any of the small cells, the results of all calls, and a comparison to the bit."""

import numpy as np

T, B, I, H = 7, 3, 5, 4
F32, F64 = np.float32, np.float64


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
