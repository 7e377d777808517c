"""Mistakes that a person makes with indices and with time, and what they are told."""

from __future__ import annotations

import pytest
import sympy as sp
from mistakes import assert_explained, says

from derive.ir import dimension
from derive.notation import Sum, cell, j, k, n, t, value

MISTAKES = {}


@says("the index j of W[n, j] is neither on the left nor summed", MISTAKES)
def index_neither_left_nor_summed():
    @cell(states="h")
    def mine(x, h, W):
        h[t, n] = W[n, j] * x[t, j] + h[t - 1, n]


@says("in the equation of h[t, n], n is summed and also stands on the left", MISTAKES)
def index_free_and_summed():
    @cell(states="h")
    def mine(x, h, W, U):
        h[t, n] = Sum(W[n, j] * x[t, j], j) + Sum(U[k, n] * h[t - 1, n], n)


@says("j is summed and is summed around it as well", MISTAKES)
def index_summed_twice():
    @cell(states="h")
    def mine(x, h, W):
        h[t, n] = Sum(Sum(W[n, j] * x[t, j], j) * x[t, j], j)


@says("the summed index k stands on no tensor", MISTAKES)
def summed_index_on_no_tensor():
    @cell(states="h")
    def mine(x, h, W):
        h[t, n] = Sum(W[n, j] * x[t, j], j, k) + h[t - 1, n]


@says("names no index; write Sum(..., j)", MISTAKES)
def sum_without_index():
    @cell(states="h")
    def mine(x, h, W):
        h[t, n] = Sum(W[n, j] * x[t, j]) + h[t - 1, n]


@says("cell mine: Sum(..., j): the second argument must be an index such as j, found 'j'", MISTAKES)
def sum_over_a_string():
    @cell(states="h")
    def mine(x, h, W):
        h[t, n] = Sum(W[n, j] * x[t, j], "j")


@says("must be an index such as j, found (j, 1, 3)", MISTAKES)
def sum_with_bounds():
    @cell(states="h")
    def mine(x, h, W):
        h[t, n] = Sum(W[n, j] * x[t, j], (j, 1, 3))


@says("x[j, t] has time in the wrong place; time comes first", MISTAKES)
def time_in_the_wrong_place():
    @cell(states="h")
    def mine(x, h, W):
        h[t, n] = Sum(W[n, j] * x[j, t], j) + h[t - 1, n]


@says("has other indices than W elsewhere", MISTAKES)
def other_indices_than_elsewhere():
    @cell(states="h")
    def mine(x, h, W):
        h[t, n] = Sum(W[n, j] * x[t, j], j) + W[n]


@says("h[n] has other indices than h elsewhere", MISTAKES)
def time_missing():
    @cell(states="h")
    def mine(x, h, W):
        h[t, n] = Sum(W[n, j] * x[t, j], j) + h[n]


@says("an index stands twice in U[n, n]; a diagonal matrix is written as a vector", MISTAKES)
def diagonal():
    @cell(states="h")
    def mine(x, h, W, U):
        h[t, n] = Sum(W[n, j] * x[t, j], j) + U[n, n] * h[t - 1, n]


@says("b[1] is read or defined at 1; an index is a name such as n", MISTAKES)
def number_as_index():
    @cell(states="h")
    def mine(x, h, b):
        h[t, n] = b[1] * Sum(x[t, j], j) + h[t - 1, n]


@says("the index n + 1 of b[n + 1] is neither on the left nor summed", MISTAKES)
def shifted_index():
    @cell(states="h")
    def mine(x, h, b):
        h[t, n] = b[n + 1] * Sum(x[t, j], j) + h[t - 1, n]


@says("h[...] has 't' as an index; use t, n, j, k, ...", MISTAKES)
def string_as_index():
    @cell(states="h")
    def mine(x, h, W):
        h["t", "n"] = Sum(W[n, j] * x[t, j], j)


@says("has slice(None, None, None) as an index", MISTAKES)
def slice_as_index():
    @cell(states="h")
    def mine(x, h, W):
        h[t, :] = Sum(W[n, j] * x[t, j], j)


@says("has Ellipsis as an index", MISTAKES)
def ellipsis_as_index():
    @cell(states="h")
    def mine(x, h, W):
        h[t, ...] = Sum(W[n, j] * x[t, j], j)


@says("n is an argument of the function, so it is a tensor here; rename one of the two", MISTAKES)
def index_that_is_an_argument():
    @cell(states="h")
    def mine(x, h, W, n):
        h[t, n] = Sum(W[n, j] * x[t, j], j)


@says("the index n stands outside of any tensor", MISTAKES)
def index_as_a_number():
    @cell(states="h")
    def mine(x, h, W):
        h[t, n] = n * Sum(W[n, j] * x[t, j], j)


@says("the index j stands outside of any tensor", MISTAKES)
def summed_index_as_a_number():
    @cell(states="h")
    def mine(x, h, W):
        h[t, n] = Sum(j * W[n, j] * x[t, j], j)


@says("the index t stands outside of any tensor", MISTAKES)
def time_as_a_number():
    @cell(states="h")
    def mine(x, h, W):
        h[t, n] = Sum(W[n, j] * x[t, j], j) / t


@says("alpha is neither an argument of the function nor a size (I, H)", MISTAKES)
def unknown_symbol():
    alpha = sp.Symbol("alpha")

    @cell(states="h")
    def mine(x, h, W):
        h[t, n] = alpha * Sum(W[n, j] * x[t, j], j)


@says("K is neither an argument of the function nor a size (I, H)", MISTAKES)
def size_that_is_not_there():
    @cell(states="h")
    def mine(x, h, W):
        h[t, n] = Sum(W[n, j] * x[t, j], j) / dimension("K")


@says("the state c is never assigned; write c[t, n] = ...", MISTAKES)
def state_never_assigned():
    @cell(states="h c")
    def mine(x, h, c, W):
        h[t, n] = Sum(W[n, j] * x[t, j], j) * c[t - 1, n]


@says("the state h has no time index", MISTAKES)
def state_without_time():
    @cell(states="h")
    def mine(x, h, W):
        h[n] = Sum(W[n, j], j)
        x[t, j] = h[j]


@says('z is no state, so it has no value at t = 0; name it in states="h z" or read z[t, ...]', MISTAKES)
def value_read_at_the_step_before():
    @cell(states="h")
    def mine(x, h, W, z):
        z[t, n] = Sum(W[n, j] * x[t, j], j)
        h[t, n] = z[t - 1, n] + h[t - 1, n]


@says("h[t + 1, n] is read at time t + 1; only t and t-1 can be read", MISTAKES)
def read_from_the_future():
    @cell(states="h")
    def mine(x, h, W):
        h[t, n] = Sum(W[n, j] * x[t, j], j) + h[t + 1, n]


@says("the value m is never assigned; write m[t, n] = ... behind value('m')", MISTAKES)
def a_value_without_an_equation():
    @cell(states="h")
    def mine(x, h, W):
        m = value("m")
        h[t, n] = Sum(W[n, j] * x[t, j], j) + m[t, n]


@says("value('m') stands outside of a cell", MISTAKES)
def a_value_outside_of_a_cell():
    value("m")


@says("h[t - 99, n] is read 99 steps back; 64 at most can be", MISTAKES)
def read_from_too_long_ago():
    @cell(states="h")
    def mine(x, h, W):
        h[t, n] = Sum(W[n, j] * x[t, j], j) + h[t - 99, n]


@says("h[t - 2, n] is kept in a state called h_past, and an argument has this name; rename it", MISTAKES)
def a_name_for_what_is_past():
    @cell(states="h")
    def mine(x, h, W, h_past):
        h_past[t, n] = Sum(W[n, j] * x[t, j], j)
        h[t, n] = h_past[t, n] + h[t - 2, n]


@says("h[0, n] is read or defined at 0", MISTAKES)
def read_at_a_fixed_time():
    @cell(states="h")
    def mine(x, h, W):
        h[t, n] = Sum(W[n, j] * x[t, j], j) + h[0, n]


@says("the initial states come by themselves", MISTAKES)
def initial_state_by_hand():
    @cell(states="h")
    def mine(x, h, W):
        h[0, n] = Sum(W[n, j] * x[1, j], j)
        h[t, n] = h[t - 1, n]


@says("defines a value at time t + 1; shift it to h[t, ...] = ...", MISTAKES)
def defined_at_the_next_step():
    @cell(states="h")
    def mine(x, h, W):
        h[t + 1, n] = Sum(W[n, j] * x[t, j], j) + h[t, n]


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda f: f.__name__)
def test_a_mistake_is_explained(mistake):
    assert_explained(mistake, MISTAKES[mistake])
