"""The transcriptions of examples/audit/: what is known to be wrong with each source is found, and nothing else."""

from __future__ import annotations

import pytest
from audit_tools import EXAMPLES, example

from derive.audit import Row, Verdict

RIGHT = ("nicodjimenez_lstm", "pytorch_lstm_cell", "greff_2017")
WRONG = ("hanbingtao_581764", "rnn_vignette")


def wrong_rows(name: str) -> dict[str, list[Verdict]]:
    return {row.label: [f.verdict for f in row.findings] for row in example(name).rows if row.findings}


def only(row: Row) -> tuple[str, str, str]:
    """Verdict, the author's term and the derived term of the only finding on an equation."""
    (finding,) = row.findings
    found = example("hanbingtao_581764")
    return (
        str(finding.verdict),
        found.term(row.label, finding.written) if finding.written else "",
        found.term(row.label, finding.derived) if finding.derived else "",
    )


def test_every_example_is_tested() -> None:
    assert {path.stem for path in EXAMPLES.glob("*.py")} == {*RIGHT, *WRONG}


@pytest.mark.parametrize("name", RIGHT)
def test_a_right_derivation_is_right_in_every_equation(name: str) -> None:
    found = example(name)
    assert found.ok
    assert len(found.rows) > 15
    assert found.unstated == ()
    for row in found.rows:
        assert not row.by_value, f"{row.label} is only equal by value"
        assert row.errors.first is None
        assert max(row.errors.by_length.values()) < 1e-12


def test_hanbingtao_lacks_the_way_through_the_cell() -> None:
    found = example("hanbingtao_581764")
    for gate, rest in (("f", "c[t - 1, n]"), ("i", "g[t, n]"), ("g", "i[t, n]")):
        verdict, written, derived = only(found.row(f"delta_{gate}"))
        assert (verdict, written) == ("missing term", "")
        assert "∂L/∂c[t + 1, n]" in derived
        assert "f[t + 1, n]" in derived
        assert rest in derived
        assert derived.endswith("for t = 1..T - 1")
        assert found.row(f"delta_{gate}").first == 2
    assert found.row("delta_o").right
    assert found.row("delta_h").right


def test_hanbingtao_copies_delta_f_into_two_bias_gradients() -> None:
    found = example("hanbingtao_581764")
    for gate in ("i", "o"):
        (finding,) = found.row(f"db_{gate}").findings
        assert finding.verdict is Verdict.SYMBOL
        assert finding.text(found.shown) == f"delta_f[t, n] stands where delta_{gate}[t, n] belongs"
    assert found.row("db_f").right
    assert found.row("db_g").right


def test_hanbingtao_takes_the_last_step_for_the_sum() -> None:
    found = example("hanbingtao_581764")
    for gate in ("f", "i", "o", "g"):
        (finding,) = found.row(f"dW_{gate}").findings
        assert finding.verdict is Verdict.RANGE
        assert finding.text() == "stands for t = T, belongs to t = 1..T"
        assert found.row(f"dU_{gate}").right  # the recurrent matrices are summed


def test_hanbingtao_has_no_other_errors() -> None:
    labels = {*(f"delta_{q}" for q in "fig"), *(f"dW_{q}" for q in "fiog"), "db_i", "db_o"}
    assert set(wrong_rows("hanbingtao_581764")) == labels


def test_hanbingtao_passes_its_own_gradient_check() -> None:
    """dU_f at T = 2 from h(0) = 0 has no error; one step more, or an initial state, and it has."""
    blind, sighted = example("hanbingtao_581764", zero_state=True).row("dU_f"), example("hanbingtao_581764").row("dU_f")
    assert blind.right
    assert sighted.right  # the equation: its deltas are wrong
    assert blind.errors.by_length[2] < 1e-12
    assert blind.first == 3
    assert 0.05 < blind.errors.by_length[3] < blind.errors.by_length[5]
    assert sighted.first == 2
    assert sighted.errors.by_length[2] > 0.05
    assert sighted.blame == ("delta_f",)
    assert example("hanbingtao_581764").row("dU_o").blame == ("delta_f", "delta_i", "delta_g")  # by way of delta_h


def test_the_vignette_multiplies_where_it_must_add() -> None:
    found = example("rnn_vignette")
    (finding,) = found.row("d8").findings
    assert finding.verdict is Verdict.PRODUCT
    assert finding.written is not None
    assert finding.derived is not None
    assert {"d3[t, n]", "d8[t + 1, n]"} <= set(found.shown(finding.written.expr).split("·"))
    assert " + " in found.shown(finding.derived.expr)
    assert found.row("d8").errors.by_length[2] == pytest.approx(1.0)  # the product starts at 0 and stays there


def test_the_vignette_has_a_wrong_symbol_in_two_deltas() -> None:
    found = example("rnn_vignette")
    (delta,) = found.row("d3").findings
    assert delta.verdict is Verdict.SYMBOL
    assert delta.text(found.shown) == "d16[t + 1, k] stands where d15[t + 1, k] belongs"
    assert found.innermost(delta) == "d22"
    shape, matrix = found.row("d26").findings
    assert shape.verdict is Verdict.SHAPE
    assert matrix.verdict is Verdict.SYMBOL
    assert matrix.text(found.shown) == "W_f[j, k] stands where U_f[j, k] belongs"
    assert found.innermost(matrix) == "d23"


def test_the_vignette_has_no_other_errors() -> None:
    assert set(wrong_rows("rnn_vignette")) == {"d3", "d8", "d26"}


@pytest.mark.parametrize("name", [*RIGHT, *WRONG])
def test_each_example_names_its_source(name: str) -> None:
    assert "\nSource" in (EXAMPLES / f"{name}.py").read_text(encoding="utf-8")
