"""What a person may write in a cell file, and what they are told when it means nothing."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest
import sympy as sp
from engine_tools import SIZES, draw, relative

from derive import notation, reference, registry
from derive.errors import DeriveError
from derive.interface import public_name
from derive.ir import ROW, T, dimension
from derive.notation import H, Rational, Sum, cell, exp, head, i, j, k, loss, m, n, sigmoid, sqrt, t, tanh

# -- mistakes ---------------------------------------------------------------------------------------------------------
# Each is a cell that a person could have written, and what the message must say: the place, and what to do.


def unused_argument():
    @cell(states="h")
    def mine(x, h, W, spare):
        h[t, n] = tanh(Sum(W[n, j] * x[t, j], j) + h[t - 1, n])


def index_neither_left_nor_summed():
    @cell(states="h")
    def mine(x, h, W):
        h[t, n] = W[n, j] * x[t, j] + h[t - 1, n]


def index_free_and_summed():
    @cell(states="h")
    def mine(x, h, W, U):
        h[t, n] = Sum(W[n, j] * x[t, j], j) + Sum(U[k, n] * h[t - 1, n], n)


def index_summed_twice():
    @cell(states="h")
    def mine(x, h, W):
        h[t, n] = Sum(Sum(W[n, j] * x[t, j], j) * x[t, j], j)


def summed_index_on_no_tensor():
    @cell(states="h")
    def mine(x, h, W):
        h[t, n] = Sum(W[n, j] * x[t, j], j, k) + h[t - 1, n]


def sum_without_index():
    @cell(states="h")
    def mine(x, h, W):
        h[t, n] = Sum(W[n, j] * x[t, j]) + h[t - 1, n]


def sum_over_a_string():
    @cell(states="h")
    def mine(x, h, W):
        h[t, n] = Sum(W[n, j] * x[t, j], "j")


def sum_with_bounds():
    @cell(states="h")
    def mine(x, h, W):
        h[t, n] = Sum(W[n, j] * x[t, j], (j, 1, 3))


def state_never_assigned():
    @cell(states="h c")
    def mine(x, h, c, W):
        h[t, n] = Sum(W[n, j] * x[t, j], j) * c[t - 1, n]


def state_without_time():
    @cell(states="h")
    def mine(x, h, W):
        h[n] = Sum(W[n, j], j)
        x[t, j] = h[j]


def value_read_at_the_step_before():
    @cell(states="h")
    def mine(x, h, W, z):
        z[t, n] = Sum(W[n, j] * x[t, j], j)
        h[t, n] = z[t - 1, n] + h[t - 1, n]


def input_read_at_the_step_before():
    @cell(states="h")
    def mine(x, h, W):
        h[t, n] = Sum(W[n, j] * x[t - 1, j], j) + h[t - 1, n]


def read_from_the_future():
    @cell(states="h")
    def mine(x, h, W):
        h[t, n] = Sum(W[n, j] * x[t, j], j) + h[t + 1, n]


def read_two_steps_back():
    @cell(states="h")
    def mine(x, h, W):
        h[t, n] = Sum(W[n, j] * x[t, j], j) + h[t - 2, n]


def read_at_a_fixed_time():
    @cell(states="h")
    def mine(x, h, W):
        h[t, n] = Sum(W[n, j] * x[t, j], j) + h[0, n]


def initial_state_by_hand():
    @cell(states="h")
    def mine(x, h, W):
        h[0, n] = Sum(W[n, j] * x[1, j], j)
        h[t, n] = h[t - 1, n]


def defined_at_the_next_step():
    @cell(states="h")
    def mine(x, h, W):
        h[t + 1, n] = Sum(W[n, j] * x[t, j], j) + h[t, n]


def tensor_without_indices_in_a_product():
    @cell(states="h")
    def mine(x, h, W):
        h[t, n] = Sum(W * x[t, j], j)


def tensor_without_indices_in_a_call():
    @cell(states="h")
    def mine(x, h, b):
        h[t, n] = tanh(b) + h[t - 1, n] * Sum(x[t, j], j)


def tensor_without_indices_in_a_matrix_product():
    @cell(states="h")
    def mine(x, h, W):
        h[t, n] = W @ x[t, j]


def tensor_without_indices_in_a_power():
    @cell(states="h")
    def mine(x, h, b):
        h[t, n] = 2**b * Sum(x[t, j], j)


def tensor_without_indices_assigned():
    @cell(states="h")
    def mine(x, h, b):
        h[t, n] = b


def assigned_without_indices():
    @cell(states="h")
    def mine(x, h, W):
        h = Sum(W[n, j] * x[t, j], j)  # noqa: F841  (the mistake)


def gate_assigned_without_indices():
    @cell(states="h", gates="r z")
    def mine(x, h, a, W, r, z):
        for q in (r, z):
            a[q] = Sum(W[q][n, j] * x[t, j], j)


def looping_over_a_tensor():
    @cell(states="h", gates="r z")
    def mine(x, h, W, r, z):
        for q in W:
            h[t, n] = q[t, n]


def gate_as_a_string():
    @cell(states="h", gates="r z")
    def mine(x, h, a, W, r, z):
        a["r"][t, n] = Sum(W["r"][n, j] * x[t, j], j)


def assigned_twice():
    @cell(states="h")
    def mine(x, h, W):
        h[t, n] = Sum(W[n, j] * x[t, j], j)
        h[t, n] = h[t - 1, n]


def added_to():
    @cell(states="h")
    def mine(x, h, W):
        h[t, n] = Sum(W[n, j] * x[t, j], j)
        h[t, n] += h[t - 1, n]


def assigned_twice_under_other_names():
    @cell(states="h")
    def mine(x, h, W):
        h[t, n] = Sum(W[n, j] * x[t, j], j)
        h[t, k] = h[t - 1, k]


def time_in_the_wrong_place():
    @cell(states="h")
    def mine(x, h, W):
        h[t, n] = Sum(W[n, j] * x[j, t], j) + h[t - 1, n]


def input_and_units_under_one_index():
    @cell(states="h")
    def mine(x, h, W):
        h[t, n] = Sum(W[n, j] * x[t, j], j) + x[t, n]


def other_indices_than_elsewhere():
    @cell(states="h")
    def mine(x, h, W):
        h[t, n] = Sum(W[n, j] * x[t, j], j) + W[n]


def time_missing():
    @cell(states="h")
    def mine(x, h, W):
        h[t, n] = Sum(W[n, j] * x[t, j], j) + h[n]


def diagonal():
    @cell(states="h")
    def mine(x, h, W, U):
        h[t, n] = Sum(W[n, j] * x[t, j], j) + U[n, n] * h[t - 1, n]


def number_as_index():
    @cell(states="h")
    def mine(x, h, b):
        h[t, n] = b[1] * Sum(x[t, j], j) + h[t - 1, n]


def shifted_index():
    @cell(states="h")
    def mine(x, h, b):
        h[t, n] = b[n + 1] * Sum(x[t, j], j) + h[t - 1, n]


def string_as_index():
    @cell(states="h")
    def mine(x, h, W):
        h["t", "n"] = Sum(W[n, j] * x[t, j], j)


def slice_as_index():
    @cell(states="h")
    def mine(x, h, W):
        h[t, :] = Sum(W[n, j] * x[t, j], j)


def ellipsis_as_index():
    @cell(states="h")
    def mine(x, h, W):
        h[t, ...] = Sum(W[n, j] * x[t, j], j)


def index_that_is_an_argument():
    @cell(states="h")
    def mine(x, h, W, n):
        h[t, n] = Sum(W[n, j] * x[t, j], j)


def index_as_a_number():
    @cell(states="h")
    def mine(x, h, W):
        h[t, n] = n * Sum(W[n, j] * x[t, j], j)


def summed_index_as_a_number():
    @cell(states="h")
    def mine(x, h, W):
        h[t, n] = Sum(j * W[n, j] * x[t, j], j)


def time_as_a_number():
    @cell(states="h")
    def mine(x, h, W):
        h[t, n] = Sum(W[n, j] * x[t, j], j) / t


def unknown_symbol():
    alpha = sp.Symbol("alpha")

    @cell(states="h")
    def mine(x, h, W):
        h[t, n] = alpha * Sum(W[n, j] * x[t, j], j)


def size_that_is_not_there():
    @cell(states="h")
    def mine(x, h, W):
        h[t, n] = Sum(W[n, j] * x[t, j], j) / dimension("K")


def unknown_function():
    @cell(states="h")
    def mine(x, h, W):
        h[t, n] = sp.sinh(Sum(W[n, j] * x[t, j], j))


def numpy_function():
    @cell(states="h")
    def mine(x, h):
        h[t, n] = np.tanh(h[t - 1, n]) + Sum(x[t, j], j)


def math_function():
    @cell(states="h")
    def mine(x, h):
        h[t, n] = math.tanh(h[t - 1, n]) + Sum(x[t, j], j)


def unknown_python_name():
    @cell(states="h")
    def mine(x, h):
        h[t, n] = softsign(h[t - 1, n]) + Sum(x[t, j], j)  # noqa: F821  (the mistake)


def power_of_a_tensor():
    @cell(states="h")
    def mine(x, h, b):
        h[t, n] = Sum(x[t, j], j) ** b[n]


def division_by_zero():
    @cell(states="h")
    def mine(x, h):
        h[t, n] = Sum(x[t, j], j) / sp.Integer(0)


def imaginary_number():
    @cell(states="h")
    def mine(x, h):
        h[t, n] = sp.I * Sum(x[t, j], j)


def string_on_the_right():
    @cell(states="h")
    def mine(x, h):
        h[t, n] = "x[t, n]"


def list_on_the_right():
    @cell(states="h")
    def mine(x, h):
        h[t, n] = [h[t - 1, n]]


def comparison_on_the_right():
    @cell(states="h")
    def mine(x, h):
        h[t, n] = h[t - 1, n] > 0


def nothing_on_the_right():
    @cell(states="h")
    def mine(x, h):
        h[t, n] = None


def cycle_within_a_step():
    @cell(states="h")
    def mine(x, h, a, z):
        a[t, n] = z[t, n] + Sum(x[t, j], j)
        z[t, n] = 2 * a[t, n]
        h[t, n] = a[t, n]


def defined_by_itself():
    @cell(states="h")
    def mine(x, h):
        h[t, n] = h[t, n] + Sum(x[t, j], j)


def sum_over_time_in_a_cell():
    @cell(states="h")
    def mine(x, h, a):
        a[j] = Sum(x[t, j], t)
        h[t, n] = h[t - 1, n] + Sum(a[j], j)


def no_equations():
    @cell(states="h")
    def mine(x, h):
        pass


def wrong_state_in_the_decorator():
    @cell(states="s")
    def mine(x, h, W):
        h[t, n] = Sum(W[n, j] * x[t, j], j)


def wrong_gate_in_the_decorator():
    @cell(states="h", gates="f")
    def mine(x, h, W):
        h[t, n] = Sum(W[n, j] * x[t, j], j)


def wrong_public_name_in_the_decorator():
    @cell(states="h", weight_ih="V")
    def mine(x, h, W):
        h[t, n] = Sum(W[n, j] * x[t, j], j)


def decorator_without_brackets():
    @cell
    def mine(x, h, W):
        h[t, n] = Sum(W[n, j] * x[t, j], j)


def states_as_a_tuple():
    @cell(states=("h", "c"))
    def mine(x, h, c):
        h[t, n] = c[t, n]


def no_states():
    @cell(states="")
    def mine(x, h, W):
        h[t, n] = Sum(W[n, j] * x[t, j], j)


def state_named_twice():
    @cell(states="h h")
    def mine(x, h):
        h[t, n] = h[t - 1, n] + Sum(x[t, j], j)


def argument_with_a_value():
    @cell(states="h")
    def mine(x, h, eps=1e-5):
        h[t, n] = h[t - 1, n] + Sum(x[t, j], j) + eps


def arguments_with_a_star():
    @cell(states="h")
    def mine(x, *h):
        pass


def argument_named_like_time():
    @cell(states="h")
    def mine(x, h, T):
        h[t, n] = T[n] * Sum(x[t, j], j)


def argument_named_like_an_initial_state():
    @cell(states="h")
    def mine(x, h, h_0):
        h[t, n] = h[t - 1, n] + h_0[n] * Sum(x[t, j], j)


def argument_named_like_a_gate_of_a_family():
    @cell(states="h", gates="r")
    def mine(x, h, W, W_r, r):
        r[t, n] = sigmoid(Sum(W[r][n, j] * x[t, j], j) + Sum(W_r[n, j] * x[t, j], j))
        h[t, n] = r[t, n]


def loss_that_is_no_number():
    @loss
    def mine(h, y, e):
        e[t] = Sum((h[t, n] - y[t, n]) ** 2, n)


def loss_without_target():
    @loss
    def mine(h, L):
        L[()] = Sum(Sum(h[t, n], n), t)


def head_with_memory():
    @head()
    def mine(h, V, p):
        p[t, i] = Sum(V[i, n] * h[t - 1, n], n)


MISTAKES = {
    unused_argument: "cell mine: the argument spare is never used",
    index_neither_left_nor_summed: "the index j of W[n, j] is neither on the left nor summed",
    index_free_and_summed: "in the equation of h[t, n], n is summed and also stands on the left",
    index_summed_twice: "j is summed and is summed around it as well",
    summed_index_on_no_tensor: "the summed index k stands on no tensor",
    sum_without_index: "names no index; write Sum(..., j)",
    sum_over_a_string: "cell mine: Sum(..., j): the second argument must be an index such as j, found 'j'",
    sum_with_bounds: "must be an index such as j, found (j, 1, 3)",
    state_never_assigned: "the state c is never assigned; write c[t, n] = ...",
    state_without_time: "the state h has no time index",
    value_read_at_the_step_before: 'z is no state, so it has no value at t = 0; name it in states="h z" or read z[t, ...]',
    input_read_at_the_step_before: "x[t - 1, j] is read at t-1 but x is no state",
    read_from_the_future: "h[t + 1, n] is read at time t + 1; only t and t-1 can be read",
    read_two_steps_back: "h[t - 2, n] is read at time t - 2; only t and t-1 can be read",
    read_at_a_fixed_time: "h[0, n] is read or defined at 0",
    initial_state_by_hand: "the initial states come by themselves",
    defined_at_the_next_step: "defines a value at time t + 1; shift it to h[t, ...] = ...",
    tensor_without_indices_in_a_product: "W stands without indices in a formula; write W[t, n]",
    tensor_without_indices_in_a_call: "b stands without indices",
    tensor_without_indices_in_a_matrix_product: "W stands without indices",
    tensor_without_indices_in_a_power: "b stands without indices",
    tensor_without_indices_assigned: "h[...] = b assigns a tensor without indices",
    assigned_without_indices: "the function writes no equation; write h[t, n] = ...",
    gate_assigned_without_indices: "a[r] = ... lacks indices; write a[r][t, n] = ...",
    looping_over_a_tensor: "W is one tensor; loop over a tuple of gates",
    gate_as_a_string: "W[...] has 'r' as an index",
    assigned_twice: "h[t, n] is assigned twice; give one of the two a new name",
    added_to: "h[t, n] is assigned twice",
    assigned_twice_under_other_names: "h is defined twice for t = 1..T; give one equation a new name",
    time_in_the_wrong_place: "x[j, t] has time in the wrong place; time comes first",
    input_and_units_under_one_index: "the index of x runs over H as well as over I; use different indices",
    other_indices_than_elsewhere: "has other indices than W elsewhere",
    time_missing: "h[n] has other indices than h elsewhere",
    diagonal: "an index stands twice in U[n, n]; a diagonal matrix is written as a vector",
    number_as_index: "b[1] is read or defined at 1; an index is a name such as n",
    shifted_index: "the index n + 1 of b[n + 1] is neither on the left nor summed",
    string_as_index: "h[...] has 't' as an index; use t, n, j, k, ...",
    slice_as_index: "has slice(None, None, None) as an index",
    ellipsis_as_index: "has Ellipsis as an index",
    index_that_is_an_argument: "n is an argument of the function, so it is a tensor here; rename one of the two",
    index_as_a_number: "the index n stands outside of any tensor",
    summed_index_as_a_number: "the index j stands outside of any tensor",
    time_as_a_number: "the index t stands outside of any tensor",
    unknown_symbol: "alpha is neither an argument of the function nor a size (I, H)",
    size_that_is_not_there: "K is neither an argument of the function nor a size (I, H)",
    unknown_function: "sinh is no function that an equation may call; there are: absolute, cos, exp",
    numpy_function: "equations call the functions of derive.notation, not those of math or NumPy",
    math_function: "equations call the functions of derive.notation, not those of math or NumPy",
    unknown_python_name: "NameError: name 'softsign' is not defined",
    power_of_a_tensor: "has no number as its exponent; write exp(b*log(a))",
    division_by_zero: "zoo is no real number",
    imaginary_number: "I is no real number",
    string_on_the_right: "the right-hand side of h[t, n] is 'x[t, n]', not an expression",
    list_on_the_right: "not an expression",
    comparison_on_the_right: "not an expression",
    nothing_on_the_right: "the right-hand side of h[t, n] is None, not an expression",
    cycle_within_a_step: "a, z depend on each other at the same time step",
    defined_by_itself: "h depends on itself at the same time step",
    sum_over_time_in_a_cell: "a[j] sums over time, but a cell goes through it step by step",
    no_equations: "the function writes no equation; write h[t, n] = ...",
    wrong_state_in_the_decorator: "'s' in the decorator is no argument of the function (x, h, W)",
    wrong_gate_in_the_decorator: "'f' in the decorator is no argument of the function (x, h, W)",
    wrong_public_name_in_the_decorator: "'V' in the decorator is no argument of the function (x, h, W)",
    decorator_without_brackets: 'cell mine: write @cell(states="h") above it',
    states_as_a_tuple: 'write the names in one string, as in states="h c"',
    no_states: "a cell has at least one state",
    state_named_twice: "h stands twice in the decorator",
    argument_with_a_value: "the argument eps=1e-05 is no plain name; arguments are tensors",
    arguments_with_a_star: "the argument *h is no plain name",
    argument_named_like_time: "T has a meaning of its own in equations; rename the argument",
    argument_named_like_an_initial_state: "the name h_0 is taken, by the state h at one end of time",
    argument_named_like_a_gate_of_a_family: "W[r] and the argument W_r would have one name; rename one",
    loss_that_is_no_number: "expected a prediction, a target and at last a scalar L[()] = ...",
    loss_without_target: "expected a prediction, a target and at last a scalar L[()] = ...",
    head_with_memory: "h[t - 1, n] is read at t-1 but h is no state",
}


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda f: f.__name__)
def test_a_mistake_is_explained(mistake):
    with pytest.raises(DeriveError) as caught:
        mistake()
    message = str(caught.value)
    assert MISTAKES[mistake] in message
    assert "mine" in message or "@cell" in message, "the message names the cell"
    assert "object at 0x" not in message and "<" not in message.replace("<class", ""), "no Python internals"


def test_an_error_of_python_keeps_its_cause_and_names_the_line():
    with pytest.raises(DeriveError, match=r"cell mine, line \d+: NameError") as caught:
        unknown_python_name()
    assert isinstance(caught.value.__cause__, NameError)


def test_joining_a_head_that_reuses_a_name_or_reads_another_shape():
    lstm = notation.cell(states="h")(_plain)

    @head()
    def clash(h, W, p):
        p[t, i] = Sum(W[i, n] * h[t, n], n)

    @head()
    def matrix(y, V, p):
        p[t, i] = Sum(V[n] * y[t, n, i], n)

    with pytest.raises(DeriveError, match="W means two things"):
        lstm.then(clash, "both")
    with pytest.raises(DeriveError, match="2 axes beside time, h has 1"):
        lstm.then(matrix, "both")


# -- what a cell may be ------------------------------------------------------------------------------------------------


def _plain(x, h, W, U, b):
    h[t, n] = tanh(Sum(W[n, j] * x[t, j], j) + Sum(U[n, k] * h[t - 1, k], k) + b[n])


def test_roles_shapes_and_times_are_found():
    program = notation.cell(states="h")(_plain).source
    roles = {name: x.role for name, x in program.tensors.items()}
    assert roles == {
        "x": "input",
        "W": "param",
        "U": "param",
        "b": "param",
        "h_0": "initial",
        "h": "value",
        "h_T": "final",
    }
    shapes = {name: x.shape for name, x in program.tensors.items()}
    assert shapes["x"] == "(1..T, I)" and shapes["W"] == "(H, I)" and shapes["U"] == "(H, H)" and shapes["b"] == "(H)"
    assert shapes["h"] == "(0..T, H)" and shapes["h_0"] == shapes["h_T"] == "(H)"
    assert program.outputs == ("h", "h_T")


def test_the_index_names_are_the_writers():
    @cell(states="s")
    def other(u, s, A, R):
        s[t, k] = tanh(Sum(A[k, m] * u[t, m], m) + Sum(R[k, i] * s[t - 1, i], i))

    program = other.program()
    assert program.tensors["A"].shape == "(H, I)" and program.tensors["A"].indices == (k, m)
    assert program.meta["inputs"] == ("u",) and program.meta["output"] == "s"


def test_gates_keep_the_order_of_the_decorator_and_public_names_are_kept():
    @cell(states="h", gates="z a", weight_in="W", weight_back="U", shift="b")
    def gated(x, h, W, U, b, s, a, z):
        for q in (a, z):
            s[q][t, n] = Sum(W[q][n, j] * x[t, j], j) + Sum(U[q][n, k] * h[t - 1, k], k) + b[q][n]
        a[t, n] = tanh(s[a][t, n])
        z[t, n] = sigmoid(s[z][t, n])
        h[t, n] = (1 - z[t, n]) * h[t - 1, n] + z[t, n] * a[t, n]

    program = gated.program()
    assert program.meta["gates"] == ("z", "a")
    assert program.meta["public"] == {"W": "weight_in", "U": "weight_back", "b": "shift"}
    tensor = program.tensors["W_z"]
    assert (tensor.family, tensor.member, tensor.shape) == ("W", "z", "(H, I)")
    assert public_name(program, tensor) == "weight_in"
    assert [x for x in program.tensors if x.startswith("W_")] == ["W_a", "W_z"], (
        "tensors come in the order of arguments"
    )


def test_parameters_have_the_fields_names_unless_told_otherwise():
    program = notation.cell(states="h")(_plain).program()
    names = {x.name: public_name(program, x) for x in program.of_role("param")}
    assert names == {"W": "weight_ih", "U": "weight_hh", "b": "bias"}


def test_constants_sizes_and_roots():
    eps, half = Rational(1, 1000), 0.5

    @cell(states="h")
    def normed(x, h, W, a, mu, r):
        a[t, n] = Sum(W[n, j] * x[t, j], j) + half * h[t - 1, n]
        mu[t] = Sum(a[t, n], n) / H
        r[t] = 1 / sqrt(Sum((a[t, n] - mu[t]) ** 2, n) / H + eps)
        h[t, n] = exp(-2 * (a[t, n] - mu[t]) * r[t]) + 3

    program = normed.program()
    assert program.tensors["mu"].shape == "(1..T)"
    numbers = {a for e in program.equations for a in e.rhs.atoms(sp.Number)}
    assert sp.Rational(1, 1000) in numbers and sp.Float(0.5) in numbers


def test_a_call_inside_of_a_formula_gets_a_value_of_its_own():
    @cell(states="h c")
    def leaky(x, h, c, W):
        c[t, n] = Rational(9, 10) * c[t - 1, n] + tanh(Sum(W[n, j] * x[t, j], j) - c[t - 1, n])
        h[t, n] = 2 * tanh(c[t, n]) * sigmoid(c[t, n])

    program = leaky.program()
    calls = [type(e.rhs).__name__ for e in program.equations]
    assert calls.count("tanh") == 2 and calls.count("sigmoid") == 1
    # SymPy turns tanh(c - a) into -tanh(a - c): the call is a value of its own all the same.
    assert not any(
        e.rhs.has(tanh, sigmoid) for e in program.equations if type(e.rhs).__name__ not in ("tanh", "sigmoid")
    )
    order = list(program.defined)
    assert all(order.index(x.name) < order.index("h") for x in program.of_role("value") if x.name.startswith("tanh"))


def odd(x, h, c, W):
    """Formulas that are not in normal form: a sum below a call, a product of sums, calls in sums, a sign that moves."""
    c[t, n] = c[t - 1, n] / 2 + tanh(c[t - 1, n] - Sum(W[n, j] * x[t, j], j)) * Sum(sigmoid(W[n, j]) * x[t, j], j)
    h[t, n] = tanh(h[t - 1, n] - Sum(c[t, k], k)) + abs(c[t, n]) * (1 - exp(-Sum(c[t, m] ** 2, m) / H))


@pytest.mark.parametrize("mine", [*registry.cells().values(), notation.cell(states="h c")(odd)], ids=lambda c: c.name)
def test_normal_form_computes_what_was_written(mine):
    """The interpreter runs both; sums and products are taken in another order, 1e-14."""
    source, normal = mine.source, mine.program()
    values = draw(source, SIZES)
    written, split = (reference.run(p, values, SIZES) for p in (source, normal))
    for name in source.defined:
        assert relative(split[name], written[name]) < 1e-14, name


def test_the_source_stays_as_it_was_written():
    program = notation.cell(states="h")(_plain)
    assert len(program.source.equations) == 3 and program.source.equations[0].rhs.has(tanh)


def test_the_loss_is_a_number_and_its_target_is_known():
    @loss
    def absolute(p, y, L):
        L[()] = Sum(Sum((p[t, n] - y[t, n]) ** 2, n), t)

    program = absolute.program()
    assert program.tensors["y"].role == "target" and program.tensors["L"].role == "loss"
    assert not program.tensors["L"].batched and program.tensors["p"].role == "input"


def test_a_head_takes_the_place_of_the_output():
    @head(weight_out="V")
    def linear(h, V, p):
        p[t, i] = Sum(V[i, n] * h[t, n], n)

    joined = notation.cell(states="h")(_plain).then(linear, "both")
    program = joined.program()
    assert program.name == "both" and program.meta["output"] == "p" and program.outputs == ("p", "h_T")
    assert program.meta["public"]["V"] == "weight_out"
    assert [e.id for e in program.equations] == [f"F{p + 1}" for p in range(len(program.equations))]
    assert "V" in {x.name for x in program.of_role("param")} and program.tensors["V"].dims[1] == H


def test_documentation_is_that_of_the_function_or_of_its_file():
    @cell(states="h")
    def documented(x, h, W):
        """A leaky sum."""
        h[t, n] = Sum(W[n, j] * x[t, j], j) + h[t - 1, n] / 2

    assert documented.doc == "A leaky sum." and documented.name == "documented"
    assert notation.cell(states="h")(_plain).doc == re.sub(r"\s+$", "", __doc__ or "")


def test_no_symbol_of_the_batch_is_in_what_a_person_wrote():
    program = notation.cell(states="h")(_plain).program()
    assert all(not e.rhs.has(ROW) and (e.when is None or e.when[1] == T) for e in program.equations)
