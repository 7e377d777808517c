"""The signature of a cell: the calls that the shipped cells have had, and a verifier that refuses what no call can be."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from derive import generation, registry
from derive.errors import EngineError
from derive.notation import Sum, cell, head, j, k, n, o, t, tanh
from derive.pipeline import model
from derive.signature import Argument, Call, Signature, verify_signature

CELLS = sorted(registry.shipped())


def of(name: str) -> Signature:
    return model(registry.cell(name)).signature


def test_the_calls_of_the_lstm_are_written_out() -> None:
    made = of("lstm")
    reads = ["x", "weight_ih", "weight_hh", "bias", "h_0", "c_0"]
    gradients = [f"d_{n}" for n in reads]
    calls = {c.name: [(a.name, a.direction) for a in c.arguments if a.role != "workspace"] for c in made.calls}
    given = [(n, "in") for n in reads]
    results = [(n, "out") for n in ("out", "h_T", "c_T")]
    seeds = [("d_h_T", "in"), ("d_c_T", "in")]
    wanted = [(n, "out") for n in gradients]
    assert calls["infer"] == [*given, *results]
    assert calls["forward"] == [*given, *results, ("tape", "out")]
    assert calls["backward"] == [*given, ("out", "in"), ("tape", "in"), ("d_out", "in"), *seeds, *wanted]
    between = [(n, "scratch") for n in ("out", "h_T", "c_T", "tape", "d_out")]
    assert calls["loss_and_grad"] == [*given, ("y", "in"), *seeds, ("loss", "out"), *wanted, *between]
    assert [a.name for a in made.arguments if a.optional] == ["d_x"]
    assert made.params == {"weight_ih": ("4*H", "I"), "weight_hh": ("4*H", "H"), "bias": ("4*H",)}


@pytest.mark.parametrize("name", CELLS)
def test_the_struct_of_the_header_has_the_arguments_in_order(name: str) -> None:
    header = re.sub(r"/\*.*?\*/", "", generation.files(registry.cell(name))[f"{name}.h"], flags=re.DOTALL)
    for body in re.findall(rf"typedef struct {{([^}}]*)}} {name}_f\d\d_args;", header):
        members = re.findall(r"(const )?(?:float|double|void) \*(\w+);", body)
        assert [member for _, member in members] == [a.name for a in of(name).arguments]
        for const, member in members:
            argument = next(a for a in of(name).arguments if a.name == member)
            assert bool(const) == of(name).constant(argument), member


def test_only_what_no_call_writes_is_constant() -> None:
    made = of("lstm")
    constant = {a.name for a in made.arguments if made.constant(a)}
    assert constant == {"x", "weight_ih", "weight_hh", "bias", "h_0", "c_0", "y", "d_h_T", "d_c_T"}


def test_an_input_of_a_head_comes_after_those_of_its_cell() -> None:
    @cell(states="h")
    def lower(x, h, W):
        h[t, n] = tanh(Sum(W[n, j] * x[t, j], j)) + h[t - 1, n] / 2

    @head()
    def upper(h, v, p, A, Q):
        p[t, o] = Sum(A[o, n] * h[t, n], n) + Sum(Q[o, k] * v[t, k], k)

    made = model(lower.then(upper, "whole")).signature
    assert list(made.inputs.items()) == [("x", "I"), ("v", "K")] and made.output.width == "O"


def changed(made: Signature, which: str, /, **values: object) -> Signature:
    return replace(made, arguments=tuple(replace(a, **values) if a.name == which else a for a in made.arguments))


WRONG = {
    "two of one name": (lambda m: changed(m, "bias", name="weight_hh"), "weight_hh: two arguments have this name"),
    "the name of a size": (lambda m: changed(m, "bias", name="H"), "H: two arguments have this name"),
    "the name of a control": (lambda m: changed(m, "bias", name="rows"), "rows: two arguments have this name"),
    "a word of C": (lambda m: changed(m, "bias", name="short"), "short: it is no name for a member of a struct"),
    "no identifier": (lambda m: changed(m, "bias", name="b'"), "b': it is no name for a member of a struct"),
    "an axis that is no size": (lambda m: changed(m, "bias", shape=("4*Q",)), r"bias: its axis 4\*Q is no size"),
    "an output of an unknown size": (
        lambda m: changed(replace(m, dims={**m.dims, "O": "output_size"}), "y", shape=("T", "B", "O")),
        "y: no parameter and no input tells its axis O",
    ),
    "a gradient of another shape": (
        lambda m: changed(m, "d_bias", shape=("H",)),
        "d_bias: it has not the shape of bias",
    ),
    "a seed of nothing": (lambda m: changed(m, "d_h_T", of="g_T"), "d_h_T: it has not the shape of g_T"),
    "an argument that no call has": (
        lambda m: replace(m, arguments=(*m.arguments, Argument("more", "param", ("H",)))),
        "more: no call has it",
    ),
    "a call with an argument of its own": (
        lambda m: replace(m, calls=(*m.calls, Call("jvp", (Argument("dot", "input"),)))),
        "dot: jvp has it twice, or no struct has it",
    ),
    "a call with an argument twice": (
        lambda m: replace(m, calls=(*m.calls, Call("jvp", (m.arguments[0], m.arguments[0])))),
        "x: jvp has it twice, or no struct has it",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_the_verifier_refuses(case: str) -> None:
    spoil, words = WRONG[case]
    made = of("lstm")
    assert verify_signature(made) is made
    with pytest.raises(EngineError, match=f"lstm: the signature is wrong at {words}"):
        verify_signature(spoil(made))
