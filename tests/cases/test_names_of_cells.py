"""Names: what a person may call things, how that is spelled in C and Python, and that no two things share a name."""

from __future__ import annotations

import subprocess
import textwrap
import unicodedata

import pytest

from derive import generation, notation
from derive.document.names import Names
from derive.notation import Sum, cell, head, i, j, k, loss, m, n, spelling, t, tanh
from derive.notation.reserved import RESERVED, is_reserved
from derive.notation.sizes import free_size


@pytest.mark.parametrize(
    ("name", "spelled"),
    [
        ("λ", "lambda_"),
        ("λ_1", "lambda_1"),
        ("Wλ", "Wlambda"),
        ("Λ", "Lambda"),
        ("ς", "varsigma"),
        ("ϕ", "phi"),  # Python reads it as φ
        ("ά", "alpha"),
        ("𝛼", "alpha"),
        ("größe", "grosse"),
        ("naïve", "naive"),
        ("ℎ", "h"),
        ("W_1", "W_1"),
        ("д", "д"),  # none: refused
    ],
)
def test_a_name_is_spelled_in_ascii(name, spelled):
    assert spelling.spelled(name) == spelled


def test_every_greek_letter_has_a_spelling_of_its_own():
    letters = [
        c for c in map(chr, range(0x391, 0x3CA)) if c.isidentifier() and len(unicodedata.normalize("NFD", c)) == 1
    ]
    found = [spelling.spelled(letter) for letter in letters]
    assert all(name.isascii() and name.isidentifier() for name in found) and len(set(found)) == len(found)


def test_greek_arguments_are_parameters_under_their_spelling_and_letters_in_print():
    @cell(states="α", gates="γ", rate="ρ")
    def mine(ξ, α, W, λ, ρ, γ):
        γ[t, n] = tanh(Sum(W[γ][n, j] * ξ[t, j], j) + λ[n])
        α[t, n] = γ[t, n] + ρ[n] * α[t - 1, n]

    program = mine.program()
    made = generation.model(mine)
    assert list(made.meta["params"]) == ["weight_ih", "lambda_", "rate"]
    assert program.facts.states == ("alpha",) and program.facts.gates == ("gamma",)
    letters = Names(program).letters
    assert letters["lambda_"].latex() == r"\lambda" and letters["W_gamma"].latex("n") == r"W_{\gamma,n}"
    assert program.tensors["lambda_"].latex == r"\lambda" and program.tensors["W_gamma"].latex == r"W_{\gamma}"


def test_the_name_of_a_cell_is_that_of_its_files():
    @cell(states="h")
    def _größe(x, h, W, b):
        h[t, n] = tanh(Sum(W[n, j] * x[t, j], j) + h[t - 1, n] + b[n])

    assert _größe.name == "grosse" and "grosse.h" in generation.files(_größe)


@pytest.mark.parametrize("name", ["features", "string", "math", "time", "stddef", "stdint", "sched", "limits", "errno"])
def test_a_cell_named_like_a_header_of_the_system(name, tmp_path):
    """The folder of a cell is searched for headers in quotes alone, so that the system finds its own."""
    space = dict(vars(notation))
    text = f"""
        @cell(states="h")
        def {name}(x, h, W, u):
            h[t, n] = tanh(Sum(W[n, j] * x[t, j], j) + u[n] * h[t - 1, n])
    """
    exec(textwrap.dedent(text), space)
    generation.write(tmp_path, generation.files(space[name]))
    main = tmp_path.parent / f"{name}_main.c"
    main.write_text(f'#include "{name}.h"\n#include <stdlib.h>\n#include <{name}.h>\nint main(void) {{ return 0; }}\n')
    for source in (tmp_path / f"{name}_f32.c", main):
        command = ["gcc", "-std=c99", "-Wall", "-Werror", "-fsyntax-only", "-iquote", tmp_path, source]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr


def test_a_size_finds_a_free_name_for_every_index():
    """Among the reserved words are patterns, M_2 and SIZE_A: a number behind one of them is reserved as well."""
    words = {word.upper() for word in RESERVED} | {"M_A", "SIZE_A", "X_MAX", "FP_A", "HUGE_VALF", "DERIVE_X", "SCHED_X"}
    for word in sorted(words - {"O"}):
        found = free_size(word, {"T", "B", "I", "H"})
        assert not is_reserved(found) and found.isidentifier()


def test_a_head_has_sizes_of_its_own():
    """The size M of the cell's embedding is not that of the head's layer, and I of the head is not the input."""

    @cell(states="h")
    def unit(x, h, W, E, e):
        e[t, m] = tanh(Sum(E[m, j] * x[t, j], j))
        h[t, n] = tanh(Sum(W[n, m] * e[t, m], m) + h[t - 1, n])

    @head()
    def deep(h, A, C, s, p):
        s[t, m] = tanh(Sum(A[m, n] * h[t, n], n))
        p[t, i] = Sum(C[i, m] * s[t, m], m)

    program = unit.then(deep, "whole").program()
    shapes = {name: program.tensors[name].shape for name in ("E", "W", "A", "C")}
    assert shapes == {"E": "(M, I)", "W": "(H, M)", "A": "(M2, H)", "C": "(O, M2)"}
    assert program.facts.sizes["M2"] == "m2_size"


def test_gates_of_two_sizes_have_arrays_of_their_own():
    @cell(states="h c", gates="g o", mix="R")
    def mine(x, h, c, W, R, g, o):
        g[t, n] = tanh(Sum(W[g][n, j] * x[t, j], j))
        c[t, n] = c[t - 1, n] / 2 + g[t, n]
        o[t, n] = tanh(Sum(W[o][n, j] * x[t, j], j))
        h[t, n] = o[t, n] * tanh(Sum(R[n, k] * c[t, k], k)) + h[t - 1, n] / 2

    params = generation.model(mine).meta["params"]
    assert set(params) == {"weight_ih_g", "weight_ih_o", "mix"} and params["weight_ih_g"] != params["weight_ih_o"]


def test_the_tensors_of_a_loss_get_out_of_the_way_of_the_output():
    @loss
    def objective(h, y, d_y, seed_y, L):
        d_y[t] = Sum((h[t, n] - y[t, n]) ** 2, n)
        seed_y[t] = d_y[t] ** 2
        L[()] = Sum(seed_y[t], t)

    @cell(states="y")
    def mine(x, y, W):
        y[t, n] = tanh(Sum(W[n, j] * x[t, j], j) + y[t - 1, n])

    program = mine.program()
    bound = objective.of(program.tensors["y"])
    assert bound.tensors["y"].role == "input" and bound.of_role("target")[0].name == "y_"
    assert bound.outputs == ("L",) and set(bound.defined) == {"d_y_", "seed_y_", "L"}


def test_a_public_name_is_that_of_the_argument_or_of_the_decorator():
    @cell(states="h", gates="o", scale="a")
    def mine(x, h, W, a, u, o):
        o[t, n] = tanh(Sum(W[o][n, j] * x[t, j], j) + a[n])
        h[t, n] = o[t, n] * u[n] + h[t - 1, n]

    assert list(generation.model(mine).meta["params"]) == ["weight_ih", "scale", "u"]
