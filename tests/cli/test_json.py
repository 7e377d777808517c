"""--json: one valid JSON value on standard output and nothing else, with the keys that --help names."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import click
import numpy as np
import pytest
from click.testing import CliRunner, Result

from derive.cli import main, reference
from derive.terminal.records import plain_numbers, write_json

EXAMPLES = Path(__file__).resolve().parents[2] / "examples" / "audit"
WITH_JSON = {
    name: command
    for name, command in reference.walk()
    if any("--json" in parameter.opts for parameter in command.params)
}
RUNS = {
    "derive list": ["lstm", "squared_error"],
    "derive build": ["rnn", "--check"],
    "derive check": ["rnn"],
    "derive audit": [str(EXAMPLES / "hanbingtao_581764.py"), "-T", "2,4"],
    "derive cost": ["lstm", "-T", "5", "-B", "2", "-I", "3", "-H", "4"],
    "derive flow": ["rnn", "lstm", "-T", "5", "-H", "4", "--scale", "1", "--keep", "2"],
    "derive dump": ["rnn"],
    "derive doctor": [],
    "derive cache ls": [],
    "derive cache clear": ["--yes"],
}
# Keys whose own keys are names of a cell, or are said to be parts of a record that the help does not spell out.
OPEN = {"parameters", "sizes", "states", "norms", "alone", "errors", "machine", "schedule", "phases"}


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    row = {"cell": "rnn", "dtype": "float64", "gradient": "weight_ih", "reference": "complex step"}
    rows = [SimpleNamespace(**row, error=float("nan"), limit=np.float64(1e-13), ok=False)]
    monkeypatch.setattr("derive.check.run", lambda name: rows)
    changes = [SimpleNamespace(path="rnn/rnn.c", kind="changed", diff="-a\n+b"), SimpleNamespace(path="x", kind="same")]
    monkeypatch.setattr("derive.generation.regenerate", lambda names, check, progress: changes)
    entry = tmp_path / "cache" / "mine_0123456789abcdef"
    entry.mkdir(parents=True)
    (entry / "stamp.json").write_text(
        '{"key": "0", "module": "m", "files": {}, "accepted": [], "about": {"loss": "l1"}}'
    )
    monkeypatch.setenv("DERIVE_CACHE", str(entry.parent))


def strict(text: str) -> Any:
    """The one value that a text holds; fails for what JSON has not."""

    def refused(name: str) -> None:
        raise AssertionError(f"{name} is no JSON")

    return json.loads(text, parse_constant=refused)


def ran(name: str, *more: str) -> Result:
    words = [*name.split()[1:], *RUNS[name], *more]
    return CliRunner(env={"COLUMNS": "20"}).invoke(main, words, catch_exceptions=False)


def keys(value: Any) -> set[str]:
    """All keys of a value, but those under the keys in OPEN."""
    if isinstance(value, list):
        return {key for item in value for key in keys(item)}
    if not isinstance(value, dict):
        return set()
    return set(value) | {key for own, item in value.items() if own not in OPEN for key in keys(item)}


def test_every_command_with_a_table_has_json() -> None:
    assert set(WITH_JSON) == set(RUNS)


@pytest.mark.parametrize("name", RUNS)
def test_standard_output_is_one_value_whose_keys_are_in_the_help(name: str) -> None:
    done = ran(name, "--json")
    assert done.stdout.isascii() and done.exit_code in (0, 1), done.output
    found = keys(strict(done.stdout))
    (option,) = [p for p in WITH_JSON[name].params if isinstance(p, click.Option) and "--json" in p.opts]
    named = set(re.findall(r'"(\w+)"', option.help or ""))
    if name == "derive dump":  # what there is to count depends on the pass
        assert named <= found
    elif name == "derive cache clear":  # removed entries are described by `ls`, and nothing is kept here
        assert named - {"why"} <= found
    else:
        assert found == named


@pytest.mark.parametrize("name", RUNS)
def test_json_ends_with_the_same_status(name: str) -> None:
    assert ran(name, "--json").exit_code == ran(name).exit_code


def test_a_failed_check_ends_with_1_and_its_error_is_a_string_where_it_is_no_number() -> None:
    done = ran("derive check", "--json")
    assert done.exit_code == 1
    (row,) = strict(done.stdout)["checks"]
    assert row["error"] == "NaN" and math.isnan(float(row["error"])) and row["limit"] == 1e-13 and row["ok"] is False


def test_build_says_what_would_change() -> None:
    done = ran("derive build", "--json")
    found = strict(done.stdout)
    assert done.exit_code == 1 and found["ok"] is False and found["files"] == 2
    assert found["changed"] == [{"path": "rnn/rnn.c", "kind": "changed", "diff": "-a\n+b"}]


def test_list_has_what_a_program_needs_of_a_cell() -> None:
    found = strict(ran("derive list", "--json").stdout)
    (lstm,) = found["cells"]
    assert lstm["name"] == "lstm" and lstm["states"] == ["h", "c"] and lstm["gates"] == ["i", "f", "g", "o"]
    assert lstm["parameters"]["W_i"] == ["H", "I"] and lstm["count"] == "4*H**2 + 4*H*I + 4*H"
    assert lstm["equations"][0]["id"] == "F1" and "W_i[n, j]" in lstm["equations"][0]["text"]
    (loss,) = found["losses"]
    assert loss["name"] == "squared_error" and loss["count"] == "0"


def test_audit_has_the_term_that_is_missing() -> None:
    done = ran("derive audit", "--json")
    (found,) = strict(done.stdout)["derivations"]
    assert done.exit_code == 1 and found["cell"] == "lstm" and not found["ok"]
    (row,) = [row for row in found["equations"] if row["name"] == "delta_f"]
    assert row["verdicts"] == ["missing term"] and row["first_T"] == 2 and set(row["errors"]) == {"2", "4"}
    (finding,) = row["findings"]
    assert finding["stands"] is None and finding["belongs"].startswith("(1 - f[t, n])·c[t - 1, n]·f[t + 1, n]")
    (right,) = [row for row in found["equations"] if row["name"] == "db_g"]
    assert right["ok"] and right["verdicts"] == ["equal"] and right["reads_wrong"] == ["delta_g"]


def test_flow_has_a_norm_for_every_lag() -> None:
    first, second = strict(ran("derive flow", "--json").stdout)[::1]
    assert first["lags"] == list(range(6)) and len(first["norms"]["h"]) == 6
    assert second["start"] == {"scale": 1.0, "keep": 2.0} and second["states"] == {"h": 4, "c": 4}
    assert np.shape(second["eigenvalues"]) == (4, 8, 2) and np.shape(second["singular_values"]) == (4, 8)


def test_numbers_that_json_has_not(capsys: pytest.CaptureFixture[str]) -> None:
    value = {"a": float("inf"), "b": [np.float32("-inf"), (np.nan, 1)], 3: np.arange(2), "c": np.int64(7), "d": None}
    assert plain_numbers(value) == {"a": "Infinity", "b": ["-Infinity", ["NaN", 1]], "3": [0, 1], "c": 7, "d": None}
    write_json({"σ": value})
    assert strict(capsys.readouterr().out)["σ"]["b"][0] == "-Infinity"
