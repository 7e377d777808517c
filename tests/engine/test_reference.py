"""The interpreter of programs, against the same recurrences written as loops, and in its three kinds of numbers."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest
import sympy as sp
from engine_tools import CELLS, SIZES, STEP, derived, draw, gradients, primal, relative

from derive import ir
from derive.errors import DeriveError
from derive.ir import STEPS, Equation, Program, T, Tensor, span, t
from derive.ir.functions import BY_CLASS, DEFINED, RECORDS, Record, fma, sigmoid
from derive.verify import interpreter as reference

n, k = ir.index("n"), ir.index("k")
H = ir.dimension("H")

EPS = np.finfo(float).eps


def test_the_lstm_is_the_lstm() -> None:
    """Against the equations of the papers, one step after the other; some ten roundings lie between the two."""
    program = primal("lstm")
    values = draw(program, SIZES)
    found = reference.run(program, values, SIZES)
    h, c = values["h_0"], values["c_0"]
    for step in range(SIZES["T"]):
        z = {q: values[f"W_{q}"] @ values["x"][step] + values[f"U_{q}"] @ h + values[f"b_{q}"] for q in "ifgo"}
        i, f, o = (1 / (1 + np.exp(-z[q])) for q in "ifo")
        c = f * c + i * np.tanh(z["g"])
        h = o * np.tanh(c)
        np.testing.assert_allclose(found["h"][step + 1], h, rtol=16 * EPS)
        np.testing.assert_allclose(found["c"][step + 1], c, rtol=16 * EPS)
    np.testing.assert_array_equal(found["h"][0], values["h_0"])
    np.testing.assert_array_equal(found["h_T"], found["h"][-1])


@pytest.mark.parametrize("cell", CELLS)
def test_real_complex_and_50_digits_agree(cell: str) -> None:
    """Real and complex differ by rounding only; 50 digits say how much rounding that is: some tens of units."""
    program = derived(cell)
    sizes = {**SIZES, "T": 2}
    values = draw(program, sizes)
    real = reference.run(program, values, sizes)
    both = reference.run(program, {m: a.astype(complex) for m, a in values.items()}, sizes)
    with mpmath.workdps(50):
        exact = reference.run(
            program, {m: np.vectorize(mpmath.mpf, otypes=[object])(a) for m, a in values.items()}, sizes
        )
    for name in (*program.outputs, *program.primal.outputs):
        assert relative(both[name].real, real[name]) < 1e-13 and not np.any(both[name].imag)
        assert exact[name].dtype == object
        assert relative(real[name], exact[name].astype(float)) < 1e-13, name


@pytest.mark.parametrize("cell", CELLS)
def test_a_sweep_is_its_slices(cell: str) -> None:
    program = derived(cell)
    values = draw(program, SIZES)
    name = "W_i" if "W_i" in values else next(x.name for x in program.of_role("param"))
    swept = np.stack([values[name], 2 * values[name], -values[name]])
    found = reference.run(program, {**values, name: swept}, SIZES)
    for position, value in enumerate(swept):
        single = reference.run(program, {**values, name: value}, SIZES)
        for gradient in gradients(program):
            np.testing.assert_allclose(found[gradient][position], single[gradient], rtol=1e-13, atol=1e-15)


def test_sweeps_of_other_lengths_are_refused() -> None:
    values = draw(primal("rnn"), SIZES)
    values["W"], values["b"] = np.stack([values["W"]] * 3), np.stack([values["b"]] * 4)
    with pytest.raises(DeriveError, match="swept over 3 and over 4"):
        reference.run(primal("rnn"), values, SIZES)


@pytest.mark.parametrize(
    ("name", "shape"), [("W", (2, 3)), ("x", (4, 2)), ("x", (3, 2, 2, 2)), ("b", ()), ("h_0", (3, 1))]
)
def test_a_wrong_shape_is_explained(name: str, shape: tuple[int, ...]) -> None:
    values = {**draw(primal("rnn"), SIZES), name: np.zeros(shape)}
    with pytest.raises(DeriveError) as caught:
        reference.run(primal("rnn"), values, SIZES)
    message = str(caught.value)
    assert f"rnn: {name} must have shape" in message and f"found {shape}" in message


def test_a_missing_value_is_explained() -> None:
    values = draw(primal("rnn"), SIZES)
    del values["U"]
    with pytest.raises(DeriveError, match=r"rnn: no value for the input U \(H, H\)"):
        reference.run(primal("rnn"), values, SIZES)


def test_an_unknown_function_is_explained() -> None:
    x, y = Tensor("x", (H,), (n,), "input", STEPS), Tensor("y", (H,), (n,), time=STEPS)
    program = Program("small", {"x": x, "y": y}, (Equation(y.at(), sp.sinh(x.at()), "E1", STEPS),), ("y",))
    with pytest.raises(DeriveError, match="sinh"):
        reference.run(program, {"x": np.ones((2, 3))}, {"T": 2, "H": 3})


# -- what time means ---------------------------------------------------------------------------------------------------


def one_equation(rhs: sp.Expr, x: Tensor, y: Tensor) -> np.ndarray:
    program = Program("small", {x.name: x, y.name: y}, (Equation(y.at(), rhs, "E1", y.time),), (y.name,))
    steps = 4 - int(x.time[0]) if x.time else 3
    values = {x.name: np.arange(1.0, 1 + steps * 2).reshape(steps, 2)}
    return reference.run(ir.verify(program), values, {"T": 3, "H": 2})[y.name]


X = Tensor("x", (H,), (n,), "input", STEPS)
ALL = Tensor("y", (H,), (n,), time=(sp.Integer(0), T))


def test_what_is_read_outside_of_its_span_is_zero() -> None:
    np.testing.assert_array_equal(one_equation(X.at(t + 1), X, ALL), [[1, 2], [3, 4], [5, 6], [0, 0]])
    np.testing.assert_array_equal(one_equation(X.at(), X, ALL), [[0, 0], [1, 2], [3, 4], [5, 6]])
    np.testing.assert_array_equal(one_equation(1 + X.at(), X, ALL)[0], [1, 1])


def test_a_product_with_a_factor_outside_of_its_span_is_zero_whatever_the_others_are() -> None:
    """0 times 1/0: the adjoint of 1/z lives where z does, and nothing is said about it anywhere else."""
    with np.errstate(all="raise"):
        np.testing.assert_array_equal(one_equation(X.at(t - 1) / X.at(), X, ALL)[:2], [[0, 0], [0, 0]])
        guarded = one_equation(span(t, 1, T) * sp.log(X.at()), X, ALL)
    np.testing.assert_array_equal(guarded[0], [0, 0])
    np.testing.assert_allclose(guarded[1:], np.log([[1, 2], [3, 4], [5, 6]]), rtol=EPS)


def test_span_is_an_indicator() -> None:
    np.testing.assert_array_equal(one_equation(span(t, T, T) * X.at(), X, ALL)[:, 0], [0, 0, 0, 5])
    np.testing.assert_array_equal(one_equation(span(t, 0, 1) * (1 + X.at()), X, ALL)[:, 0], [1, 2, 0, 0])


def test_sums_over_time_units_and_nothing() -> None:
    total = Tensor("y", (H,), (n,))
    np.testing.assert_array_equal(one_equation(sp.Sum(X.at(), (t, 1, T)), X, total), [9, 12])
    np.testing.assert_array_equal(one_equation(sp.Sum(span(t, T, T) * X.at(), (t, 1, T)), X, total), [5, 6])
    np.testing.assert_array_equal(one_equation(sp.Sum(X.at(t, k), (k, 1, H)) + X.at(), X, ALL)[1], [4, 5])
    np.testing.assert_array_equal(one_equation(sp.Sum(X.at(), (k, 1, H)), X, ALL)[1], [2, 4])


# -- functions ---------------------------------------------------------------------------------------------------------

POINTS = np.array([-30.0, -2.5, -1e-3, 1e-3, 0.7, 3.0, 30.0])


def elementary() -> list[Record]:
    return [*(r for r in RECORDS if r.function is not fma), *(f.record for f in DEFINED)]


def points_for(record: Record) -> list[np.ndarray]:
    """Values of the arguments.  Of several, every combination, so that they are equal, and conditions 0, now and then."""
    if record.c == "log":
        return [np.abs(POINTS)]
    grid = [POINTS] if len(record.arguments) == 1 else [np.array([-2.5, -1e-3, 0.0, 0.7, 3.0])] * len(record.arguments)
    return [a.ravel() for a in np.meshgrid(*grid)]


@pytest.mark.parametrize("record", elementary(), ids=lambda r: r.c)
def test_every_function_has_the_derivative_that_it_claims(record: Record) -> None:
    """Its own NumPy function under the complex step, against what `fdiff` says: both are exact but for rounding.

    Where two pieces meet the complex step keeps to what is stated there.
    """
    points = points_for(record)
    size = {"H": len(points[0]), "T": 1}
    tensors = [Tensor(f"x{p}", (H,), (n,), "input") for p in range(len(points))]
    y = Tensor("y", (H,), (n,))
    given = {x.name: x for x in tensors}
    for p, x in enumerate(tensors):
        slope = np.imag(record.numpy(*(a + 1j * STEP * (p == q) for q, a in enumerate(points)))) / STEP
        claimed = record.function(*(x.at() for x in tensors)).diff(x.at())
        program = Program("small", {**given, "y": y}, (Equation(y.at(), claimed, "E1"),), ("y",))
        found = reference.run(ir.verify(program), dict(zip(given, points, strict=True)), size)["y"]
        # Where tanh is 1 to the last digit, 1 - tanh^2 is rounding; the slope is 1e-26 there, and nothing depends on it.
        np.testing.assert_allclose(found, slope, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("record", elementary(), ids=lambda r: r.c)
def test_every_function_is_the_same_in_50_digits(record: Record) -> None:
    points = points_for(record)
    with mpmath.workdps(50):
        exact = [float(record.mpmath(*(mpmath.mpf(float(v)) for v in p))) for p in zip(*points, strict=True)]
    # 8 units: NumPy's own functions err by up to 4, and a quotient of them by a little more.
    np.testing.assert_allclose(record.numpy(*points), exact, rtol=8 * EPS)


@pytest.mark.parametrize("record", elementary(), ids=lambda r: r.c)
def test_the_complex_step_of_50_digits_is_that_of_numpy(record: Record) -> None:
    points = points_for(record)
    for moved in range(len(points)):
        with mpmath.workdps(50):
            step = mpmath.mpc(0, mpmath.mpf(10) ** -40)
            values = [
                record.mpmath(*(mpmath.mpf(float(v)) + (step if p == moved else 0) for p, v in enumerate(row)))
                for row in zip(*points, strict=True)
            ]
            exact = [float(mpmath.im(v) * mpmath.mpf(10) ** 40) for v in values]
        found = np.imag(record.numpy(*(a + 1j * STEP * (p == moved) for p, a in enumerate(points)))) / STEP
        np.testing.assert_allclose(found, exact, rtol=1e-12, atol=1e-15)


def test_a_constant_of_mathematics_has_as_many_digits_as_are_asked_for() -> None:
    x, y = Tensor("x", (H,), (n,), "input"), Tensor("y", (H,), (n,))
    rhs = x.at() * 2 / sp.sqrt(sp.pi) + sp.Rational(1, 3)
    program = Program("small", {"x": x, "y": y}, (Equation(y.at(), rhs, "E1"),), ("y",))
    with mpmath.workdps(50):
        one = np.array([mpmath.mpf(1)], dtype=object)
        (found,) = reference.run(ir.verify(program), {"x": one}, {"H": 1, "T": 1})["y"]
        assert abs(found - (2 / mpmath.sqrt(mpmath.pi) + mpmath.mpf(1) / 3)) < mpmath.mpf(10) ** -48


def test_sigmoid_does_not_overflow() -> None:
    """1/(1+exp(-a)) overflows at -800, and so does SymPy's derivative of it; the opaque function does neither."""
    a = sp.Symbol("a", real=True)
    assert sigmoid(a).diff(a) == sigmoid(a) * (1 - sigmoid(a))
    with np.errstate(over="raise", invalid="raise"):
        value = BY_CLASS[sigmoid].numpy(np.array([-800.0, 800.0]))
    np.testing.assert_array_equal(value, [0, 1])
