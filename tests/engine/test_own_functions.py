"""`function`: a function of one's own with a declared derivative; what is refused, how it is copied, and what gradients follow."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import sympy as sp

from derive import verify
from derive.errors import DeriveError
from derive.notation import Sum, cell, exp, function, j, k, maximum, n, pi, sigmoid, t, where
from derive.passes.adjoint import vjp
from tests.campaign import quick

spike = function("spike", lambda v: where(v > 0, 1, 0), derivative=lambda v: 1 / (1 + (pi * v) ** 2))


def make(rule: object) -> object:
    @cell(states="s v")
    def mine(x, s, v, W, U):
        v[t, n] = v[t - 1, n] / 2 + Sum(W[n, j] * x[t, j], j) + Sum(U[n, k] * s[t - 1, k], k)
        s[t, n] = rule(v[t, n] - 0.25)  # type: ignore[operator]

    return mine


def test_the_derivative_is_the_declared_one() -> None:
    a = sp.Symbol("a")
    assert spike(a).diff(a) == 1 / (1 + (pi * a) ** 2)
    assert spike(2 * a).diff(a) == 2 / (1 + (2 * pi * a) ** 2)
    record = spike.record
    np.testing.assert_array_equal(record.numpy(np.array([-1.0, 0.0, 2.0])), [0, 0, 1])
    found = record.numpy(np.array([-1.0, 0.0, 2.0]) + 1e-30j)
    np.testing.assert_allclose(found.imag / 1e-30, 1 / (1 + (np.pi * np.array([-1.0, 0.0, 2.0])) ** 2), rtol=1e-15)


def test_it_is_copied_by_its_definition() -> None:
    a = sp.Symbol("a")
    assert pickle.loads(pickle.dumps(spike(a) + 1)) == spike(a) + 1
    again = function("spike", lambda v: where(v > 0, 1, 0), derivative=lambda v: 1 / (1 + (pi * v) ** 2))
    assert again is spike
    other = function("spike", lambda v: where(v > 0, 1, 0), derivative=lambda v: 1 / (1 + v**2))
    assert other(a) != spike(a)


def test_another_rule_is_another_cell() -> None:
    """Its derivative is a part of the mathematics, so that nothing made for another one is taken for it."""
    other = function("spike", lambda v: where(v > 0, 1, 0), derivative=lambda v: 1 / (1 + v**2))
    assert make(spike).program().digest != make(other).program().digest  # type: ignore[attr-defined]
    assert make(spike).program().digest == make(spike).program().digest  # type: ignore[attr-defined]


def test_gradients_are_checked_against_the_declared_rule(tmp_path) -> None:
    """A module that was made with another rule is found out, though finite differences know neither."""
    mine = make(spike)
    module = quick.build(mine, None, tmp_path)
    assert verify.validate(module, mine) == []
    other = make(function("spike", lambda v: where(v > 0, 1, 0), derivative=lambda v: 1 / (1 + v**2)))
    found = verify.validate(module, other)
    assert found
    assert all("gradient" in sentence for sentence in found)


def test_without_a_derivative_it_is_its_formula() -> None:
    a, b = sp.symbols("a b")
    assert function("swish", lambda u: u * sigmoid(u))(a) == a * sigmoid(a)
    assert function("hinge", lambda u, w: maximum(0, u - w))(b, a) == maximum(0, b - a)
    with pytest.raises(DeriveError, match=r"hinge takes 2 arguments, hinge\(u, w\), found 1"):
        function("hinge", lambda u, w: maximum(0, u - w))(a)


def test_a_derivative_of_a_derivative_is_that_of_the_rule() -> None:
    bump = function("bump", lambda v: where(v > 0, 1, 0), derivative=lambda v: exp(-(v**2)))
    a = sp.Symbol("a")
    assert bump(a).diff(a).diff(a) == exp(-(a**2)).diff(a)
    assert vjp(make(bump).program())  # type: ignore[attr-defined]


REFUSED = {
    "no name": (lambda: function(lambda v: v, lambda v: v), "the first argument is its name in quotes"),
    "a name that is none": (lambda: function("my spike", lambda v: v), "has no spelling for C"),
    "a name that is taken": (lambda: function("tanh", lambda v: v), "there is a function of this name already"),
    "no definition": (lambda: function("f", 3), "its definition is a function, such as lambda x"),
    "a class": (lambda: function("f", float), "its definition is a function, such as lambda x"),
    "a default": (lambda: function("f", lambda v, w=1: v), "plain arguments only"),
    "no argument": (lambda: function("f", lambda: 1), "plain arguments only"),
    "no value": (lambda: function("f", lambda v: None), "gives None, expected an expression in v"),
    "an unused argument": (lambda: function("f", lambda v, w: v), "does not depend on its argument w"),
    "an if": (lambda: function("f", lambda v: 1 if v > 0 else 0), "where(a > b, c, d) for an if"),
    "the max of Python": (lambda: function("f", lambda v: max(v, 0)), "maximum(a, b)"),
    "a function of NumPy": (lambda: function("f", lambda v: np.tanh(v)), "not those of math or NumPy"),
    "a foreign function": (lambda: function("f", lambda v: sp.sinh(v)), "sinh is no function"),
    "a foreign symbol": (
        lambda: function("f", lambda v: v + sp.Symbol("q")),
        "reads q, which is none of its arguments",
    ),
    "a derivative that is none": (lambda: function("f", lambda v: v, derivative=1), "derivative= is a function of v"),
    "a derivative of two": (
        lambda: function("f", lambda v: v, derivative=lambda v, w: v),
        "its definition has the arguments v, its derivative v, w",
    ),
    "one slope for two": (
        lambda: function("f", lambda v, w: v * w, derivative=lambda v, w: w),
        "gives 1 slopes, expected one for each of v, w",
    ),
    "a typing error": (lambda: function("f", lambda v: tahn(v)), "did you mean tanh?"),  # type: ignore[name-defined]  # noqa: F821
}


@pytest.mark.parametrize("case", REFUSED)
def test_it_is_refused(case) -> None:
    mistake, message = REFUSED[case]
    with pytest.raises(DeriveError) as caught:
        mistake()
    assert message in str(caught.value)
    assert "function" in str(caught.value)


@pytest.mark.parametrize(
    ("name", "near"), {"sigmod": "sigmoid", "Max": "maximum", "clamp": "clip", "softsing": "softsign"}.items()
)
def test_an_import_that_fails_says_what_was_meant(name: str, near: str) -> None:
    with pytest.raises(ImportError, match=f"did you mean {near}?") as caught:
        exec(f"from derive.notation import {name}")
    assert isinstance(caught.value, DeriveError)
