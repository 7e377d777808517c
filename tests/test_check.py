"""`derive check` says what is right, and above all what is wrong."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from derive import check, registry
from derive.errors import DeriveError
from derive.pipeline import model

CELLS = sorted(registry.shipped())


@pytest.mark.parametrize("name", CELLS)
def test_the_derivation_of_every_cell(name):
    rows = check.derivation(model(registry.cell(name)))
    assert rows and all(row.ok for row in rows), [r for r in rows if not r.ok]
    compared = {row.gradient.split("[")[0] for row in rows}
    made = model(registry.cell(name))
    assert compared == {*made.meta["params"], "x", *(f"{s}0" for s in made.meta["states"])}


def test_all_references_of_one_cell():
    rows = check.run("rnn")
    assert all(row.ok for row in rows), [r for r in rows if not r.ok]
    assert {"complex step", "mpmath", "NumPy"} <= {row.reference for row in rows}
    for dtype in ("float32", "float64"):
        gradients = {row.gradient for row in rows if row.reference == "mpmath" and row.dtype == dtype}
        assert gradients == {"loss", "x", "weight_ih", "weight_hh", "bias", "h0"}


def test_a_dropped_term_fails():
    """The check must not pass whatever it is given: without one of the two parents of c, gradients are wrong."""
    made = model(registry.cell("lstm"))
    broken = [
        replace(e, rhs=e.rhs - next(a for a in e.rhs.args if "carry_c" in str(a))) if e.target == "d_c" else e
        for e in made.adjoint.equations
    ]
    errors = check.adjoint_errors(made.adjoint.with_equations(broken))
    assert errors["W_f"] > 1e-3 and errors["h_0"] > 1e-3
    assert errors["b_o"] <= check.LIMIT_COMPLEX_STEP or errors["b_o"] > 1e-6  # o is reached through h alone


def test_wrong_kernels_fail():
    """A module whose gradients are off by a part in a million fails against every reference."""
    from derive import load

    made = model(registry.cell("rnn"))

    class Wrong:
        @staticmethod
        def loss_and_grad(*args):
            loss, grads = load("rnn").loss_and_grad(*args)
            return loss, {**grads, "h0": grads["h0"] * np.asarray(1 + 1e-5, grads["h0"].dtype)}

    rows = check.compiled(made, Wrong, "mpmath", check.SMALL, lambda problem: check.fifty_digits(made, problem))
    assert {(r.gradient, r.dtype) for r in rows if not r.ok} == {("h0", "float64"), ("h0", "float32")}


def test_nan_fails():
    assert not check.Row("rnn", "float32", "x", "NumPy", float("nan"), 1.0).ok


def test_unknown_cell():
    with pytest.raises(DeriveError, match=r"no cell named 'elman': there are gru, lstm"):
        check.run("elman")


def test_only_results_of_vjp():
    with pytest.raises(DeriveError, match="no result of vjp"):
        check.adjoint_errors(registry.cell("rnn").program())
