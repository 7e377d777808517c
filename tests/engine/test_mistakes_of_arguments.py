"""Mistakes in the decorator, in the arguments and in what a cell, a loss or a readout has to have; what a person is told."""

from __future__ import annotations

import pytest
from mistakes import assert_explained, says

from derive.errors import DeriveError
from derive.notation import Sum, cell, head, i, j, loss, n, sigmoid, t, tanh

MISTAKES = {}


@says("cell mine: the argument spare is never used", MISTAKES)
def unused_argument():
    @cell(states="h")
    def mine(x, h, W, spare):
        h[t, n] = tanh(Sum(W[n, j] * x[t, j], j) + h[t - 1, n])


@says("the function writes no equation; write h[t, n] = ...", MISTAKES)
def no_equations():
    @cell(states="h")
    def mine(x, h):
        pass


@says("'s' in the decorator is no argument of the function (x, h, W)", MISTAKES)
def wrong_state_in_the_decorator():
    @cell(states="s")
    def mine(x, h, W):
        h[t, n] = Sum(W[n, j] * x[t, j], j)


@says("'f' in the decorator is no argument of the function (x, h, W)", MISTAKES)
def wrong_gate_in_the_decorator():
    @cell(states="h", gates="f")
    def mine(x, h, W):
        h[t, n] = Sum(W[n, j] * x[t, j], j)


@says("'V' in the decorator is no argument of the function (x, h, W)", MISTAKES)
def wrong_public_name_in_the_decorator():
    @cell(states="h", weight_ih="V")
    def mine(x, h, W):
        h[t, n] = Sum(W[n, j] * x[t, j], j)


@says('cell mine: write @cell(states="h") above it', MISTAKES)
def decorator_without_brackets():
    @cell
    def mine(x, h, W):
        h[t, n] = Sum(W[n, j] * x[t, j], j)


@says('write the names in one string, as in states="h c"', MISTAKES)
def states_as_a_tuple():
    @cell(states=("h", "c"))
    def mine(x, h, c):
        h[t, n] = c[t, n]


@says("a cell has at least one state", MISTAKES)
def no_states():
    @cell(states="")
    def mine(x, h, W):
        h[t, n] = Sum(W[n, j] * x[t, j], j)


@says("h stands twice in the decorator", MISTAKES)
def state_named_twice():
    @cell(states="h h")
    def mine(x, h):
        h[t, n] = h[t - 1, n] + Sum(x[t, j], j)


@says("the argument eps=1e-05 is no plain name; arguments are tensors", MISTAKES)
def argument_with_a_value():
    @cell(states="h")
    def mine(x, h, eps=1e-5):
        h[t, n] = h[t - 1, n] + Sum(x[t, j], j) + eps


@says("the argument *h is no plain name", MISTAKES)
def arguments_with_a_star():
    @cell(states="h")
    def mine(x, *h):
        pass


@says("T has a meaning of its own in equations; rename the argument", MISTAKES)
def argument_named_like_time():
    @cell(states="h")
    def mine(x, h, T):
        h[t, n] = T[n] * Sum(x[t, j], j)


@says("the name h_0 is taken, by the state h at one end of time", MISTAKES)
def argument_named_like_an_initial_state():
    @cell(states="h")
    def mine(x, h, h_0):
        h[t, n] = h[t - 1, n] + h_0[n] * Sum(x[t, j], j)


@says("W[r] and the argument W_r would have one name; rename one", MISTAKES)
def argument_named_like_a_gate_of_a_family():
    @cell(states="h", gates="r")
    def mine(x, h, W, W_r, r):
        r[t, n] = sigmoid(Sum(W[r][n, j] * x[t, j], j) + Sum(W_r[n, j] * x[t, j], j))
        h[t, n] = r[t, n]


@says("expected a prediction, a target and at last a scalar L[()] = ...", MISTAKES)
def loss_that_is_no_number():
    @loss
    def mine(h, y, e):
        e[t] = Sum((h[t, n] - y[t, n]) ** 2, n)


@says("expected a prediction, a target and at last a scalar L[()] = ...", MISTAKES)
def loss_without_target():
    @loss
    def mine(h, L):
        L[()] = Sum(Sum(h[t, n], n), t)


@says("h[t - 1, n] is read at t-1 but h is no state", MISTAKES)
def head_with_memory():
    @head()
    def mine(h, V, p):
        p[t, i] = Sum(V[i, n] * h[t - 1, n], n)


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda f: f.__name__)
def test_a_mistake_is_explained(mistake):
    assert_explained(mistake, MISTAKES[mistake])


def test_joining_a_head_that_reuses_a_name_or_reads_another_shape():
    @cell(states="h")
    def mine(x, h, W):
        h[t, n] = tanh(Sum(W[n, j] * x[t, j], j) + h[t - 1, n])

    @head()
    def clash(h, W, p):
        p[t, i] = Sum(W[i, n] * h[t, n], n)

    @head()
    def matrix(y, V, p):
        p[t, i] = Sum(V[n] * y[t, n, i], n)

    with pytest.raises(DeriveError, match="W means two things"):
        mine.then(clash, "both")
    with pytest.raises(DeriveError, match="2 axes beside time, h has 1"):
        mine.then(matrix, "both")
