"""The benchmark harness: what it computes from timings, what it writes, and that a wrong contender is not timed."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import machine, measure, report, results, shapes, stats, targets, threads, worker
from benchmarks.peers import PEERS, make
from benchmarks.peers.steps import STEPS, stacked, unstacked
from benchmarks.problem import Contender, Unsupported, compare, problem
from benchmarks.readme import fill
from benchmarks.settings import Settings
from benchmarks.shapes import Shape

ROOT = Path(__file__).resolve().parent.parent


# -- statistics and timing


def test_median_and_quartiles() -> None:
    found = stats.spread([4.0, 1.0, 2.0, 3.0, 10.0])
    assert found == (3.0, 2.0, 4.0, 5)
    assert found.relative == pytest.approx(2 / 3)
    with pytest.raises(ValueError, match="no values"):
        stats.spread([])


def test_geometric_mean() -> None:
    assert stats.geometric_mean([2.0, 8.0]) == pytest.approx(4.0)
    assert np.isnan(stats.geometric_mean([]))


@pytest.mark.parametrize(("turns", "rounds"), [(3, 15), (15, 15), (7, 15), (5, 12)])
def test_turns_are_as_many_as_wanted_and_evenly_spread(turns: int, rounds: int) -> None:
    taken = [number for number in range(rounds) if measure.takes_part(number, turns, rounds)]
    assert len(taken) == turns
    gaps = np.diff(taken)
    assert gaps.max(initial=0) - gaps.min(initial=rounds) <= 1


def test_slow_contenders_have_fewer_turns_than_fast_ones() -> None:
    assert measure.turns_of(1e-3, 0.3) == measure.ROUNDS
    assert measure.turns_of(0.14, 0.3) == measure.LEAST
    assert measure.turns_of(2.0, 0.3) == measure.FEW


class Clock:
    """Time that passes only when a contender says so; half of it on this process's processors."""

    def __init__(self) -> None:
        self.now = 0.0

    def perf_counter(self) -> float:
        return self.now

    def process_time(self) -> float:
        return self.now / 2


def test_contenders_take_turns_between_probes(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    monkeypatch.setattr(measure, "time", clock)
    order: list[str] = []

    def contender(name: str, seconds: float) -> Callable[[], None]:
        def call() -> None:
            order.append(name)
            clock.now += seconds

        return call

    def probe(number: int) -> None:
        order.append(f"probe {number}")
        clock.now += 1.0  # counts for no contender

    calls = {"fast": contender("fast", 1e-4), "slow": contender("slow", 40e-3)}
    found = measure.interleave(calls, 0.15, probe, pause=lambda: None)
    assert found["fast"].seconds == pytest.approx([1e-4] * measure.ROUNDS)
    assert found["fast"].calls in range(99 * measure.ROUNDS, 101 * measure.ROUNDS)
    # Round 0 finds out how long each takes, and is a sample of the slow one, whose single call fills its turn.
    assert found["slow"].seconds == pytest.approx([40e-3] * (1 + measure.LEAST))
    assert found["slow"].busy == pytest.approx(0.5)
    assert [name for name in order if name.startswith("probe")] == [f"probe {n}" for n in range(measure.ROUNDS + 1)]
    # Between two turns of the slow one the fast one has its own: they share the minutes.
    slow = [at for at, name in enumerate(order) if name == "slow"][1:]
    assert all("fast" in order[first:last] for first, last in pairwise(slow) if last > first + 1)


def test_a_call_that_was_interrupted_once_is_not_a_slow_one(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    monkeypatch.setattr(measure, "time", clock)
    durations = iter([30e-3])

    def call() -> None:
        clock.now += next(durations, 1e-4)

    found = measure.interleave({"fast": call}, 0.15, lambda number: None, pause=lambda: None)
    assert found["fast"].seconds == pytest.approx([1e-4] * measure.ROUNDS)


# -- work, traffic, bounds


def test_work_is_that_of_the_formulas() -> None:
    T, B, I, H = shape = Shape(5, 3, 7, 11)
    assert shapes.flop("lstm", shape, "inference") == 8 * T * B * H * (H + I)
    assert shapes.flop("lstm", shape, "training", with_dx=True) == 24 * T * B * H * (H + I)
    assert shapes.flop("lstm", shape, "training") == 24 * T * B * H * (H + I) - 8 * T * B * H * I
    assert shapes.flop("gru", shape, "inference") == 6 * T * B * H * (H + I)


def test_matrices_of_every_cell_are_counted() -> None:
    for cell in ("lstm", *shapes.CELLS):
        posed = problem(cell, Shape(1, 1, 2, 3), "float32")
        assert posed.params["weight_hh"].shape[0] == 3 * shapes.GATES.get(cell, 4), cell


def test_the_cache_that_holds_the_weights() -> None:
    caches = {"L1": 32 << 10, "L2": 1 << 20, "L3": 32 << 20}
    found = [shapes.level(Shape(1, 1, hidden, hidden), "float32", caches, 1) for hidden in (32, 64, 256, 512, 2048)]
    assert found == ["L1", "L2", "L2", "L3", "DRAM"]
    assert shapes.level(Shape(1, 1, 64, 64), "float32", caches, 2) == "L1"


def test_the_bound_is_bandwidth_for_one_sequence_and_the_peak_for_many() -> None:
    peak, width = 1e11, 1e10
    one, many = Shape(10, 1, 64, 64), Shape(10, 64, 64, 64)
    streamed = 10 * 4 * 64 * 64 * 4 / width
    assert shapes.bound(one, "inference", "float32", peak, width) == pytest.approx(streamed + 8 * 10 * 64 * 64 / peak)
    assert shapes.bound(many, "inference", "float32", peak, width) == pytest.approx(8 * 10 * 64 * 64 * 128 / peak)
    assert shapes.bound(many, "training", "float32", peak, width) == pytest.approx(
        shapes.flop("lstm", many, "training") / peak
    )


@pytest.mark.parametrize("text", ["1,2,3", "1,2,3,x", "0,1,2,3", ""])
def test_a_shape_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="four positive integers"):
        Shape.parse(text)


# -- contenders


class Swapped:
    """A peer that takes the gates in another order."""

    def start(self, threads: int) -> dict[str, Any]:
        return {"version": "", "threads": threads}

    def prepare(self, posed: Any, op: str) -> Contender:
        made = make("ours").prepare(posed, op)

        def result(found: Any) -> Any:
            parts = made.result(found)
            return {**parts, "weight_hh": np.roll(parts["weight_hh"], posed.shape.H, axis=0)}

        return Contender(made.call, result)


def test_a_wrong_peer_is_not_timed() -> None:
    posed = problem("lstm", Shape(4, 2, 3, 5), "float32")
    contenders, _, skipped = worker._checked(posed, "training", {"ours": make("ours"), "swapped": Swapped()})
    assert list(contenders) == ["ours"]
    assert skipped["swapped"].startswith("wrong: weight_hh differs by")


def test_comparison_names_what_is_wrong() -> None:
    want = {"out": np.ones((2, 3)), "loss": np.asarray(1.0)}
    assert compare(want, {"out": np.ones((2, 3)), "more": np.zeros(1)}, "float64") == 0.0
    with pytest.raises(Unsupported, match=r"out has shape \(3, 2\)"):
        compare(want, {"out": np.ones((3, 2))}, "float64")
    with pytest.raises(Unsupported, match="out differs"):
        compare(want, {"out": np.full((2, 3), np.nan)}, "float64")
    with pytest.raises(Unsupported, match="nothing to compare"):
        compare(want, {}, "float64")


def test_matrices_of_a_cell_are_put_together_as_they_were_taken_apart() -> None:
    for cell in STEPS:
        params = problem(cell, Shape(1, 1, 2, 3), "float64").params
        again = stacked(cell, unstacked(cell, params), np.concatenate)
        assert again.keys() == params.keys()
        assert all(np.array_equal(again[name], params[name]) for name in params)


# -- the results file, the tables, the README


def figure(seconds: float, flop: float = 1e6) -> dict[str, Any]:
    spread = {"median": seconds, "q1": seconds * 0.9, "q3": seconds * 1.1, "samples": 5}
    return {**spread, "calls": 10, "busy": 1.0, "error": 0.0, "flop": flop}


def row(
    threads: int = 1, op: str = "training", shape: tuple[int, ...] = (10, 1, 8, 64), **times: float
) -> dict[str, Any]:
    work = shapes.flop("lstm", Shape(*shape), op)
    return {
        "cell": "lstm", "shape": list(shape), "dtype": "float32", "op": op, "threads": threads, "flop": work,
        "peak": {"median": 1e11 * threads, "q1": 9e10, "q3": 1.1e11, "samples": 5},
        "bandwidth": {"L1": 4e11, "L2": 2e11, "L3": 1e11, "DRAM": 3e10},
        "figures": {name: figure(seconds, work) for name, seconds in times.items()},
        "skipped": {"jax": "jax is not installed"},
    }  # fmt: skip


def found(*rows: dict[str, Any]) -> results.Results:
    return {
        "schema": results.SCHEMA, "machine": machine.describe(), "settings": json.loads(Settings().to_json()),
        "build": {"derive": 1.5, "import": 0.2}, "starts": [{"threads": 1, "peers": {}}], "failed": [], "rows": list(rows),
    }  # fmt: skip


def test_results_are_read_as_they_were_written(tmp_path: Path) -> None:
    made = found(row(ours=2e-3, torch=3e-3), row(2, ours=1e-3))
    results.write(tmp_path / "r.json", made)
    again = results.read(tmp_path / "r.json")
    for before, after in zip(made["rows"], again["rows"], strict=True):
        assert before.keys() == after.keys() and before["shape"] == after["shape"]
        assert after["flop"] == pytest.approx(before["flop"], rel=1e-4)
        for name in before["figures"]:
            assert after["figures"][name] == pytest.approx(before["figures"][name], rel=1e-4)
    assert results.ratio(again["rows"][0]) == pytest.approx(1.5)
    assert results.ratio(again["rows"][1]) is None
    text = (tmp_path / "r.json").read_text()
    results.write(tmp_path / "r.json", again)
    assert (tmp_path / "r.json").read_text() == text


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda r: r.pop("machine"), "machine is missing"),
        (lambda r: r.update(schema=0), "has schema 0"),
        (lambda r: r["rows"][0].pop("peak"), r"rows\[0\]: peak is missing"),
        (lambda r: r["rows"][0]["figures"].pop("ours"), "no figure of ours"),
        (lambda r: r["rows"][0]["figures"]["ours"].update(median=-1.0), "not positive"),
        (lambda r: r["rows"][0].update(shape=[1, 2]), r"shape must be \[T, B, I, H\]"),
    ],
)
def test_a_file_that_is_not_results_is_refused(change: Callable[[Any], Any], message: str) -> None:
    made = found(row(ours=2e-3))
    results.check(copy.deepcopy(made))
    change(made)
    with pytest.raises(ValueError, match=message):
        results.check(made)


def test_the_machine_has_no_name_and_no_path() -> None:
    import platform

    text = json.dumps(machine.describe())
    assert str(ROOT) not in text and "/" not in json.loads(text)["processor"]
    assert not platform.node() or platform.node() not in text


def test_targets_are_judged() -> None:
    large = (10, 32, 256, 256)
    work = shapes.flop("lstm", Shape(*large), "training")
    one, two = work / 9e10, work / (2 * 8e10)  # 90 % of the peak on one thread, 80 % on two
    made = found(row(shape=large, ours=one, torch=5 * one), row(2, shape=large, ours=two, torch=1.1 * two))
    lines = {line.what: line for line in targets.lines(made)}
    assert lines["training against the best peer, float32, 1 thread: geometric mean"].found == "5.00x"
    assert lines["training against the best peer, float32, 1 thread: least"].reached
    assert not lines["training against the best peer, float32, 2 threads: least"].reached
    assert not any("by a plan" in what for what in lines)
    planned = {
        line.what: line for line in targets.lines(found(row(shape=large, ours=one, plan=0.5 * one, torch=5 * one)))
    }
    assert planned["training by a plan against the best peer, float32, 1 thread: least"].found == "10.00x"
    shares = [line for what, line in lines.items() if what.startswith("share of the FMA peak")]
    assert [(line.found, line.reached) for line in shares] == [("90%", True), ("80%", False)]
    gain = lines["two threads over one, B >= 32 and H >= 256, of what the FMA loop gains, training, float32"]
    assert (gain.found, gain.reached) == ("89%", False)
    assert lines["deriving and emitting the LSTM, cold"].reached
    assert not lines["importing it, beyond NumPy's own import"].reached


def test_tables_hold_every_figure() -> None:
    made = found(row(ours=2e-3, kernel=1.5e-3, torch=3e-3, numpy=8e-3), row(2, ours=1e-3, numpy=4e-3))
    text = report.full(made)
    assert "| 10, 1, 8, 64 | 2000 ±20% | 1500 ±20% |" in text
    assert "| PyTorch | 1.50 |" in text
    assert "jax is not installed" in text
    short = report.figures(made)
    assert set(short) == {"peers", "against_numpy"}
    assert "1.5 (PyTorch)" in short["peers"] and "4.0 (NumPy)" in short["peers"]
    assert "| 2000 | 8000 | 4.0 | 4.0 |" in short["against_numpy"]
    first, *lines = report.readme(made)["summary"].splitlines()
    assert "1 thread, float32" in first
    assert any(line.startswith("| 10, 1, 8, 64 |") and "| 2000 | 1.5 (PyTorch) |" in line for line in lines), lines
    assert lines[-1].startswith("| geometric mean of all 1 shapes |") and "**1.5**, least 1.5" in lines[-1]
    assert "busy with other work" not in text
    made["rows"][0]["figures"]["ours"]["busy"] = 0.5
    assert "a thread had 50% of its processor" in report.full(made)
    with pytest.raises(ValueError, match="2 columns"):
        report.table(["a", "b"], [["1"]])


def test_the_plot_is_the_same_twice(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    from benchmarks import roofline

    made = found(row(ours=2e-3, torch=3e-3), row(op="inference", ours=1e-3), row(2, ours=1e-3))
    for name in ("a.svg", "b.svg"):
        roofline.draw(made, tmp_path / name)
    text = (tmp_path / "a.svg").read_text()
    assert text == (tmp_path / "b.svg").read_text()
    assert "FMA peak 100" in text and "L2 200 GB/s" in text and "best peer, training" in text
    with pytest.raises(ValueError, match="nothing to draw"):
        roofline.draw(made, tmp_path / "c.svg", "float64")


def test_threads_are_chosen_as_the_clock_would() -> None:
    """The model of split.py against the committed measurements of all ways to spread a call."""
    processors, cases = threads.read(results.FOLDER)
    assert len(cases) > 100 and {case.chosen(processors) for case in cases} == {"one", "batch", "units"}
    regrets = [case.regret(processors) for case in cases]
    assert stats.geometric_mean(regrets) < 1.02
    assert max(regrets) < 1.25, cases[int(np.argmax(regrets))]
    for always in ("one", "batch", "units"):  # no simple rule does as well
        fixed = [c.microseconds.get(always, c.microseconds["one"]) / min(c.microseconds.values()) for c in cases]
        assert stats.geometric_mean(regrets) < stats.geometric_mean(fixed)


def test_threads_are_measured_in_all_ways(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(threads, "LSTM", {Shape(3, 4, 5, 6): ""})
    monkeypatch.setattr(threads, "MORE", [])
    made = threads.write(threads.run(lambda text: None, seconds=0.01), tmp_path)
    processors, cases = threads.read(tmp_path)
    assert [(case.op, case.dtype) for case in cases] == [(o, d) for d in shapes.ITEMSIZE for o in threads.OPERATIONS]
    assert all(
        set(case.microseconds) == ({"one", "batch", "units"} if processors > 1 else {"one", "batch"}) for case in cases
    )
    assert made[1].read_text().count("**") == 2 * len(cases)


def test_tables_go_between_their_marks() -> None:
    text = "a\n<!-- one -->\nold\n<!-- end -->\nb\n<!-- two -->\n<!-- end -->\n"
    assert fill(text, {"one": "new\n"}) == text.replace("old", "new")
    assert fill(text, {"two": "x"}) == text.replace("<!-- two -->\n", "<!-- two -->\nx\n")
    assert fill(fill(text, {"one": "n"}), {"one": "n"}) == fill(text, {"one": "n"})
    with pytest.raises(ValueError, match="no place `<!-- three -->`"):
        fill(text, {"three": ""})
    with pytest.raises(ValueError, match="no place `<!-- one -->`"):
        fill("<!-- one -->\n<!-- two -->\n<!-- end -->\n", {"one": ""})


def test_readme_and_the_page_of_figures_show_the_committed_results() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", "readme", "--check"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


# -- everything once


def test_a_quick_run_measures_and_writes(tmp_path: Path) -> None:
    pytest.importorskip("threadpoolctl")
    command = [sys.executable, "-m", "benchmarks", "run", "--quick", "--output", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    made = results.read(tmp_path / results.NAME)
    assert len(made["rows"]) == 6 and not made["failed"]
    for each in made["rows"]:
        assert {"ours", "kernel", "numpy"} <= set(each["figures"]), each["skipped"]
        assert each["peak"]["median"] > 0 and min(each["bandwidth"].values()) > 0
    assert made["starts"][0]["peers"]["numpy"]["threads"] == 1
    assert "against the best peer" in (tmp_path / "benchmarks.md").read_text()


def test_every_installed_peer_agrees_with_ours(tmp_path: Path) -> None:
    """Weights, gate orders, outputs and gradients of all libraries that are there, in a process like that of a real run."""
    peers = ",".join(name for name in PEERS if name != "torch_compile")  # that one takes minutes
    options = ["--shapes", "6,3,5,7", "--cell-shapes", "6,3,5,7", "--threads", "1", "--seconds", "0.001"]
    options += ["--no-build", "--peers", peers]
    command = [sys.executable, "-m", "benchmarks", "run", *options, "--output", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    made = results.read(tmp_path / results.NAME)
    (start,) = made["starts"]
    assert start["flush_denormals"] or machine.platform.machine() not in ("x86_64", "aarch64")
    for name, known in start["peers"].items():
        assert known.get("threads") == 1 or known["reason"].endswith("is not installed"), name
    assert len(made["rows"]) == 2 * (2 + len(shapes.CELLS)) and not made["failed"]
    for each in made["rows"]:
        where = f"{each['cell']} {each['op']} {each['dtype']}"
        assert not [reason for reason in each["skipped"].values() if reason.startswith("wrong")], (
            where,
            each["skipped"],
        )
        assert {"ours", "kernel"} <= set(each["figures"]), (where, each["skipped"])
        if "reason" not in start["peers"]["torch"]:
            assert {"torch", "torch_eager"} & set(each["figures"]), (where, each["skipped"])
        if "reason" not in start["peers"]["jax"]:
            assert "jax" in each["figures"], (where, each["skipped"])
        assert max(figure["error"] for figure in each["figures"].values()) < 1e3 * np.finfo(each["dtype"]).eps, where


def test_options_that_make_no_sense_are_refused() -> None:
    for options, message in (
        (["--shapes", "1,2"], "four positive integers"),
        (["--peers", "keras"], "not one of"),
        (["--threads", "0"], "numbers of threads"),
    ):
        command = [sys.executable, "-m", "benchmarks", "run", *options]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == 2 and message in done.stderr, done.stderr


def test_a_missing_library_is_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jax", None)
    monkeypatch.delitem(sys.modules, "benchmarks.peers.jax_scan", raising=False)
    running, known = worker._started(1, Settings(peers=("ours", "jax")))
    assert list(running) == ["ours"]
    assert "jax" in known["jax"]["reason"]


# -- the zoo


def test_the_page_of_the_zoo_has_a_row_for_each_cell_and_timings_where_they_were_taken() -> None:
    from benchmarks import zoo

    rows = [
        zoo.Row("mgu", "Minimal.", 3, "2·H²", 98304.0, 768.0, 5e-16),
        zoo.Row("ran", "Additive.", 4, "H", 1.0, 2.0, 1e-15),
    ]
    assert "| `mgu` | Minimal. | 3 | 2·H² | 98304 | 768 | 5e-16 |\n" in zoo.page(rows)
    times = {
        "machine": {"processor": "a CPU"},
        "cells": {"mgu": {str(shapes.CELL_SHAPES[0]): {"ours": 9e-5, "torch": 0.01}}},
    }
    text = zoo.page(rows, times)
    assert "Measured on a CPU:" in text
    assert (
        "| 5e-16 | 90 | 10000 | – | – | – | – |\n" in text
        and "| `ran` | Additive. | 4 | H | 1 | 2 | 1e-15 | – | " in text
    )


@pytest.mark.parametrize("name", ["gru_layernorm", "lru", "cfc", "antisymmetric", "zoneout_lstm"])
def test_a_step_of_the_zoo_is_the_same_under_jax(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    pytest.importorskip("jax", reason="JAX is not installed")
    from benchmarks import zoo
    from derive import registry
    from derive.pipeline import model

    made, rng = model(registry.cell(name)), np.random.default_rng(0)

    def some(*dims: str | int) -> Any:
        sizes = [dict(I=4).get(d, 6) if isinstance(d, str) else d for d in dims]
        return rng.normal(size=sizes).astype(np.float32) / 2

    def whole(extent: str) -> int:
        many, _, dim = extent.rpartition("*")
        return int(many or 1) * (4 if dim == "I" else 6)

    states = list(made.meta["states"].values())
    params = {n: some(*map(whole, shape)) for n, shape in made.meta["params"].items()}
    inputs = {a.name: some(5, 3, *a.row) for a in made.signature.of_role("input")}
    it = zoo.Posed(
        None, zoo.steps()[name].step, inputs, params, tuple(some(3, d) for d in states), some(5, 3, states[0])
    )
    monkeypatch.setattr(torch, "compile", lambda step, dynamic: step)
    first, second = zoo.torch_loop(it), zoo.jax_scan(name, it)
    assert compare(first.result(first.call()), second.result(second.call()), "float32") < 1e-5
