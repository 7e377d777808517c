"""The demo: true data, a true Adam, nothing that peeks at the held-out years, an LSTM that learns."""

from __future__ import annotations

import importlib
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from click.testing import CliRunner

from derive.demo import forecast, toy, training
from derive.demo.data import sunspots
from derive.demo.forecast import Recipe

QUICK = Recipe(hidden=16, window=40, steps=60)


@pytest.fixture(scope="module")
def readout() -> ModuleType:
    return importlib.import_module("derive.generated.lstm_readout")


def quiet(step: int, loss: float) -> None:
    """A progress callback that shows nothing."""


def test_the_sunspot_series_is_complete() -> None:
    years, numbers = sunspots()
    assert years.tolist() == list(range(1700, 2009))
    assert (numbers[0], numbers[-1], numbers.max(), years[numbers.argmax()]) == (5.0, 2.9, 190.2, 1957)
    assert (numbers >= 0).all()


def test_adam_is_the_algorithm_of_the_paper() -> None:
    """Algorithm 1 of Kingma & Ba, written out with the corrected moments; ours folds the corrections into the rate."""
    random = np.random.default_rng(0)
    w = random.normal(size=5)
    params = {"w": w.copy()}
    adam = training.Adam(params, epsilon=0)
    m = v = np.zeros(5)
    for t in range(1, 6):
        g = random.normal(size=5)
        adam.step({"w": g, "x": g}, rate=0.1)
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
        w = w - 0.1 * (m / (1 - 0.9**t)) / np.sqrt(v / (1 - 0.999**t))
    np.testing.assert_allclose(params["w"], w, rtol=1e-13)
    assert list(params) == ["w"]


def test_clipping_bounds_the_joint_norm_and_keeps_the_direction() -> None:
    grads = {"a": np.array([3.0]), "b": np.array([[4.0]]), "x": np.array([100.0])}
    assert training.clip(grads, ["a", "b"], 1.0) == pytest.approx(5.0)
    assert (grads["a"][0], grads["b"][0, 0], grads["x"][0]) == pytest.approx((0.6, 0.8, 100.0))
    assert training.clip(grads, ["a", "b"], 1.0) == pytest.approx(1.0)
    assert (grads["a"][0], grads["b"][0, 0]) == pytest.approx((0.6, 0.8))


def test_the_rate_fades_from_full_to_nothing() -> None:
    rates = [training.cosine(step, 10, 0.5) for step in range(11)]
    assert rates[0] == 0.5 and rates[10] == pytest.approx(0) and rates == sorted(rates, reverse=True)


def test_the_split_is_chronological_and_the_errors_count_the_right_years() -> None:
    data = forecast.series()
    assert data.cuts == (221, 256)
    perfect = data.values[1:]
    for part, years in (("train", 220), ("validation", 35), ("held-out", 53)):
        assert data.error(perfect, part) == 0
        off = perfect.copy()
        off[{"train": 100, "validation": 221, "held-out": -1}[part]] += 1
        assert data.error(off, part) == pytest.approx(years**-0.5)
    np.testing.assert_allclose(data.unscaled(data.scaled), data.values, atol=1e-12)


def test_autoregression_finds_the_coefficients_of_a_series_that_is_one() -> None:
    value = [1.0, 2.0]
    for _ in range(60):
        value.append(3 + 0.5 * value[-1] - 0.8 * value[-2])
    data = forecast.Series(np.arange(62), np.array(value), train=40, validation=50)
    predicted = forecast.autoregression(data, 2, roots=False)
    np.testing.assert_allclose(predicted[1:], data.values[2:], rtol=1e-9)


def test_windows_stay_within_the_training_years() -> None:
    data = forecast.series()
    data = replace(data, values=np.where(data.years <= data.train, data.values, np.nan))
    batches = forecast.windows(data, QUICK, seed=0)
    seen = set()
    for _ in range(200):
        x, y = next(batches)
        assert x.shape == y.shape == (QUICK.window, QUICK.batch, 1)
        assert np.isfinite(x).all() and np.isfinite(y).all()
        np.testing.assert_array_equal(x[1:], y[:-1])
        seen.update(y[-1].ravel().tolist())
    assert np.float32(data.scaled[data.cuts[0] - 1]) in seen, "the last training year is never a target"


def test_nothing_peeks_at_the_held_out_years(readout: ModuleType) -> None:
    """Change every held-out value: what was fitted and chosen, and every prediction up to the first of them, stay."""
    data = forecast.series()
    cut = data.cuts[1]
    other = replace(data, values=np.where(data.years <= data.validation, data.values, 55.0))
    for roots in (False, True):
        (order, predicted), (same, again) = (forecast.best_autoregression(d, roots) for d in (data, other))
        assert order == same
        np.testing.assert_array_equal(predicted[:cut], again[:cut])
    first, second = (forecast.train(readout, d, QUICK, 0, quiet) for d in (data, other))
    assert (first.step, first.validation) == (second.step, second.validation)
    np.testing.assert_array_equal(first.predicted[:cut], second.predicted[:cut])


def test_a_prediction_does_not_know_its_own_year(readout: ModuleType) -> None:
    data, params = forecast.series(), forecast.start(readout, QUICK, 0)
    for year in (1800, 1930, 2000):
        values = data.scaled.copy()
        values[year - 1700] += 1.0
        before, after = (forecast.predict(readout, data, v, params) for v in (data.scaled, values))
        changed = data.years[1:][before != after]
        assert changed[0] == year + 1, "a value shows first in the prediction for the year after it"


def test_the_lstm_learns_the_series(readout: ModuleType) -> None:
    """With three networks instead of the demo's five, and with room for other machines' rounding."""
    data, steps = forecast.series(), []
    fits = [forecast.train(readout, data, Recipe(), seed, lambda step, loss: steps.append(step)) for seed in range(3)]
    assert steps == list(range(1, Recipe().steps + 1)) * 3
    mean = np.mean([fit.predicted for fit in fits], axis=0)
    linear = forecast.best_autoregression(data, roots=False)[1]
    assert data.error(mean, "validation") < 0.9 * data.error(linear, "validation")
    for part in ("validation", "held-out"):
        assert data.error(mean, part) < 0.7 * data.error(forecast.persistence(data), part)


def test_the_toy_retraces_the_hand_written_program() -> None:
    losses = toy.learn(importlib.import_module("derive.generated.lstm_toy"))
    assert len(losses) == 100
    assert (losses[0], losses[-1]) == pytest.approx(toy.WITNESS, rel=5e-4)
    assert losses[-1] < 1e-5


def run_demo(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> str:
    from derive.cli import main
    from derive.demo import steps as demo

    monkeypatch.setattr(demo, "SEEDS", 1)
    monkeypatch.setattr(forecast, "Recipe", lambda: QUICK)
    result = CliRunner(env={"COLUMNS": "120"}).invoke(main, ["demo", *arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def test_the_demo_runs_from_equations_to_plot(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    target = tmp_path / "plot.png"
    output = run_demo(monkeypatch, "-o", str(target))
    for words in ("The equations", "F1:", "The derivation", "S1", "The C", "The checks", "7.535e-01", "AR("):
        assert words in output
    assert "FAILED" not in output
    assert target.read_bytes().startswith(b"\x89PNG")


def test_without_matplotlib_the_demo_finishes_and_says_how_to_get_the_plot(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "matplotlib", None)
    output = run_demo(monkeypatch, "-o", str(tmp_path / "plot.png"))
    assert "pip install 'lstm-derive[demo]'" in output
    assert not (tmp_path / "plot.png").exists()
