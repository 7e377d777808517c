"""Same equations, same bytes: under any hash seed, in any order, from any folder; and what is committed is made so."""

import hashlib
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
from c_tools import CELLS, files, folder

from derive.backends.c import emit

SEEDS = ("0", "1", "42")
PROGRAM = """
import hashlib, json, sys
from derive import registry
from derive.backends.c import emit
made = {f"{c}/{n}": text for c in sys.argv[1:] for n, text in emit.files(registry.cell(c)).items()}
print(json.dumps({name: hashlib.sha256(text.encode()).hexdigest() for name, text in made.items()}))
"""


def digests(cells, seed, cwd):
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *cells],
        capture_output=True,
        text=True,
        check=False,
        cwd=cwd,
        env={**os.environ, "PYTHONHASHSEED": seed},
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def committed(cells):
    found = {}
    for cell in cells:
        for name in json.loads((folder(cell) / "manifest.json").read_text())["files"]:
            found[f"{cell}/{name}"] = hashlib.sha256((folder(cell) / name).read_bytes()).hexdigest()
    return found


def test_any_hash_seed_gives_what_is_committed(tmp_path):
    cells = ["lstm", "gru", "lstm_layernorm"]
    with ThreadPoolExecutor() as pool:
        found = list(pool.map(lambda seed: digests(cells if seed == "0" else cells[::-1], seed, tmp_path), SEEDS))
    for seed, made in zip(SEEDS, found, strict=True):
        assert made == committed(cells), f"PYTHONHASHSEED={seed}"


@pytest.mark.slow
@pytest.mark.parametrize("seed", [*SEEDS, "random"])
def test_all_cells_under_any_hash_seed(seed, tmp_path):
    assert digests(CELLS, seed, tmp_path) == committed(CELLS)


@pytest.mark.parametrize("cell", CELLS)
def test_what_is_committed_is_what_is_made(cell):
    made = files(cell)
    assert committed([cell]).keys() == {f"{cell}/{name}" for name in made}
    for name, text in made.items():
        assert (folder(cell) / name).read_bytes() == text.encode(), (
            f"generated/{cell}/{name} is out of date: run `derive build`"
        )


def test_a_second_regeneration_changes_nothing(tmp_path):
    first = emit.regenerate(["rnn"], target=tmp_path)
    assert {c.kind for c in first} == {"new"}
    before = {p.name: p.read_bytes() for p in (tmp_path / "rnn").iterdir()}
    assert {c.kind for c in emit.regenerate(["rnn"], target=tmp_path)} == {"same"}
    assert before == {p.name: p.read_bytes() for p in (tmp_path / "rnn").iterdir()}


def test_check_writes_nothing_and_tells_what_differs(tmp_path):
    emit.regenerate(["rnn"], target=tmp_path)
    header = tmp_path / "rnn" / "rnn.h"
    header.write_text(header.read_text().replace("Elman", "Somebody"))
    (tmp_path / "rnn" / "old.c").write_text("int old;\n")
    changes = {c.path: c for c in emit.regenerate(["rnn"], check=True, target=tmp_path)}
    assert (
        changes["rnn/rnn.h"].kind == "changed"
        and "-" in changes["rnn/rnn.h"].diff
        and "Somebody" in changes["rnn/rnn.h"].diff
    )
    assert changes["rnn/old.c"].kind == "removed"
    assert "Somebody" in header.read_text() and (tmp_path / "rnn" / "old.c").exists()
    emit.regenerate(["rnn"], target=tmp_path)
    assert "Somebody" not in header.read_text() and not (tmp_path / "rnn" / "old.c").exists()
