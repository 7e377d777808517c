"""Bad input to a generated module: a clear exception that names the argument, no crash, nothing changed."""

import copy

import numpy as np
import pytest

T, B, I, H = 6, 2, 3, 4
F32, F64 = np.float32, np.float64


def normal(shape, dtype=F32, seed=1):
    return np.random.default_rng(seed).normal(size=shape).astype(dtype)


@pytest.fixture
def good(lstm):
    """Arguments of every call, by name, that are right."""
    return {
        "x": normal((T, B, I)),
        "y": normal((T, B, H), seed=2),
        "params": lstm.init_params(I, H),
        "state": (normal((B, H), seed=3), normal((B, H), seed=4)),
    }


def arrays_in(value):
    if isinstance(value, np.ndarray):
        yield value
    elif isinstance(value, dict):
        for entry in value.values():
            yield from arrays_in(entry)
    elif isinstance(value, (tuple, list)):
        for entry in value:
            yield from arrays_in(entry)


def snapshot(args):
    # The memory beneath and not the view: a broadcast array of a terabyte has a few bytes.
    return [(a, a.shape, a.dtype, bytes(_owner(a).reshape(-1).view(np.uint8))) for a in arrays_in(args)]


def _owner(array):
    while isinstance(array.base, np.ndarray):
        array = array.base
    return np.ascontiguousarray(array) if array.dtype != object else np.zeros(0)


def refuse(function, args, error, *words):
    """`function(**args)` raises `error` with all `words`, and no array and no dict has changed."""
    before = snapshot(args)
    names = list(args.get("params", ())) if isinstance(args.get("params"), dict) else None
    with pytest.raises(error) as caught:
        function(**args)
    message = str(caught.value)
    for word in words:
        assert word in message, message
    for array, shape, dtype, content in before:
        assert (array.shape, array.dtype) == (shape, dtype)
        assert bytes(_owner(array).reshape(-1).view(np.uint8)) == content
    if names is not None:
        assert list(args["params"]) == names


def _set(name, value):
    def change(args):
        args[name] = value(args) if callable(value) else value

    return change


def _param(name, value):
    def change(args):
        args["params"] = {**args["params"], name: value(args["params"].get(name))}

    return change


def _drop(*names):
    def change(args):
        args["params"] = {k: v for k, v in args["params"].items() if k not in names}

    return change


def _rename(old, new):
    def change(args):
        args["params"] = {new if k == old else k: v for k, v in args["params"].items()}

    return change


SWAPPED = np.dtype(F32).newbyteorder()

# What infer, forward and loss_and_grad read alike: id -> (change, exception, words of the message).
BAD = {
    "x list": (_set("x", [[1.0, 2.0, 3.0]]), TypeError, ["x must be a NumPy array", "list", "np.asarray"]),
    "x scalar": (_set("x", 1.0), TypeError, ["x must be a NumPy array", "float"]),
    "x none": (_set("x", None), TypeError, ["x must be a NumPy array", "NoneType"]),
    "x int": (_set("x", np.ones((T, B, I), int)), TypeError, ["x must be float32 or float64", "int64", "astype"]),
    "x half": (_set("x", np.ones((T, B, I), np.float16)), TypeError, ["x must be float32 or float64", "float16"]),
    "x complex": (_set("x", np.ones((T, B, I), complex)), TypeError, ["x must be", "complex128"]),
    "x object": (_set("x", np.ones((T, B, I), object)), TypeError, ["x must be", "object"]),
    "x swapped": (_set("x", np.ones((T, B, I), SWAPPED)), TypeError, ["x must be", "byte-swapped", SWAPPED.str]),
    "x masked": (_set("x", np.ma.masked_array(np.ones((T, B, I), F32))), TypeError, ["x is a masked array", "filled"]),
    "x size": (
        _set("x", normal((T, B, 7))),
        ValueError,
        ["x.shape[-1] must be equal to input_size. Expected 3", "params['weight_ih']", "got 7"],
    ),
    "x 0D": (_set("x", np.array(1, F32)), ValueError, ["x must be 2D (T, I) or 3D (T, B, I), found 0D"]),
    "x 1D": (_set("x", normal((T,))), ValueError, ["x must be 2D (T, I) or 3D (T, B, I), found 1D: (6,)"]),
    "x 4D": (_set("x", normal((1, T, B, I))), ValueError, ["found 4D: (1, 6, 2, 3)"]),
    "T=0": (_set("x", normal((0, B, I))), ValueError, ["x must have at least one step", "T=0"]),
    "T=0 without batch": (_set("x", normal((0, I))), ValueError, ["x must have at least one step"]),
    "T=0 and B=0": (_set("x", normal((0, 0, I))), ValueError, ["x must have at least one step"]),
    "params list": (_set("params", lambda a: [*a["params"].values()]), TypeError, ["params must be a dict", "list"]),
    "params none": (_set("params", None), TypeError, ["params must be a dict", "NoneType", "lstm.init_params"]),
    "param missing": (_drop("bias"), ValueError, ["params", "missing bias"]),
    "params missing": (_drop("bias", "weight_hh"), ValueError, ["missing weight_hh, bias"]),
    "param unexpected": (_param("zeta", lambda _: normal(3)), ValueError, ["unexpected 'zeta'", "weight_ih"]),
    "param misspelt": (
        _rename("weight_hh", "weigth_hh"),
        ValueError,
        ["missing weight_hh", "unexpected 'weigth_hh'", "did you mean 'weight_hh'?"],
    ),
    "param name int": (_param(3, lambda _: normal(3)), ValueError, ["unexpected 3"]),
    "param list": (_param("bias", lambda b: b.tolist()), TypeError, ["params['bias'] must be a NumPy array", "list"]),
    "param none": (_param("bias", lambda _: None), TypeError, ["params['bias']", "NoneType"]),
    "param dtype": (
        _param("bias", lambda b: b.astype(F64)),
        TypeError,
        ["params['bias'] is float64", "x is float32", "astype(np.float32)"],
    ),
    "param int": (_param("bias", lambda b: b.astype(int)), TypeError, ["params['bias'] is int64", "x is float32"]),
    "param swapped": (_param("bias", lambda b: b.astype(SWAPPED)), TypeError, ["params['bias']", "byte-swapped"]),
    "all params dtype": (
        _set("params", lambda a: {k: v.astype(F64) for k, v in a["params"].items()}),
        TypeError,
        ["params['weight_ih'] is float64", "x is float32"],
    ),
    "x dtype": (_set("x", normal((T, B, I), F64)), TypeError, ["params['weight_ih'] is float32", "x is float64"]),
    "weight_ih transposed": (
        _param("weight_ih", lambda w: w.T),
        ValueError,
        ["params['weight_ih'] must have shape (4*H, I) = (16,", "found (3, 16)"],
    ),
    "weight_ih rows": (
        _param("weight_ih", lambda w: normal((20, I))),
        ValueError,
        ["params['weight_ih'] must have shape (4*H, I) = (16, 3), found (20, 3)"],
    ),
    "weight_ih odd rows": (
        _param("weight_ih", lambda w: normal((15, I))),
        ValueError,
        ["params['weight_ih'] must have shape (4*H, I) = (16, 3), found (15, 3)"],
    ),
    "weight_hh columns": (
        _param("weight_hh", lambda w: normal((4 * H, H + 1))),
        ValueError,
        ["params['weight_hh'] must have shape (4*H, H) = (16, 4), found (16, 5)"],
    ),
    "bias": (
        _param("bias", lambda b: normal((4 * H + 4,))),
        ValueError,
        ["params['bias'] must have shape (4*H,) = (16,), found (20,)"],
    ),
    "bias 2D": (_param("bias", lambda b: b[None]), ValueError, ["params['bias'] must be 1D", "(4*H,)", "2D: (1, 16)"]),
    "H=0": (
        _set("params", {"weight_ih": normal((0, I)), "weight_hh": normal((0, 0)), "bias": normal((0,))}),
        ValueError,
        ["hidden_size must be at least 1"],
    ),
    "I=0": (
        _set("params", lambda a: {**a["params"], "weight_ih": normal((4 * H, 0))}),
        ValueError,
        ["input_size must be at least 1"],
    ),
    "state array": (_set("state", normal((B, H))), TypeError, ["state must be None or a tuple (h, c)", "ndarray"]),
    "state number": (_set("state", 0), TypeError, ["state must be None or a tuple (h, c)", "int"]),
    "state short": (_set("state", lambda a: a["state"][:1]), ValueError, ["tuple (h, c) of 2", "1 entries"]),
    "state long": (_set("state", lambda a: a["state"] * 2), ValueError, ["tuple (h, c) of 2", "4 entries"]),
    "state list entry": (_set("state", ([0.0], None)), TypeError, ["state[0] (h) must be a NumPy array", "list"]),
    "state dtype": (
        _set("state", lambda a: (a["state"][0], a["state"][1].astype(F64))),
        TypeError,
        ["state[1] (c) is float64", "x is float32"],
    ),
    "state size": (
        _set("state", lambda a: (normal((B, H + 1)), a["state"][1])),
        ValueError,
        ["state[0] (h) must have shape (B, H) = (2, 4), found (2, 5)"],
    ),
    "state batch": (
        _set("state", lambda a: (a["state"][0], normal((B + 1, H)))),
        ValueError,
        ["state[1] (c) must have shape (B, H) = (2, 4), found (3, 4)"],
    ),
    "state rank": (_set("state", lambda a: (normal((H,)), None)), ValueError, ["state[0] (h)", "found (4,)"]),
    "threads 0": (_set("threads", 0), ValueError, ["threads must be at least 1, found 0"]),
    "threads negative": (_set("threads", -2), ValueError, ["threads must be at least 1, found -2"]),
    "threads float": (_set("threads", 1.0), TypeError, ["threads must be None or an integer", "1.0"]),
    "threads text": (_set("threads", "2"), TypeError, ["threads must be None or an integer", "'2'"]),
    "threads bool": (_set("threads", True), TypeError, ["threads must be None or an integer", "True"]),
}


@pytest.mark.parametrize("op", ["infer", "forward", "loss_and_grad"])
@pytest.mark.parametrize("case", BAD)
@pytest.mark.parametrize("warm", [False, True], ids=["first call", "after a good call"])
def test_bad_argument(lstm, good, op, case, warm):
    change, error, words = BAD[case]
    args = copy.copy(good)
    if op != "loss_and_grad":
        del args["y"]
    function = getattr(lstm, op)
    if warm:
        function(**args)
    change(args)
    refuse(function, args, error, f"lstm.{op}:", *words)


@pytest.mark.parametrize(
    ("y", "error", "words"),
    [
        (normal((T, B, H + 1)), ValueError, ["y must have shape (T, B, H) = (6, 2, 4), found (6, 2, 5)"]),
        (normal((T, H)), ValueError, ["y must have shape (T, B, H) = (6, 2, 4), found (6, 4)"]),
        (normal((T + 1, B, H)), ValueError, ["y must have shape", "found (7, 2, 4)"]),
        (normal((T, B, H), F64), TypeError, ["y is float64", "x is float32"]),
        ([1.0], TypeError, ["y must be a NumPy array", "list"]),
        (None, TypeError, ["y must be a NumPy array", "NoneType"]),
    ],
)
def test_bad_target(lstm, good, y, error, words):
    refuse(lstm.loss_and_grad, {**good, "y": y}, error, "lstm.loss_and_grad:", *words)


def _read_only(shape):
    array = np.zeros(shape, F32)
    array.flags.writeable = False
    return array


BAD_OUT = {
    "list": (lambda: [0.0], TypeError, ["out must be a NumPy array", "list"]),
    "shape": (lambda: np.zeros((T, B, H + 1), F32), ValueError, ["out must have shape (T, B, H) = (6, 2, 4)", "5)"]),
    "rank": (lambda: np.zeros((T, B * H), F32), ValueError, ["out must have shape", "found (6, 8)"]),
    "dtype": (lambda: np.zeros((T, B, H), F64), TypeError, ["out is float64", "x is float32"]),
    "int": (lambda: np.zeros((T, B, H), int), TypeError, ["out is int64"]),
    "swapped": (lambda: np.zeros((T, B, H), SWAPPED), TypeError, ["out must be", "byte-swapped"]),
    "fortran": (lambda: np.zeros((T, B, H), F32, order="F"), ValueError, ["out must be C-contiguous"]),
    "strided": (lambda: np.zeros((T, B, 2 * H), F32)[:, :, ::2], ValueError, ["out must be C-contiguous"]),
    "misaligned": (
        lambda: np.zeros(T * B * H * 4 + 1, np.uint8)[1:].view(F32).reshape(T, B, H),
        ValueError,
        ["out must be C-contiguous and aligned"],
    ),
    "read-only": (lambda: _read_only((T, B, H)), ValueError, ["out is read-only"]),
}


@pytest.mark.parametrize("op", ["infer", "forward"])
@pytest.mark.parametrize("case", BAD_OUT)
def test_bad_out(lstm, good, op, case):
    make, error, words = BAD_OUT[case]
    del good["y"]
    refuse(getattr(lstm, op), {**good, "out": make()}, error, f"lstm.{op}:", *words)


@pytest.mark.parametrize("op", ["infer", "forward"])
@pytest.mark.parametrize("name", ["x", "x strided", "weight_ih", "weight_hh", "bias", "h", "c"])
def test_out_overlaps_an_input(lstm, op, name):
    """With I = H = B = 4 every input fits into the memory of out; sharing its last element is enough."""
    n = 4
    size = T * n * n
    memory = normal((4 * size,))
    out = memory[:size].reshape(T, n, n)
    last = memory[size - 1 :]
    params = lstm.init_params(n, n)
    x = normal((T, n, n))
    state = [np.zeros((n, n), F32), np.zeros((n, n), F32)]
    if name == "x":
        x = last[:size].reshape(T, n, n)
    elif name == "x strided":
        x = last[: 2 * size : 2].reshape(T, n, n)
    elif name in params:
        shape = params[name].shape
        params[name] = last[: int(np.prod(shape))].reshape(shape)
    else:
        state["hc".index(name)] = last[: n * n].reshape(n, n)
    label = {"h": "state[0]", "c": "state[1]"}.get(name, f"params['{name}']" if name in params else "x")
    args = {"x": x, "params": params, "state": tuple(state), "out": out}
    refuse(getattr(lstm, op), args, ValueError, f"lstm.{op}: out overlaps {label}")


def test_out_in_a_gap_of_x_is_no_overlap(lstm):
    """A common range of addresses is not common memory."""
    memory = normal((9, 1, I))
    x, params = memory[::8], lstm.init_params(I, H)
    expected, _ = lstm.infer(x.copy(), params)
    gap = memory[1:8].reshape(-1)[: 2 * H].reshape(2, 1, H)
    result, _ = lstm.infer(x, params, out=gap)
    assert result is gap
    np.testing.assert_array_equal(gap, expected)


@pytest.fixture
def taped(lstm, good):
    out, state, tape = lstm.forward(good["x"], good["params"], good["state"])
    return out, state, tape


BAD_BACKWARD = {
    "d_out list": (_set("d_out", [1.0]), TypeError, ["d_out must be a NumPy array", "list"]),
    "d_out shape": (
        _set("d_out", normal((T, B, H + 1))),
        ValueError,
        ["d_out must have shape (T, B, H) = (6, 2, 4), found (6, 2, 5)"],
    ),
    "d_out rank": (_set("d_out", normal((T, H))), ValueError, ["d_out must have shape", "found (6, 4)"]),
    "d_out dtype": (_set("d_out", normal((T, B, H), F64)), TypeError, ["d_out is float64", "float32"]),
    "d_out int": (_set("d_out", np.ones((T, B, H), int)), TypeError, ["d_out is int64"]),
    "both none": (_set("d_out", None), ValueError, ["d_out and d_state are both None"]),
    "d_state array": (_set("d_state", normal((B, H))), TypeError, ["d_state must be None or a tuple (h, c)"]),
    "d_state number": (_set("d_state", 1), TypeError, ["d_state must be None or a tuple (h, c)", "int"]),
    "d_state short": (_set("d_state", (None,)), ValueError, ["d_state", "1 entries"]),
    "d_state shape": (
        _set("d_state", (None, normal((B, H + 1)))),
        ValueError,
        ["d_state[1] (c) must have shape (B, H) = (2, 4), found (2, 5)"],
    ),
    "d_state dtype": (_set("d_state", (normal((B, H), F64), None)), TypeError, ["d_state[0] (h) is float64"]),
    "tape none": (_set("tape", None), TypeError, ["tape must be the third result of lstm.forward", "NoneType"]),
    "tape is the output": (_set("tape", normal((T, B, H))), TypeError, ["tape must be", "ndarray"]),
    "threads": (_set("threads", 0), ValueError, ["threads must be at least 1"]),
}


@pytest.mark.parametrize("case", BAD_BACKWARD)
def test_bad_backward(lstm, taped, case):
    change, error, words = BAD_BACKWARD[case]
    args = {"tape": taped[2], "d_out": normal((T, B, H), seed=7)}
    expected = lstm.backward(**args)
    intact = dict(args)
    change(args)
    refuse(lstm.backward, args, error, "lstm.backward:", *words)
    for name, gradient in lstm.backward(**intact).items():
        np.testing.assert_array_equal(gradient, expected[name])


def test_tape_of_another_cell(lstm, rnn):
    x = normal((T, B, I))
    _, _, tape = rnn.forward(x, rnn.init_params(I, H))
    with pytest.raises(ValueError, match=r"lstm\.backward: tape was made by rnn\.forward; use rnn\.backward"):
        lstm.backward(tape, normal((T, B, H)))


def test_tape_of_another_build(lstm):
    cell_type = type(lstm.infer.__self__)
    other = cell_type(lstm.SPEC, lstm._kernels)
    _, _, tape = other.forward(normal((T, B, I)), lstm.init_params(I, H))
    with pytest.raises(ValueError, match="another build of lstm"):
        lstm.backward(tape, normal((T, B, H)))


def huge(*shape):
    """An array of this shape in a few bytes of memory."""
    return np.broadcast_to(np.zeros(1, F32), shape)


@pytest.mark.parametrize("op", ["infer", "forward", "loss_and_grad"])
@pytest.mark.parametrize("log_sizes", [(40, 0), (59, 0), (0, 40), (0, 58), (30, 28)], ids=str)
def test_huge_sizes_are_a_memory_error(lstm, op, log_sizes):
    steps, batch = (2**n for n in log_sizes)
    args = {"x": huge(steps, batch, 1), "params": lstm.init_params(1, H)}
    if op == "loss_and_grad":
        args["y"] = normal((1, 1, H))
    refuse(getattr(lstm, op), args, MemoryError, f"lstm.{op}:", f"T={steps}, B={batch}")


def test_huge_hidden_size_is_a_memory_error(lstm):
    n = 2**28
    params = {"weight_ih": huge(4 * n, 1), "weight_hh": huge(4 * n, n), "bias": huge(4 * n)}
    refuse(lstm.infer, {"x": normal((T, B, 1)), "params": params}, MemoryError, "lstm.infer:")


def test_init_params(lstm):
    params = lstm.init_params(I, H)
    assert {name: a.shape for name, a in params.items()} == {
        "weight_ih": (4 * H, I),
        "weight_hh": (4 * H, H),
        "bias": (4 * H,),
    }
    assert list(params) == list(lstm.PARAMS)
    for name, array in params.items():
        assert array.dtype == F32 and array.flags.c_contiguous and array.flags.writeable
        np.testing.assert_array_equal(array, lstm.init_params(I, H, seed=0)[name])
        np.testing.assert_array_equal(array, lstm.init_params(I, H, F64)[name].astype(F32))
        assert np.abs(array).max() <= 1 / np.sqrt(H)
    assert not np.array_equal(params["weight_hh"], lstm.init_params(I, H, seed=1)["weight_hh"])
    assert lstm.init_params(input_size=np.int64(I), hidden_size=H, dtype="float64")["weight_ih"].dtype == F64


@pytest.mark.parametrize(
    ("args", "kwargs", "error", "words"),
    [
        ((0, H), {}, ValueError, ["input_size must be at least 1, found 0"]),
        ((I, -1), {}, ValueError, ["hidden_size must be at least 1, found -1"]),
        ((I, 2.0), {}, TypeError, ["hidden_size must be an integer, found 2.0"]),
        ((I, "4"), {}, TypeError, ["hidden_size must be an integer, found '4'"]),
        ((I, True), {}, TypeError, ["hidden_size must be an integer, found True"]),
        ((I,), {}, TypeError, ["hidden_size"]),
        ((I, H), {"hiden_size": 3}, TypeError, ["hiden_size", "input_size, hidden_size, dtype, seed"]),
        ((I, H), {"dtype": np.float16}, TypeError, ["dtype must be np.float32 or np.float64"]),
        ((I, H), {"dtype": int}, TypeError, ["dtype must be np.float32 or np.float64"]),
        ((I, H), {"dtype": SWAPPED}, TypeError, ["dtype must be np.float32 or np.float64"]),
        ((I, H), {"dtype": None}, TypeError, ["dtype must be np.float32 or np.float64"]),
        ((I, H), {"dtype": "nonsense"}, TypeError, ["dtype must be np.float32 or np.float64"]),
        ((I, H), {"seed": -1}, ValueError, ["seed"]),
        ((I, H), {"seed": "one"}, TypeError, ["seed"]),
        ((2**62, 2**62), {}, MemoryError, ["parameters need"]),
        ((1, 2**30), {}, MemoryError, ["parameters need"]),
        ((10**30, 1), {}, MemoryError, ["parameters need"]),
    ],
)
def test_bad_init_params(lstm, args, kwargs, error, words):
    with pytest.raises(error) as caught:
        lstm.init_params(*args, **kwargs)
    for word in ["lstm.init_params:", *words]:
        assert word in str(caught.value)


def test_errors_are_the_ones_that_numpy_would_raise():
    runtime = pytest.importorskip("derive.runtime")
    assert issubclass(runtime.ShapeError, ValueError)
    assert issubclass(runtime.DtypeError, TypeError)
