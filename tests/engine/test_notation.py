"""What a person may write in a cell file, and what the engine reads in it."""

from __future__ import annotations

import re

import pytest
import sympy as sp
from engine_tools import SIZES, draw, relative

from derive import notation, registry
from derive import signature as interface
from derive.ir import ROW, T
from derive.notation import H, Rational, Sum, cell, exp, head, i, j, k, loss, m, n, sigmoid, sqrt, t, tanh
from derive.verify import interpreter as reference


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
    assert program.facts.inputs == ("u",) and program.facts.output == "s"


def test_gates_keep_the_order_of_the_decorator_and_public_names_are_kept():
    @cell(states="h", gates="z a", weight_in="W", weight_back="U", shift="b")
    def gated(x, h, W, U, b, s, a, z):
        for q in (a, z):
            s[q][t, n] = Sum(W[q][n, j] * x[t, j], j) + Sum(U[q][n, k] * h[t - 1, k], k) + b[q][n]
        a[t, n] = tanh(s[a][t, n])
        z[t, n] = sigmoid(s[z][t, n])
        h[t, n] = (1 - z[t, n]) * h[t - 1, n] + z[t, n] * a[t, n]

    program = gated.program()
    assert program.facts.gates == ("z", "a")
    assert program.facts.public == {"W": "weight_in", "U": "weight_back", "b": "shift"}
    tensor = program.tensors["W_z"]
    assert (tensor.family, tensor.member, tensor.shape) == ("W", "z", "(H, I)")
    assert interface.public_name(program, tensor) == "weight_in"
    assert [x for x in program.tensors if x.startswith("W_")] == ["W_a", "W_z"], (
        "tensors come in the order of arguments"
    )


def test_parameters_have_the_fields_names_unless_told_otherwise():
    program = notation.cell(states="h")(_plain).program()
    names = {x.name: interface.public_name(program, x) for x in program.of_role("param")}
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


@pytest.mark.parametrize("mine", [*registry.shipped().values(), notation.cell(states="h c")(odd)], ids=lambda c: c.name)
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
    assert program.name == "both" and program.facts.output == "p" and program.outputs == ("p", "h_T")
    assert program.facts.public["V"] == "weight_out"
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


def test_who_asks_the_notation_for_a_name_gets_an_answer_and_who_imports_it_a_message() -> None:
    """Tools ask every module that is loaded for names, as torch.compile does: they expect AttributeError."""
    import derive.notation

    assert not hasattr(derive.notation, "torch") and getattr(derive.notation, "sigmoit", 3) == 3
    with pytest.raises(AttributeError, match="did you mean sigmoid"):
        derive.notation.sigmoit
    with pytest.raises(ImportError, match="did you mean sigmoid"):
        exec("from derive.notation import sigmoit")
