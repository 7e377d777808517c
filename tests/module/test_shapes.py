"""Arrays of several axes and of none: a state of heads, a matrix as a state, inputs and parameters that are numbers."""

import subprocess

import numpy as np
import pytest
import sympy
from interpreted import interpreted

from derive import build, check
from derive.backends.c import emit
from derive.errors import DeriveError
from derive.flow import measure
from derive.notation import Sum, cell, j, k, n, sigmoid, t, tanh
from derive.pipeline import model
from derive.registry import loss
from derive.runtime import ShapeError
from derive.verify import validation
from derive.verify.oracle import Oracle

d, e = sympy.symbols("d e")


@cell(states="h C", inputs="v", gates="f g")
def heads(x, v, h, C, W, R, b, f, g):
    """Two heads of a matrix memory, an input of two axes and one that is a number."""
    for q in (f, g):
        b_q = Sum(W[q][n, d, j] * x[t, n, j], j) + b[q][n, d]
        q[t, n, d] = sigmoid(b_q + Sum(R[n, d, e] * h[t - 1, n, e], e))
    C[t, n, d, e] = f[t, n, d] * C[t - 1, n, d, e] / 2 + g[t, n, d] * v[t] * h[t - 1, n, e]
    h[t, n, d] = tanh(Sum(C[t, n, d, e], e) + g[t, n, d])


@cell(states="h")
def number(x, h, a, b):
    """Numbers and nothing else."""
    h[t] = tanh(a[()] * x[t] + b[()] * h[t - 1])


@cell(states="h s", inputs="v")
def mixed(x, v, h, s, W, U, a, g):
    """A vector beside numbers."""
    g[t] = sigmoid(a[()] * Sum(x[t, j], j) + v[t] * s[t - 1])
    s[t] = g[t] * s[t - 1] + v[t]
    h[t, n] = tanh(Sum(W[n, j] * x[t, j], j) + g[t] * Sum(U[n, k] * h[t - 1, k], k) + a[()] * s[t])


CELLS = {found.name: found for found in (heads, number, mixed)}

EVERY = pytest.mark.parametrize("name", CELLS)
ORDER = (3, 2, 4, 5)
CASES = {
    "a batch": validation.Case(3, 3, ORDER, tapes=(None, 2), wrts="some", plans=True, dtypes=(np.float32,)),
    "two parts": validation.Case(2, 3, ORDER, turn=1, threads=(2,), plans=True, dtypes=(np.float64,)),
    "lengths": validation.Case(3, 3, ORDER, lengths=(1, 3, 2), plans=True, threads=(None, 2), dtypes=(np.float64,)),
    "one sequence": validation.Case(2, 1, ORDER, wrts="some", plans=True, unbatched=True, dtypes=(np.float32,)),
}
SIZES = {"heads": {"n_size": 2, "j_size": 3, "d_size": 4}, "number": {}, "mixed": {"input_size": 3, "hidden_size": 4}}
X = {"heads": (2, 3), "number": (), "mixed": (3,)}
OUT = {"heads": (2, 4), "number": (), "mixed": (4,)}
STATES = {"heads": ((2, 4), (2, 4, 4)), "number": ((),), "mixed": ((4,), ())}


@pytest.fixture(scope="module")
def modules():
    return {name: interpreted(own) for name, own in CELLS.items()}


def given(modules, name, *lead):
    """A module, its parameters, and the inputs by name."""
    module = modules[name]
    more = {} if name == "number" else {"v": np.ones(lead)}
    return module, module.init_params(**SIZES[name], dtype=np.float64), np.ones((*lead, *X[name])), more


@EVERY
@pytest.mark.parametrize("case", CASES)
def test_every_call_hands_its_arrays_to_the_functions_and_back(modules, name, case):
    """Pointers of parts, rows of a batch, sequences that end early, plans: all results are those of the equations."""
    found = validation._Validation(modules[name], Oracle(CELLS[name], loss("squared_error")), {})
    found.case(CASES[case])
    assert found.sentences() == []


@EVERY
@pytest.mark.parametrize("lead", [(3, 2), (3,), (3, 0)])
def test_results_have_the_axes_of_the_cell(modules, name, lead):
    module, params, x, more = given(modules, name, *lead)
    rows = lead[1:]
    out, state = module.infer(x, params, **more)
    assert out.shape == (*lead, *OUT[name])
    assert tuple(s.shape for s in state) == tuple((*rows, *own) for own in STATES[name])
    loss, grads = module.loss_and_grad(x, out, params, state, **more)
    assert isinstance(loss, float)
    assert {n: grads[n].shape for n in params} == {n: a.shape for n, a in params.items()}
    assert grads["x"].shape == x.shape and [grads[f"{s}0"].shape for s in module.STATES] == [s.shape for s in state]
    plan = module.plan(params, 3, *rows)
    assert plan.infer(x, **more)[0].shape == out.shape
    assert module.memory(**SIZES[name], steps=3, batch=2).out > 0


def test_a_step_of_training_leaves_numbers_that_are_read(modules):
    """NumPy makes scalars of arrays without axes."""
    module, params, x, more = given(modules, "mixed", 3, 2)
    _, grads = module.loss_and_grad(x, np.zeros((3, 2, 4)), params, **more)
    moved = {n: a - 0.1 * grads[n] for n, a in params.items()}
    assert not isinstance(moved["a"], np.ndarray) and params["a"].shape == ()
    out, _ = module.infer(x, moved, **more)
    np.testing.assert_array_equal(out, module.infer(x, {**moved, "a": np.array(moved["a"])}, **more)[0])


@EVERY
def test_parameters_start_as_their_rule_says(modules, name):
    module = modules[name]
    params = module.init_params(**SIZES[name])
    assert {n: a.shape for n, a in params.items()} == {
        "heads": {"weight_ih": (4, 4, 3), "R": (2, 4, 4), "bias": (4, 4)},
        "number": {"a": (), "bias": ()},
        "mixed": {"weight_ih": (4, 3), "weight_hh": (4, 4), "a": ()},
    }[name]
    assert all(type(a) is np.ndarray and a.dtype == np.float32 for a in params.values())
    bound = {"heads": "1/sqrt(N*D)", "number": "U(-1, 1)", "mixed": "1/sqrt(H)"}[name]
    assert bound in module.init_params.__doc__


MISTAKES = {
    "x without an axis": ("heads", {"x": (3, 2)}, "x must be 3D (T, N, J) or 4D (T, B, N, J), found 2D: (3, 2)"),
    "x with an axis too many": ("number", {"x": (3, 2, 1)}, "x must be 1D (T,) or 2D (T, B), found 3D: (3, 2, 1)"),
    "a number of another batch": ("mixed", {"v": (3, 1)}, "v must have shape (T, B) with (T, B) = (3, 2) as x has"),
    "an outer axis": ("heads", {"x": (3, 2, 5, 3)}, "x.shape[-2] must be equal to n_size. Expected 2 (from params["),
    "an inner axis": ("heads", {"x": (3, 2, 2, 4)}, "x.shape[-1] must be equal to j_size. Expected 3 (from params["),
    "a parameter": ("heads", {"R": (2, 4)}, "params['R'] must be 3D with shape (N, D, D), found 2D: (2, 4)"),
    "a number": ("number", {"a": (1,)}, "params['a'] must be 0D with shape (), found 1D: (1,)"),
    "a state": ("heads", {"h": (2, 8)}, "state[0] (h) must have shape (B, N, D) = (2, 2, 4), found (2, 8)"),
    "a number as state": ("number", {"h": (2, 1)}, "state[0] (h) must have shape (B,) = (2,), found (2, 1)"),
    "the output": ("heads", {"out": (3, 2, 8)}, "out must have shape (T, B, N, D) = (3, 2, 2, 4), found (3, 2, 8)"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_messages_name_the_axes(modules, mistake):
    name, shapes, message = MISTAKES[mistake]
    module, params, x, more = given(modules, name, 3, 2)
    wrong = {n: np.ones(shape) for n, shape in shapes.items()}
    params |= {n: a for n, a in wrong.items() if n in params}
    more |= {n: a for n, a in wrong.items() if n in (*more, "out")}
    state = (wrong["h"], *[None] * (len(module.STATES) - 1)) if "h" in wrong else None
    with pytest.raises(ShapeError) as caught:
        module.infer(wrong.get("x", x), params, state, **more)
    assert message in str(caught.value)


def test_a_state_of_one_sequence_may_have_a_batch_axis(modules):
    for name in CELLS:
        module, params, x, more = given(modules, name, 3)
        state = tuple(np.full(shape, 0.25) for shape in STATES[name])
        with_axis = tuple(s[None] for s in state)
        (out, last), (same, again) = (module.infer(x, params, own, **more) for own in (state, with_axis))
        for one, other in zip((out, *last), (same, *again), strict=True):
            np.testing.assert_array_equal(one, other)


@EVERY
def test_the_header_is_c_and_says_the_shapes(name, tmp_path):
    header = emit.c_header(model(CELLS[name]))
    (tmp_path / "it.h").write_text(header)
    strict = ("-std=c99", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-x", "c", "-fsyntax-only")
    subprocess.run(["gcc", *strict, "-Wno-pragma-once-outside-header", tmp_path / "it.h"], check=True)
    for line in {
        "heads": ("x, d_x           (T, B, N, J)", "v, d_v           (T, B)", "C_0, C_T         (B, N, D, D)"),
        "number": ("x, d_x           (T, B)", "h_0, h_T         (B)", "a                ()", "NUMBER_B\n"),
        "mixed": ("y                (T, B, H)", "s_0, s_T         (B)", "MIXED_B, MIXED_I, MIXED_H\n"),
    }[name]:
        assert line in header.replace("  (", " (")


@EVERY
def test_flow_follows_states_of_any_shape(modules, name, monkeypatch):
    """One step of the flow is the Jacobian by differences of `infer`, rows and columns in the order of the states."""
    monkeypatch.setattr(measure, "compiled", lambda cell: modules[name])
    found = measure.flow(CELLS[name], T=1, H=2, samples=1, inputs=0.5)
    sizes = {keyword: 2 for keyword in modules[name].SPEC["dims"].values()}
    params = modules[name].init_params(**sizes, dtype=np.float64)
    steps = measure._Steps(modules[name], params, 1, 2)
    x = 0.5 * np.random.default_rng([0, 1]).normal(size=(1, 1, steps.width))
    first, more = steps.given(x)

    def last(flat):
        ends = np.cumsum(list(steps.sizes.values()))[:-1]
        parts = zip(np.split(flat, ends), steps.states.values(), strict=True)
        state = tuple(part.reshape(1, *row) for part, row in parts)
        return np.concatenate([s.ravel() for s in modules[name].infer(first, params, state, **more)[1]])

    moves = np.eye(steps.total) * 1e-5
    expected = np.stack([(last(move) - last(-move)) / 2e-5 for move in moves], axis=1)
    np.testing.assert_allclose(found.jacobians[0], expected, atol=1e-8)


def test_flow_refuses_states_with_more_numbers_than_it_can_pair(modules, monkeypatch):
    monkeypatch.setattr(measure, "compiled", lambda cell: modules["heads"])
    with pytest.raises(DeriveError, match="its states have 33792 numbers at H=32"):
        measure.flow(CELLS["heads"])


@EVERY
@pytest.mark.parametrize("how", ["interpreted", "compiled"])
def test_gradients_are_those_of_50_digits(modules, name, how):
    """`build` compares its C with the equations; here also with a complex step through them."""
    own, made = CELLS[name], model(CELLS[name])
    module = modules[name] if how == "interpreted" else build(own)
    sizes = {"T": 3, "B": 2, **dict(zip(made.meta["dims"], (2, 3, 4), strict=False))}
    rows = check.compiled(made, module, "mpmath", sizes, lambda drawn: check.fifty_digits(made, drawn))
    assert [row for row in rows if not row.ok] == []
    assert {row.gradient for row in rows} >= {"loss", "x", *module.PARAMS}
