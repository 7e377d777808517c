"""Mistakes in what stands on the two sides of an equation, and what a person is told."""

from __future__ import annotations

import math

import numpy as np
import pytest
import sympy as sp
from mistakes import assert_explained, says

from derive.errors import DeriveError
from derive.notation import Sum, cell, j, k, n, t, tanh

MISTAKES = {}


@says("W stands without indices in a formula; write W[t, n]", MISTAKES)
def tensor_without_indices_in_a_product():
    @cell(states="h")
    def mine(x, h, W):
        h[t, n] = Sum(W * x[t, j], j)


@says("b stands without indices", MISTAKES)
def tensor_without_indices_in_a_call():
    @cell(states="h")
    def mine(x, h, b):
        h[t, n] = tanh(b) + h[t - 1, n] * Sum(x[t, j], j)


@says("W stands without indices", MISTAKES)
def tensor_without_indices_in_a_matrix_product():
    @cell(states="h")
    def mine(x, h, W):
        h[t, n] = W @ x[t, j]


@says("b stands without indices", MISTAKES)
def tensor_without_indices_in_a_power():
    @cell(states="h")
    def mine(x, h, b):
        h[t, n] = 2**b * Sum(x[t, j], j)


@says("h[...] = b assigns a tensor without indices", MISTAKES)
def tensor_without_indices_assigned():
    @cell(states="h")
    def mine(x, h, b):
        h[t, n] = b


@says("the function writes no equation; write h[t, n] = ...", MISTAKES)
def assigned_without_indices():
    @cell(states="h")
    def mine(x, h, W):
        h = Sum(W[n, j] * x[t, j], j)  # noqa: F841  (the mistake)


@says("a[r] = ... lacks indices; write a[r][t, n] = ...", MISTAKES)
def gate_assigned_without_indices():
    @cell(states="h", gates="r z")
    def mine(x, h, a, W, r, z):
        for q in (r, z):
            a[q] = Sum(W[q][n, j] * x[t, j], j)


@says("W is one tensor; loop over a tuple of gates", MISTAKES)
def looping_over_a_tensor():
    @cell(states="h", gates="r z")
    def mine(x, h, W, r, z):
        for q in W:
            h[t, n] = q[t, n]


@says("W[...] has 'r' as an index", MISTAKES)
def gate_as_a_string():
    @cell(states="h", gates="r z")
    def mine(x, h, a, W, r, z):
        a["r"][t, n] = Sum(W["r"][n, j] * x[t, j], j)


@says("h[t, n] is assigned twice; give one of the two a new name", MISTAKES)
def assigned_twice():
    @cell(states="h")
    def mine(x, h, W):
        h[t, n] = Sum(W[n, j] * x[t, j], j)
        h[t, n] = h[t - 1, n]


@says("h[t, n] is assigned twice", MISTAKES)
def added_to():
    @cell(states="h")
    def mine(x, h, W):
        h[t, n] = Sum(W[n, j] * x[t, j], j)
        h[t, n] += h[t - 1, n]


@says("h is defined twice for t = 1..T; give one equation a new name", MISTAKES)
def assigned_twice_under_other_names():
    @cell(states="h")
    def mine(x, h, W):
        h[t, n] = Sum(W[n, j] * x[t, j], j)
        h[t, k] = h[t - 1, k]


@says("sinh is no function that an equation may call; there are: abs, atan, clip", MISTAKES)
def unknown_function():
    @cell(states="h")
    def mine(x, h, W):
        h[t, n] = sp.sinh(Sum(W[n, j] * x[t, j], j))


@says("equations call the functions of derive.notation, not those of math or NumPy", MISTAKES)
def numpy_function():
    @cell(states="h")
    def mine(x, h):
        h[t, n] = np.tanh(h[t - 1, n]) + Sum(x[t, j], j)


@says("equations call the functions of derive.notation, not those of math or NumPy", MISTAKES)
def math_function():
    @cell(states="h")
    def mine(x, h):
        h[t, n] = math.tanh(h[t - 1, n]) + Sum(x[t, j], j)


@says("NameError: name 'softsign' is not defined", MISTAKES)
def unknown_python_name():
    @cell(states="h")
    def mine(x, h):
        h[t, n] = softsign(h[t - 1, n]) + Sum(x[t, j], j)  # noqa: F821


@says("has no number as its exponent; write exp(b*log(a))", MISTAKES)
def power_of_a_tensor():
    @cell(states="h")
    def mine(x, h, b):
        h[t, n] = Sum(x[t, j], j) ** b[n]


@says("zoo is no real number", MISTAKES)
def division_by_zero():
    @cell(states="h")
    def mine(x, h):
        h[t, n] = Sum(x[t, j], j) / sp.Integer(0)


@says("I is no real number", MISTAKES)
def imaginary_number():
    @cell(states="h")
    def mine(x, h):
        h[t, n] = sp.I * Sum(x[t, j], j)


@says("the right-hand side of h[t, n] is 'x[t, n]', not an expression", MISTAKES)
def string_on_the_right():
    @cell(states="h")
    def mine(x, h):
        h[t, n] = "x[t, n]"


@says("not an expression", MISTAKES)
def list_on_the_right():
    @cell(states="h")
    def mine(x, h):
        h[t, n] = [h[t - 1, n]]


@says("the right-hand side of h[t, n] is None, not an expression", MISTAKES)
def nothing_on_the_right():
    @cell(states="h")
    def mine(x, h):
        h[t, n] = None


@says("a, z depend on each other at the same time step", MISTAKES)
def cycle_within_a_step():
    @cell(states="h")
    def mine(x, h, a, z):
        a[t, n] = z[t, n] + Sum(x[t, j], j)
        z[t, n] = 2 * a[t, n]
        h[t, n] = a[t, n]


@says("h depends on itself at the same time step", MISTAKES)
def defined_by_itself():
    @cell(states="h")
    def mine(x, h):
        h[t, n] = h[t, n] + Sum(x[t, j], j)


@says("a[j] sums over time, but a cell goes through it step by step", MISTAKES)
def sum_over_time_in_a_cell():
    @cell(states="h")
    def mine(x, h, a):
        a[j] = Sum(x[t, j], t)
        h[t, n] = h[t - 1, n] + Sum(a[j], j)


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda f: f.__name__)
def test_a_mistake_is_explained(mistake):
    assert_explained(mistake, MISTAKES[mistake])


def test_an_error_of_python_keeps_its_cause_and_names_the_line():
    with pytest.raises(DeriveError, match=r"cell mine, line \d+: NameError") as caught:
        unknown_python_name()
    assert isinstance(caught.value.__cause__, NameError)
