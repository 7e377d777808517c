"""Gradient flow: the matrices that the kernels give, against a complex step; what is said of them, against theory."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from derive import registry
from derive.cli import main
from derive.errors import DeriveError
from derive.flow import measure
from derive.flow.measure import WHOLE, Start, flow
from derive.notation import Sum, cell, j, k, n, sigmoid, t, tanh
from derive.verify import interpreter as reference

CELLS = ("rnn", "lstm", "gru", "lstm_peephole", "lstm_layernorm", "lstm_toy", "lstm_readout")


def inputs_of(name: str, params: dict[str, Any]) -> dict[str, Any]:
    """The parameters by the names of the cell's tensors."""
    source = registry.cell(name).source
    return {x.name: measure._part(source, params, x.name) for x in source.of_role("param")}


def complex_step(name: str, params: dict[str, Any], x: Any, state: tuple[Any, ...], H: int) -> Any:
    """d state(end)/d state(start), (S, S), through the interpreter: no derived equation, no C."""
    program = registry.cell(name).program()
    states = program.facts.states
    sizes = {"T": len(x), "I": x.shape[1], "H": H, **{d: H for d in program.facts.sizes}}
    values = {**inputs_of(name, params), program.facts.inputs[0]: x}
    values |= {f"{s}_0": value for s, value in zip(states, state, strict=True)}
    total = sum(value.size for value in state)
    start = 0
    for s, value in zip(states, state, strict=True):
        swept = np.broadcast_to(value.astype(complex), (total, value.size)).copy()
        swept[start + np.arange(value.size), np.arange(value.size)] += 1e-30j
        values[f"{s}_0"] = swept
        start += value.size
    found = reference.run(program, values, sizes)
    return np.concatenate([np.imag(found[f"{s}_T"]) / 1e-30 for s in states], axis=1).T


@pytest.mark.parametrize("name", CELLS)
def test_the_matrices_are_those_of_a_complex_step(name: str) -> None:
    """Norms at every lag, and the Jacobian of the last step, of one sequence; nothing of the derivation is shared."""
    T, H, one = 5, 3, registry.cell(name)
    start = measure.starts(name)[-1]
    found = flow(name, start, T=T, H=H, samples=1, seed=3)
    module = measure.compiled(one)
    params = measure.parameters(one, module, start, H, 3)
    x = np.random.default_rng([3, 1]).normal(size=(T, 1, H))
    states = [tuple(np.zeros((1, size)) for size in found.states.values())]
    for step in range(T):
        states.append(module.infer(x[step : step + 1], params, states[-1])[1])
    for lag in range(1, T + 1):
        whole = complex_step(name, params, x[T - lag :, 0], tuple(s[0] for s in states[T - lag]), H)
        assert found.norms[WHOLE][lag] == pytest.approx(np.linalg.norm(whole, 2), rel=1e-11)
        for state, where in measure._places(found.states).items():
            assert found.norms[state][lag] == pytest.approx(np.linalg.norm(whole[where, where], 2), rel=1e-11)
        if lag == 1:
            np.testing.assert_allclose(found.jacobians[0], whole, rtol=1e-11, atol=1e-14)
            np.testing.assert_allclose(found.values[0], np.linalg.svd(whole, compute_uv=False), rtol=1e-10, atol=1e-14)
            traces = [np.trace(np.linalg.matrix_power(whole, power)) for power in (1, 2, 3)]  # Newton's sums
            np.testing.assert_allclose([(found.eigenvalues[0] ** p).sum() for p in (1, 2, 3)], traces, rtol=1e-9)


def test_the_cell_alone_is_the_product_of_the_forget_gates() -> None:
    """The constant error carousel: the block of c is diag(f), so its product is that of the forget gates."""
    T, H = 6, 4
    found = flow("lstm", Start(keep=2.0, scale=1.0), T=T, H=H, samples=1)
    one = registry.cell("lstm")
    params = measure.parameters(one, measure.compiled(one), found.start, H, 0)
    x = np.random.default_rng([0, 1]).normal(size=(T, 1, H))[:, 0]
    values = {**inputs_of("lstm", params), "x": x, "h_0": np.zeros(H), "c_0": np.zeros(H)}
    f = reference.run(one.program(), values, {"T": T, "I": H, "H": H})["f"]
    np.testing.assert_allclose(found.block("c")[0], np.diag(f[-1]), rtol=1e-12, atol=1e-15)
    for lag in range(T + 1):
        assert found.alone["c"][lag] == pytest.approx(np.prod(f[T - lag :], axis=0).max(), rel=1e-12)
    assert found.carrier == "c"
    assert found.gates == ("f",)


@pytest.mark.parametrize("scale", [0.5, 0.9, 1.0])
def test_a_simple_network_vanishes_at_least_as_fast_as_its_matrix(scale: float) -> None:
    """Pascanu et al. 2013, section 2.1: |tanh'| <= 1, so the norm is at most scale^lag."""
    found = flow("rnn", Start(scale=scale), T=40, H=8)
    assert (found.norms["h"] <= scale**found.lags * (1 + 1e-12)).all()
    assert found.norms["h"][0] == 1.0


def test_gates_keep_what_a_simple_network_loses() -> None:
    simple = flow("rnn", Start(scale=1.0))
    gated = [flow("lstm", Start(keep=keep, scale=1.0)) for keep in (0.0, 1.0, 3.0)]
    rates = [found.rate() for found in gated]
    assert rates == sorted(rates)
    assert simple.norms[WHOLE][-1] < 1e-9
    assert gated[-1].norms["c"][-1] > 1.0
    assert gated[-1].alone["c"][-1] > 0.01  # the carousel alone: about 0.96 a step
    assert flow("gru", Start(keep=3.0, scale=1.0)).rate() > 0.95


def test_small_inputs_show_the_explosion() -> None:
    grows = flow("rnn", Start(scale=1.1), inputs=0.1)
    assert grows.rate() > 1.0 > flow("rnn", Start(scale=0.9), inputs=0.1).rate()
    assert np.abs(grows.eigenvalues).max() > 1.0


def test_overflow_is_infinite_and_no_crash() -> None:
    @cell(states="h")
    def linear(x, h, W, U):
        h[t, n] = Sum(W[n, j] * x[t, j], j) + Sum(U[n, k] * h[t - 1, k], k)

    found = flow(linear, Start(scale=1e4), T=90, H=2, samples=1)
    assert found.norms["h"][-1] == np.inf
    np.testing.assert_allclose(found.norms["h"][:50], 1e4 ** np.arange(50.0), rtol=1e-10)


def test_one_minus_a_gate_keeps_with_the_opposite_sign() -> None:
    @cell(states="h", gates="z g")
    def minimal(x, h, W, b, a, z, g):
        for q in (z, g):
            a[q][t, n] = Sum(W[q][n, j] * x[t, j], j) + b[q][n]
        z[t, n] = sigmoid(a[z][t, n])
        g[t, n] = tanh(a[g][t, n])
        h[t, n] = (1 - z[t, n]) * h[t - 1, n] + z[t, n] * g[t, n]

    assert measure.keeping(minimal.source) == {"z": -1}
    assert measure.recurrent(minimal.source) == []
    assert measure.starts(minimal) == [Start(0.0), Start(1.0), Start(3.0)]
    assert measure.keeping(registry.cell("gru").source) == {"z": 1}
    assert measure.keeping(registry.cell("rnn").source) == {}
    # The only path is the gate, so the whole Jacobian is diag(1 - z) and a larger bias keeps more.
    less, more = (flow(minimal, Start(keep), T=10, H=3, samples=1) for keep in (0.0, 3.0))
    assert less.norms["h"][-1] < 0.1 < more.norms["h"][-1] < 1.0
    np.testing.assert_allclose(less.block("h")[0], np.diag(np.diag(less.block("h")[0])), atol=1e-15)


def test_starts_are_what_a_cell_has_a_place_for() -> None:
    assert measure.starts("rnn") == [Start(scale=s) for s in (0.9, 1.0, 1.1)]
    assert measure.starts("lstm") == [Start(k, 1.0) for k in (0.0, 1.0, 3.0)]
    assert measure.starts("rnn", keeps=[1.0]) == [Start()]
    assert len(measure.starts("lstm", [0.9, 1.1], [0.0, 3.0])) == 4
    with pytest.raises(DeriveError, match="cell rnn: no gate multiplies an old state"):
        flow("rnn", Start(keep=1.0))
    with pytest.raises(DeriveError, match="T must be at least 1, found 0"):
        flow("rnn", T=0)


def test_a_cell_that_is_not_compiled_is_built(monkeypatch: pytest.MonkeyPatch) -> None:
    built: list[str] = []
    real = measure.build

    def build(one: Any, loss: Any) -> Any:
        built.append(one.name)
        return real(one, loss)

    monkeypatch.setitem(sys.modules, "derive.generated.rnn", None)
    monkeypatch.setattr(measure, "build", build)
    assert flow("rnn", T=3, H=2).T == 3
    assert built == ["rnn"]


def test_without_a_compiler_the_error_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "derive.generated.rnn", None)
    monkeypatch.setenv("CC", "no-such-compiler")
    monkeypatch.setenv("DERIVE_CACHE", str(tmp_path))
    with pytest.raises(DeriveError, match=r"no C compiler.*no-such-compiler"):
        flow("rnn", T=3, H=2)


# -- the command -------------------------------------------------------------------------------------------------------


def command(*arguments: str) -> Result:
    return CliRunner(env={"COLUMNS": "160"}).invoke(main, ["flow", *arguments], catch_exceptions=False)


def test_the_tables_show_the_numbers_of_the_records() -> None:
    result = command("rnn", "lstm", "-T", "30", "-H", "8", "--seed", "2")
    assert result.exit_code == 0
    for name in ("rnn", "lstm"):
        for start in measure.starts(name):
            found = flow(name, start, T=30, H=8, seed=2)
            line = next(s for s in result.output.splitlines() if re.search(rf"^ *{name} +{start} +(h|state) ", s))
            for number in (f"{found.norms[WHOLE][1]:.1e}", f"{found.norms[WHOLE][30]:.1e}", f"{found.rate():.3f}"):
                assert number in line
    assert "c alone" in result.output
    assert "bias of the gates that multiply an old state (f of lstm)" in result.output


def test_the_tables_fit_into_eighty_columns() -> None:
    result = CliRunner(env={"COLUMNS": "80"}).invoke(main, ["flow", "rnn", "lstm", "-T", "100", "-H", "4"])
    assert "…" not in result.output


def test_the_picture_is_written(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    target = tmp_path / "flow.png"
    result = command("rnn", "lstm", "-T", "5", "-H", "3", "-o", str(target))
    assert result.exit_code == 0
    assert target.read_bytes().startswith(b"\x89PNG")
    assert command("rnn", "-T", "5", "-o", str(tmp_path / "flow.xyz")).exit_code == 2
    missing = command("rnn", "-T", "5", "-o", str(tmp_path / "no" / "flow.png"))
    assert missing.exit_code == 2
    assert "there is no folder" in missing.stderr


def test_without_matplotlib_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    result = command("rnn", "-T", "5", "-o", str(tmp_path / "flow.png"))
    assert result.exit_code == 2
    assert "lstm-derive[demo]" in result.stderr
    assert command("rnn", "-T", "5").exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["lstn"], "no cell named 'lstn'"),
        (["lstm", "--keep", "1,a"], "no list of numbers"),
        (["lstm", "-T", "0"], "0 is not in the range"),
        ([], "Missing argument"),
    ],
)
def test_mistakes_are_explained(arguments: list[str], words: str) -> None:
    result = command(*arguments)
    assert result.exit_code == 2
    assert words in result.stderr
