"""Same equations, same bytes: under any hash seed, in any order, from any folder; and what is committed is made so."""

import hashlib
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
from c_tools import CELLS, SHARED, folder

from derive import generation, registry
from derive.backends.c import emit

SEEDS = ("0", "1", "42")
PROGRAM = """
import hashlib, json, sys
from derive import registry
from derive import generation
made = {f"{c}/{n}": text for c in sys.argv[1:] for n, text in generation.files(registry.cell(c)).items()}
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
        manifest = json.loads((folder(cell) / "manifest.json").read_text())
        for place, names in ((folder(cell), manifest["files"]), (SHARED, manifest["shared"])):
            for name in names:
                found[f"{cell}/{name}"] = hashlib.sha256((place / name).read_bytes()).hexdigest()
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
    made = generation.files(registry.cell(cell))
    assert committed([cell]).keys() == {f"{cell}/{name}" for name in made}
    for name, text in made.items():
        path = (SHARED if name in emit.shared() else folder(cell)) / name
        assert path.read_bytes() == text.encode(), f"{path} is out of date: run `derive build`"


def test_a_second_regeneration_changes_nothing(tmp_path):
    first = generation.regenerate(["rnn"], target=tmp_path)
    assert {c.kind for c in first} == {"new"}
    before = {p: p.read_bytes() for p in tmp_path.glob("*/*")}
    assert {p.parent.name for p in before} == {"rnn", "_lib"} and tmp_path / "_lib" / "derive_gemm.h" in before
    assert {c.kind for c in generation.regenerate(["rnn"], target=tmp_path)} == {"same"}
    assert before == {p: p.read_bytes() for p in tmp_path.glob("*/*")}


def test_check_writes_nothing_and_tells_what_differs(tmp_path):
    generation.regenerate(["rnn"], target=tmp_path)
    header = tmp_path / "rnn" / "rnn.h"
    header.write_text(header.read_text().replace("Elman", "Somebody"))
    (tmp_path / "rnn" / "old.c").write_text("int old;\n")
    shared = tmp_path / "_lib" / "derive_gemm.h"
    shared.write_text(shared.read_text().replace("micro-kernel", "loop"))
    changes = {c.path: c for c in generation.regenerate(["rnn"], check=True, target=tmp_path)}
    assert (
        changes["rnn/rnn.h"].kind == "changed"
        and "-" in changes["rnn/rnn.h"].diff
        and "Somebody" in changes["rnn/rnn.h"].diff
    )
    assert changes["rnn/old.c"].kind == "removed"
    assert changes["_lib/derive_gemm.h"].kind == "changed" and "+ * Products" in changes["_lib/derive_gemm.h"].diff
    assert changes["_lib/derive_math.h"].kind == "same"
    assert "Somebody" in header.read_text() and (tmp_path / "rnn" / "old.c").exists()
    generation.regenerate(["rnn"], target=tmp_path)
    assert "Somebody" not in header.read_text() and not (tmp_path / "rnn" / "old.c").exists()
