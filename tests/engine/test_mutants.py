"""A gradient check is worth what it catches: every mutant of every derived equation must fail the check of `derive check`.

The measure and the limit are those of derive/check.py: the normwise error of each gradient against the complex step
through the forward equations, at most 1e-13.  Rounding makes about 1e-15 of it; the mutants below, which are wrong,
make 1e-6 and more at the sizes used here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import engine_tools
import pytest
import sympy as sp
from mutate import Mutant, mutants

from derive import check, ir
from derive.errors import DeriveError
from derive.ir import Program
from derive.passes.simplify import adjoints
from derive.verify import interpreter as reference

# T >= 3 and different sizes, as the audit of hand-written derivations asks; small, because there are some 1100 mutants.
SIZES = {"T": 3, "I": 2, "H": 3}


def forward_once(program: Program) -> Callable[..., Any]:
    """The interpreter, for one derived program and its mutants: what all of them share is computed once.

    They differ in adjoint equations only, so that the forward values and the complex step are the same for all.
    """
    kept: dict[Any, Any] = {}

    def interpret(chosen: Program, values: Mapping[str, Any], sizes: Mapping[str, int]) -> Any:
        source = chosen.primal or chosen
        key = tuple((n, values[n].shape, values[n].tobytes()) for n in source.inputs)
        if key not in kept:
            kept[key] = reference.run(source, {n: values[n] for n in source.inputs}, sizes)
        if chosen.primal is None:
            return kept[key]
        backward = chosen.with_equations(adjoints(chosen))
        return reference.run(backward, {**{n: values[n] for n in chosen.inputs}, **kept[key]}, sizes)

    return interpret


def is_caught(program: Program) -> bool:
    """Whether one gradient is beyond the limit, or the mutant cannot be computed at all: its equations are a circle."""
    try:
        errors = check.adjoint_errors(program, SIZES, seed=1)
    except DeriveError as error:
        assert "depend" in str(error), error
        return True
    return not all(error <= check.LIMIT_COMPLEX_STEP for error in errors.values())


def is_equivalent(mutant: Mutant) -> str:
    """Why a mutant computes the same gradients as the original; empty if it does not.

    Layer norm: mu is the mean of what var is the variance of, so that d var / d mu = -2/H Sum (c - mu) = 0.  The part of
    d_mu3 that comes through var3 may be dropped, and its sign or its factor d_var3 changed, and nothing is different.
    (In the statistics over all gates only the four parts together are zero; a mutant changes one of them.)
    """
    if mutant.program.equation(mutant.equation).target != "d_mu3":
        return ""
    factor = sp.IndexedBase("d_var3")
    if mutant.term.has(factor) and (
        mutant.kind in ("drop", "sign") or (mutant.access and mutant.access.base == factor)
    ):
        return "the centred values of a row add up to zero"
    return ""


@pytest.fixture(params=engine_tools.FIVE)
def cell(request: pytest.FixtureRequest) -> str:
    return request.param


def test_every_mutant_is_caught(cell: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    program = engine_tools.derived(cell)
    monkeypatch.setattr(check, "interpret", forward_once(program))
    assert not is_caught(program), "the derivation itself must pass"
    caught: Counter[str] = Counter()
    survivors, equivalent = [], []
    for mutant in mutants(program):
        if is_caught(mutant.program):
            caught[mutant.kind] += 1
            assert not is_equivalent(mutant), f"{mutant} was said to be equivalent and is not"
        elif is_equivalent(mutant):
            equivalent.append(mutant)
        else:
            survivors.append(str(mutant))
    total = caught.total() + len(survivors)
    with capsys.disabled():
        print(
            f"\n{cell}: {caught.total()} of {total} mutants caught ({dict(sorted(caught.items()))}), "
            f"{len(equivalent)} more are equivalent"
        )
    assert not survivors, "\n".join(survivors)
    assert caught["drop"] and caught["sign"] and caught["time"]
    assert bool(caught["gate"]) == bool(program.facts.gates)


def test_every_adjoint_equation_has_mutants(cell: str) -> None:
    program = engine_tools.derived(cell)
    seen = {(m.equation, m.kind) for m in mutants(program)}
    for equation in adjoints(program):
        assert (equation.id, "drop") in seen and (equation.id, "sign") in seen
        timed = any(ir.time_of(a, program.tensors) is not None for a in ir.accesses(equation.rhs, program.tensors))
        assert not timed or (equation.id, "time") in seen


def test_the_shortcut_of_these_tests_changes_no_verdict(monkeypatch: pytest.MonkeyPatch) -> None:
    """`forward_once` against the check as it is, on every mutant of the smallest cell."""
    program = engine_tools.derived("rnn")
    found = [check.adjoint_errors(m.program, SIZES, seed=1) for m in mutants(program) if m.kind != "time"]
    monkeypatch.setattr(check, "interpret", forward_once(program))
    assert found == [check.adjoint_errors(m.program, SIZES, seed=1) for m in mutants(program) if m.kind != "time"]


def test_a_check_at_two_steps_and_zero_states_would_miss_what_this_one_catches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Why the conditions matter: a well-known derivation drops the cell's own path, c-bar(t+1) f(t+1), and passes those.

    Only the gradient of U_f is looked at, as its author did.
    """
    program = engine_tools.derived("lstm")
    path = next(
        m for m in mutants(program) if m.kind == "drop" and m.equation == "B3" and m.term.has(sp.IndexedBase("f"))
    )
    values = check.draw(program, {**check.SMALL, **SIZES, "T": 2}, 1)
    values["h_0"][:] = values["c_0"][:] = 0
    right, wrong = (reference.run(p, values, {**SIZES, "T": 2})["d_U_f"] for p in (program, path.program))
    assert engine_tools.relative(wrong, right) < check.LIMIT_COMPLEX_STEP
    assert check.adjoint_errors(path.program, SIZES, seed=1)["U_f"] > 1e-3
