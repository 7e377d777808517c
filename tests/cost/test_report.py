"""`derive cost`: the report in the terminal and as JSON, sizes by name, cells in files, and what it says to bad input."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

import derive
from derive.cli import main
from derive.costs.machine import Machine

SHAPE = ("-T", "20", "-B", "8", "-I", "5", "-H", "16")
MGU = str(Path(__file__).resolve().parents[2] / "benchmarks" / "cells" / "mgu.py")


def call(*words):
    return CliRunner().invoke(main, ["cost", *words], env={"COLUMNS": "140"})


def test_the_report():
    done = call("lstm", *SHAPE, "--isa", "avx2")
    assert done.exit_code == 0, done.output
    for words in ("lstm, training: T=20, B=8, I=5, H=16, float32, avx2, 1 thread", "bound by", "tape"):
        assert words in done.output
    for name in ("forward", "loss", "backward", "recurrent", "weight gradient", "products of x", "tile  ", "threads"):
        assert name in done.output
    assert "cycles" in done.output
    assert "one, as asked" in done.output
    assert "one: more would not pay off" in call("lstm", *SHAPE, "--threads", "0").output
    timed = call("lstm", *SHAPE, "--isa", "avx2", "--clock", "2.5").output
    assert " us" in timed and " cycles " not in timed.split("Assumed")[0]


@pytest.mark.parametrize("name", ["gru", "lstm_layernorm", "rnn"])
def test_every_cell_has_one(name):
    for more in (("--call", "infer"), ("--dtype", "float64"), ("--threads", "0"), ("--threads", "2")):
        done = call(name, *SHAPE, *more)
        assert done.exit_code == 0, done.output


def test_json_is_the_record():
    words = (
        "--isa",
        "avx2",
        "--peak",
        "30",
        "--bandwidth",
        "60,30,15,7.5",
        "--caches",
        "48,1024,16384",
        "--clock",
        "3",
    )
    done = call("lstm", *SHAPE, "--json", *words)
    machine = Machine.of("avx2", "float32", 30, (60, 30, 15, 7.5), (48 << 10, 1 << 20, 16 << 20), 3)
    wanted = derive.cost("lstm", T=20, B=8, I=5, H=16, machine=machine).as_dict()
    assert json.loads(done.output) == json.loads(json.dumps(wanted))


def test_other_sizes():
    assert call("lstm_readout", *SHAPE, "--size", "O=3").exit_code == 0
    done = call("lstm_readout", *SHAPE)
    assert done.exit_code == 2 and "not given: O" in done.output
    done = call("lstm", *SHAPE, "--size", "O=3")
    assert done.exit_code == 2 and "unknown: O=3" in done.output
    done = call("lstm", *SHAPE, "--size", "O")
    assert done.exit_code == 2 and "NAME=VALUE" in done.output


def test_a_cell_of_ones_own():
    """Both matrix products with h are recurrent, and one waits for the other: 2 stages of K/4 in the chain."""
    done = call(MGU, *SHAPE, "--json", "--call", "infer")
    assert done.exit_code == 0, done.output
    found = json.loads(done.output)
    assert found["flop"] == 4 * 20 * 8 * 16 * (5 + 16)

    def latency(hidden):
        made = derive.cost(MGU, call="infer", T=5, B=1, I=1, H=hidden)
        return next(b.cycles for b in made.phases[0].step if b.why == "latency") / made.machine.latency

    assert latency(128) - latency(64) == 2 * 64 / 4


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("lstmm", *SHAPE), "no cell named 'lstmm'"),
        (("no_such_file.py", *SHAPE), "no file"),
        (("lstm", "-T", "0", "-B", "1", "-I", "1", "-H", "1"), "'-T': 0 is not in the range"),
        (("lstm", "-T", "5", "-B", "1", "-I", "1"), "not given: H"),
        (("lstm", *SHAPE, "--peak", "0"), "peak must be above 0"),
        (("lstm", *SHAPE, "--bandwidth", "1,2"), "bandwidth takes 4 figures"),
        (("lstm", *SHAPE, "--caches", "a,b,c"), "numbers with commas"),
        (("lstm", *SHAPE, "--threads", "-1"), "threads must be 1 or more"),
    ],
)
def test_bad_input(words, said):
    done = call(*words)
    assert done.exit_code == 2
    assert said in " ".join(done.output.replace("│", " ").split())
