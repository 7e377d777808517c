"""The ruler itself: elementary functions, differences and error measures on cases whose answer is known."""

from __future__ import annotations

import warnings

import mpmath
import numpy as np
import pytest

from derive.verify.references import numerics
from derive.verify.references.numerics import MP

POINTS = np.array([-1e4, -800.0, -745.0, -100.0, -20.0, -1.5, -1e-9, 0.0, 1e-9, 0.3, 20.0, 100.0, 800.0, 1e4])


def test_sigmoid_is_accurate_relative_to_its_own_size():
    value = numerics.sigmoid(POINTS)
    exact = numerics.sigmoid(numerics.to_mp(POINTS))
    normal = POINTS > -700
    for v, e in zip(value[normal], exact[normal], strict=True):
        assert abs(MP.convert(v) - e) <= 4 * np.finfo(float).eps * e
    assert np.all(value[~normal] <= 1e-300)


def test_sigmoid_is_silent_and_right_at_the_ends():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for dtype in (np.float32, np.float64):
            value = numerics.sigmoid(np.array([-np.inf, -1e4, 0, 1e4, np.inf, np.nan], dtype))
            np.testing.assert_array_equal(value, np.array([0, 0, 0.5, 1, 1, np.nan], dtype))
            assert value.dtype == dtype


@pytest.mark.parametrize("name", ["sigmoid", "tanh", "exp", "sqrt"])
def test_elementary_functions_agree_across_dtypes_and_pass_a_complex_step(name):
    f = getattr(numerics, name)
    points = np.array([0.01, 0.3, 1.5, 20.0]) if name == "sqrt" else np.array([-20.0, -1.5, -0.01, 0.0, 0.3, 20.0])
    exact = f(numerics.to_mp(points))
    for v, z, e in zip(f(points), f(points.astype(complex)).real, exact, strict=True):
        assert v == pytest.approx(float(e), rel=1e-15, abs=0)
        assert z == pytest.approx(float(e), rel=1e-15, abs=0)
    slope = numerics.complex_step_gradient(lambda x: f(x).sum(), points)
    slope_mp = numerics.mp_gradient(lambda x: f(x).sum(), points)
    for s, e in zip(slope, slope_mp, strict=True):
        assert s == pytest.approx(float(e), rel=1e-13, abs=0)


def test_complex_sigmoid_stays_finite_where_the_exponential_overflows():
    assert np.all(np.isfinite(numerics.complex_step_gradient(lambda x: numerics.sigmoid(x).sum(), POINTS)))


def test_mpmath_numbers_have_50_digits_whatever_the_global_precision_is():
    with mpmath.workdps(5):
        third = numerics.to_mp([mpmath.mpf(1), 1.0, np.float32(1)]) / 3
        error = abs(numerics.tanh(third)[0] - MP.tanh(MP.mpf(1) / 3))
    assert error < MP.mpf(10) ** -49
    assert all(abs(t * 3 - 1) < MP.mpf(10) ** -49 for t in third)


def test_to_mp_is_exact_and_from_mp_is_its_inverse():
    rng = np.random.default_rng(0)
    for dtype in (np.float32, np.float64, np.complex128):
        values = rng.normal(size=(3, 4)).astype(dtype)
        back = numerics.from_mp(numerics.to_mp(values), dtype)
        assert back.dtype == dtype
        np.testing.assert_array_equal(back, values)
    assert numerics.to_mp(0.1).item() == MP.mpf("0.1000000000000000055511151231257827021181583404541015625")


def cubic(x):
    """Sum of x^3 and of all products of neighbours."""
    return (x * x * x).sum() + (x[1:] * x[:-1]).sum()


def test_three_ways_to_differentiate_agree():
    x = np.array([0.5, -2.0, 3.0])
    exact = 3 * x * x + np.array([x[1], x[0] + x[2], x[1]])
    assert numerics.normwise_error(numerics.complex_step_gradient(cubic, x), exact) < 1e-15
    assert numerics.normwise_error(numerics.central_difference(cubic, x), exact) < 1e-9
    assert numerics.normwise_error(numerics.mp_gradient(cubic, x), exact) < 1e-48


def test_a_function_with_an_array_for_value_gives_its_jacobian():
    matrix = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    x = np.array([1.0, -1.0, 0.5])
    for differentiate in (numerics.complex_step_gradient, numerics.central_difference, numerics.mp_gradient):
        jacobian = differentiate(lambda v: matrix @ v, x)
        assert jacobian.shape == (3, 2)
        np.testing.assert_allclose(numerics.from_mp(jacobian), matrix.T, rtol=1e-9)


def test_central_difference_works_in_float32():
    gradient = numerics.central_difference(cubic, np.array([0.5, -2.0], np.float32))
    assert gradient.dtype == np.float32
    np.testing.assert_allclose(gradient, [0.75 - 2.0, 12.0 + 0.5], rtol=1e-3)


def test_normwise_error():
    assert numerics.normwise_error([3.0, 4.0], [3.0, 4.0]) == 0
    assert numerics.normwise_error([3.0, 4.5], [3.0, 4.0]) == pytest.approx(0.1)
    assert numerics.normwise_error([3.0, 4.0 + 1j], [3.0, 4.0]) == pytest.approx(0.2)
    assert numerics.normwise_error([0.0, 0.0], [0.0, 0.0]) == 0
    assert numerics.normwise_error([0.0, 1e-300], [0.0, 0.0]) == np.inf
    assert numerics.normwise_error([], []) == 0
    assert np.isnan(numerics.normwise_error([np.nan, 1.0], [1.0, 1.0]))
    assert np.isnan(numerics.normwise_error([np.nan], [0.0]))
    assert numerics.normwise_error([3e-200, 5e-200], [3e-200, 4e-200]) == pytest.approx(0.2)
    with pytest.raises(ValueError, match=r"\(2,\).*\(3,\)"):
        numerics.normwise_error([1.0, 2.0], [1.0, 2.0, 3.0])


def test_errors_below_the_precision_of_the_values_are_seen():
    third = numerics.to_mp([1.0]) / 3
    assert numerics.normwise_error(np.array([1.0]) / 3, third) == pytest.approx(2.0**-54, rel=1e-10)
    assert numerics.normwise_error(third * (1 + MP.mpf(10) ** -40), third) == pytest.approx(1e-40, rel=1e-6)
    assert numerics.normwise_error(np.float32(1) / np.float32(3), 1 / 3) == pytest.approx(2.0**-25, rel=1e-6)
    assert numerics.in_eps(2.0**-23, np.float32) == 1


def test_condition_scaled_error():
    scaled = numerics.condition_scaled_error
    assert scaled([1.0, 2.0], [1.0, 2.5], [1.0, 10.0]) == pytest.approx(0.05)
    assert scaled([1.0, 0.0], [1.0, 0.0], [1.0, 0.0]) == 0
    assert scaled([1.0, 0.1], [1.0, 0.0], [1.0, 0.0]) == np.inf
    assert np.isnan(scaled([np.nan], [1.0], [1.0]))
    assert np.isnan(scaled([np.nan], [0.0], [0.0]))
    third = numerics.to_mp([1.0]) / 3
    assert scaled(np.array([1.0]) / 3, third, [2 / 3]) == pytest.approx(2.0**-55, rel=1e-10)


def test_float32_state_and_float64_input_give_float64():
    x, params, state = numerics.common(np.zeros((2, 1, 3)), {"w": np.zeros(3, np.float32)}, None, (4,))
    assert x.dtype == params["w"].dtype == state[0].dtype == np.float64
    assert state[0].shape == (1, 4)
