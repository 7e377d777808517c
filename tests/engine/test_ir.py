"""The index notation itself: what the verifier refuses, in which order equations are computed, what a digest sees."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import pytest
import sympy as sp
from engine_tools import CELLS, derived, primal
from sympy.tensor.indexed import IndexedBase

from derive import ir
from derive.errors import DeriveError
from derive.ir import STEPS, Equation, Facts, Origin, Program, T, Tensor, span, t

n, k = ir.index("n"), ir.index("k")
H, I = ir.dimension("H"), ir.dimension("I")
ZERO = sp.Integer(0)


def program(*equations: Equation, **tensors: Tensor) -> Program:
    return Program("small", tensors, equations)


def timed(name: str, *dims: sp.Symbol, first: int = 1) -> Tensor:
    indices = (n, k)[: len(dims)]
    return Tensor(name, dims, indices, time=(sp.Integer(first), T))


X, Y, HID = timed("x", H), timed("y", H), timed("h", H, first=0)
M = Tensor("M", (H, H), (n, k), role="param", batched=False)


# -- the verifier ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("equation", "message"), [
    (Equation(IndexedBase("z")[t, n], X.at(), "E1", STEPS), "E1: defines z, which is no tensor"),
    (Equation(Y.at(), IndexedBase("z")[t, n], "E1", STEPS), "E1: reads z, which is no tensor"),
    (Equation(Y.at(), X.at(t, k), "E1", STEPS), "index k of x[t, k] is neither on the left nor summed"),
    (Equation(Y.at(), IndexedBase("x")[n], "E1", STEPS), "x[n] has 1 indices, x has 2"),
    (Equation(IndexedBase("y")[t], X.at(), "E1", STEPS), "y[t] on the left must have 2 indices"),
    (Equation(Y.at(), sp.Sum(M.at(t, n, k) * X.at(t, k), (k, 1, I)), "E1", STEPS), "index k of M[n, k] runs over I, M has H"),
    (Equation(Y.at(), sp.Sum(X.at(), (n, 1, H)), "E1", STEPS), "the summed index n is also free there"),
    (Equation(Y.at(), sp.Sum(X.at(), (t, 1, T)), "E1", STEPS), "the summed index t is also free there"),
    (Equation(Y.at(), M.at(t, n, n), "E1", STEPS), "an index stands twice in M[n, n]"),
    (Equation(M.at(t, n, n), X.at(T, n), "E1"), "an index stands twice on the left"),
])  # fmt: skip
def test_the_verifier_names_equation_and_index(equation: Equation, message: str) -> None:
    with pytest.raises(DeriveError) as caught:
        ir.verify(program(equation, x=X, y=Y, M=M))
    assert message in str(caught.value) and "small" in str(caught.value)


def test_one_definition_for_each_step() -> None:
    body = Equation(HID.at(), X.at(), "E1", STEPS)
    first = Equation(HID.at(ZERO), M.at(t, n, k).subs(k, n) * 0, "E2")
    ir.verify(program(body, first, h=HID, x=X, M=M))
    for again in (Equation(HID.at(), HID.at(t - 1), "E3", STEPS), Equation(HID.at(T), X.at(T), "E3")):
        with pytest.raises(DeriveError, match=r"E3: h is defined twice for t = "):
            ir.verify(program(body, first, again, h=HID, x=X, M=M))


def test_a_tensor_has_a_name_for_every_axis() -> None:
    with pytest.raises(DeriveError, match="tensor M: 2 dimensions but 1 index names"):
        Tensor("M", (H, H), (n,))


# -- order -------------------------------------------------------------------------------------------------------------


def groups(*equations: Equation, **tensors: Tensor) -> list[tuple[tuple[str, ...], int]]:
    return [(g.tensors, g.direction) for g in ir.order(program(*equations, **tensors))]


def test_order_and_direction_of_loops_come_from_what_is_read() -> None:
    z = timed("z", H)
    forward = (
        Equation(HID.at(), z.at() + HID.at(t - 1), "E1", STEPS),
        Equation(z.at(), X.at() * HID.at(t - 1), "E2", STEPS),
    )
    assert groups(*forward, x=X, h=HID, z=z) == [(("h", "z"), 1)]
    assert ir.in_step(program(*forward, x=X, h=HID, z=z), ["h", "z"]) == ["z", "h"]
    backward = (Equation(HID.at(), z.at(t + 1), "E1", STEPS), Equation(z.at(), HID.at(), "E2", STEPS))
    assert groups(*backward, h=HID, z=z) == [(("h", "z"), -1)]
    apart = (Equation(HID.at(), z.at(t - 1), "E1", STEPS), Equation(z.at(), X.at(), "E2", STEPS))
    assert groups(*apart, x=X, h=HID, z=z) == [(("z",), 0), (("h",), 0)]


def test_what_has_no_order_is_refused() -> None:
    z = timed("z", H)
    circle = (Equation(HID.at(), z.at(), "E1", STEPS), Equation(z.at(), HID.at(), "E2", STEPS))
    with pytest.raises(DeriveError, match="h, z depend on each other at the same time step"):
        groups(*circle, h=HID, z=z)
    both = (Equation(HID.at(), z.at(t - 1), "E1", STEPS), Equation(z.at(), HID.at(t + 1) + HID.at(t - 1), "E2", STEPS))
    with pytest.raises(DeriveError, match="both forwards and backwards in time"):
        groups(*both, h=HID, z=z)
    inner = (Equation(HID.at(), z.at() + HID.at(t - 1), "E1", STEPS), Equation(z.at(), HID.at(), "E2", STEPS))
    with pytest.raises(DeriveError, match="depend on each other at the same time step"):
        ir.in_step(program(*inner, h=HID, z=z), ["h", "z"])


# -- ranges of time ----------------------------------------------------------------------------------------------------


def test_ranges_meet_and_join() -> None:
    whole, steps, early = (ZERO, T), STEPS, (ZERO, T - 1)
    assert ir.intersect(whole, steps) == steps and ir.intersect(early, steps) == (sp.Integer(1), T - 1)
    assert ir.hull(early, steps) == whole and ir.hull((T, T), (ZERO, ZERO)) == whole
    assert ir.contains(whole, steps) and not ir.contains(steps, whole) and ir.contains(steps, (T, T))


def test_reach_is_where_a_term_may_be_other_than_zero() -> None:
    tensors = {"x": X, "h": HID, "M": M}

    def reach(expr: sp.Expr) -> ir.Span | None:
        return ir.support(expr, tensors)

    assert reach(HID.at(t + 1) * X.at(t + 1)) == (ZERO, T - 1)
    assert reach(HID.at() * (1 - X.at())) == (ZERO, T), "x is 0 outside of its span, and 1 - x is not"
    assert reach(HID.at() * (X.at() - X.at(t + 1))) == (ZERO, T)
    assert reach(span(t, T, T) * HID.at()) == (T, T)
    assert reach(sp.Sum(X.at() ** 2, (n, 1, H))) == STEPS
    assert reach(sp.tanh(X.at())) is None and reach(1 / X.at()) is None and reach(M.at()) is None
    assert reach(sp.Sum(X.at(), (t, 1, T))) is None


# -- looking -----------------------------------------------------------------------------------------------------------


def test_accesses_are_found_once_and_in_one_order() -> None:
    tensors = {"x": X, "h": HID, "M": M, "L": Tensor("L", (), (), "loss")}
    scalar = tensors["L"].at()
    expr = X.at() * HID.at(t - 1) + X.at() ** 2 * scalar + sp.Sum(M.at() * HID.at(t - 1, k), (k, 1, H))
    assert [str(a) for a in ir.accesses(expr, tensors)] == ["L", "M[n, k]", "h[t - 1, k]", "h[t - 1, n]", "x[t, n]"]
    assert ir.offset(ir.time_of(HID.at(t - 1), tensors)) == -1 and ir.offset(T) is None
    assert ir.indices_of(HID.at(t - 1, k), tensors) == (k,) and ir.indices_of(scalar, tensors) == ()


def test_a_program_is_read_by_people() -> None:
    dump = primal("rnn").dump()
    for line in ("program rnn", "param", "(1..T, I)", "tanh(z[t"):
        assert line in dump
    assert dump.count("\n") < 20
    with pytest.raises(DeriveError, match=r"rnn has no equation F99; it has F1, F2"):
        primal("rnn").equation("F99")
    assert primal("rnn").equation("F2").target == "h"


def test_text_of_an_expression() -> None:
    total = sp.Sum(M.at() * HID.at(t - 1, k), (k, 1, H))
    assert "sigmoid" not in ir.text(total) and "Sum" in ir.text(total, ascii=True) and "Σ" in ir.text(total)
    assert ir.text(span(t, T, T)) == "[t=T]"


# -- digests -----------------------------------------------------------------------------------------------------------


def test_the_digest_sees_every_change() -> None:
    source = derived("lstm")
    seen = {source.digest}
    for equation in source.equations:
        for rhs in (equation.rhs * 2, -equation.rhs):
            seen.add(
                source.with_equations([replace(e, rhs=rhs) if e is equation else e for e in source.equations]).digest
            )
        if equation.when is not None:
            later = replace(equation, when=(equation.when[0] + 1, equation.when[1]))
            seen.add(source.with_equations([later if e is equation else e for e in source.equations]).digest)
    other = {**source.tensors, "x": replace(source.tensors["x"], role="param")}
    assert source.with_equations(source.equations, other).digest not in seen
    timed_equations = sum(e.when is not None for e in source.equations)
    assert len(seen) == 1 + 2 * len(source.equations) + timed_equations


def test_digests_and_texts_are_the_same_under_any_hash_seed() -> None:
    """SymPy orders by hash where it was not told otherwise, and a Dummy has another name in every run."""
    code = ("from derive import registry\nfrom derive.passes.adjoint import vjp\nfrom derive.passes.simplify import simplify\n"
            "from derive.passes.batch import batch\nfrom derive.passes.lower import lower\n"
            f"for name in {list(CELLS)!r}:\n"
            "    derived = vjp(registry.cell(name).program())\n    simple = simplify(derived)[0]\n"
            "    print(name, derived.digest, simple.digest, batch(simple).digest)\n    print(simple.dump())\n"
            "    print(*derived.steps)\n")  # fmt: skip
    runs = [subprocess.run([sys.executable, "-c", code], env={"PYTHONHASHSEED": seed, "PATH": ""}, capture_output=True,
                           text=True, check=True).stdout for seed in ("1", "4242")]  # fmt: skip
    assert runs[0] == runs[1] and len(runs[0]) > 10000


# -- where equations come from, and what the notation says beside them -------------------------------------------------


@pytest.mark.parametrize(
    ("origin", "whole"), [(Origin.PART, ""), (Origin.EQUATION, "y"), (Origin.SAVED_DERIVATIVE, "y")]
)
def test_a_part_and_nothing_else_has_a_whole(origin: Origin, whole: str) -> None:
    with pytest.raises(DeriveError) as caught:
        Equation(Y.at(), X.at(), "E1", STEPS, origin, whole=whole)
    assert "equation E1" in str(caught.value) and origin.name in str(caught.value)


@pytest.mark.parametrize("name", CELLS)
def test_every_equation_of_a_cell_knows_where_it_comes_from(name: str) -> None:
    found = primal(name)
    of_states = {
        Origin.INITIAL_STATE: set(found.facts.states),
        Origin.FINAL_STATE: {f"{s}_T" for s in found.facts.states},
    }
    for origin, targets in of_states.items():
        assert {e.target for e in found.equations if e.origin is origin} == targets
    for equation in found.equations:
        at_an_end = isinstance(equation.lhs, sp.Indexed) and not equation.lhs.has(t)
        assert equation.origin.is_end == at_an_end, equation
        if equation.origin is Origin.PART:
            readers = [e for e in found.defined[equation.whole] if e.when == equation.when]
            parts = [e for e in found.equations if e.whole == equation.whole]
            assert any(equation.target in ir.names_in(e.rhs) for e in [*readers, *parts]), equation


def test_facts_of_a_program_that_no_notation_made_are_empty() -> None:
    found = program(Equation(Y.at(), X.at(), "E1", STEPS), x=X, y=Y).facts
    assert found == Facts() and not found.gates and found.prefixes == ("F", "B")
    assert replace(found, prefixes=("L", "D")).prefixes == ("L", "D") != found.prefixes
