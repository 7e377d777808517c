"""Arrays of any layout are read and none is written; results are the caller's own."""

import numpy as np
import pytest
from call_tools import F32, B, H, I, T, equal, everything, normal, problem


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
