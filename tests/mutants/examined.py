"""Cells through an engine: what it emits, and whether modules of it do what the equations say.

    python tests/mutants/examined.py emit FOLDER CELL ..     the C of the cells, and its models, for others to compare with
    python tests/mutants/examined.py compile FOLDER CELL ..  emitted C against that in FOLDER; where it differs, validated
    python tests/mutants/examined.py pages FOLDER CELL ..    the modules of these cells with arrays beside guard pages
    python tests/mutants/examined.py module FOLDER CELL      a module of a cell as it ships, but for what the compiler improves
    python tests/mutants/examined.py runtime                 modules that are compiled already

The last line of the output is JSON: {"verdict": "same" | "right" | "wrong", ...}.  Exceptions are not caught: the process that
started the process takes them for a verdict.
"""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import re
import shutil
import sys
import tempfile
import textwrap
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "campaign"))

import quick
import random_cells

from derive import generation, registry
from derive.notation import Cell, Head
from derive.registry.user_file import run_file
from derive.toolchain import compiler
from derive.verify import validate

# Two states of different sizes, stacked gates, a product of a power, a row reduction that a later product needs.
TWO = """
    from derive.notation import *

    @cell(states="h s", gates="f g")
    def two(x, h, s, W, U, b, A, f, g, r, P):
        f[t, n] = sigmoid(Sum(W[f][n, j] * x[t, j], j) + Sum(U[f][n, k] * h[t - 1, k], k) + b[f][n])
        g[t, n] = tanh(Sum(W[g][n, j] * x[t, j], j) + Sum(U[g][n, k] * h[t - 1, k] ** 2, k) + b[g][n])
        h[t, n] = f[t, n] * h[t - 1, n] + (1 - f[t, n]) * g[t, n]
        r[t] = Sum(h[t, n] ** 2, n) / 3
        s[t, m] = r[t] * s[t - 1, m] / 2 + tanh(Sum(A[m, n] * h[t, n], n)) * P[m]
"""
# Two layers in one cell: a product between two groups of states.
LAYERS = """
    from derive.notation import *

    @cell(states="a h")
    def layers(x, a, h, W, U, b, A, R, d):
        a[t, i] = tanh(Sum(W[i, j] * x[t, j], j) + Sum(U[i, k] * a[t - 1, k], k) + b[i])
        h[t, n] = tanh(Sum(A[n, i] * a[t, i], i) + Sum(R[n, m] * h[t - 1, m], m) + d[n])
"""
WRITTEN = {"two": TWO, "layers": LAYERS}
# Cheap ones first: most mutants are found by the first that shows them.
FIRST = ("layers", "lstm", "two", "random 3", "random 12", "gru", "random 1", "random 7", "lstm_layernorm", "random 4")
MORE = (
    "rnn",
    "lstm_readout",
    "lstm_peephole",
    *(f"random {n}" for n in (5, 11, 15, 9, 13, 23, 21, 22, *range(30, 35))),
)
BUILDS = (
    quick.Build(f64="base", f32="portable"),
    quick.Build(f64="avx2", f32="base", depth=8),
    quick.Build(f64="portable", f32="avx2"),
    quick.Build(f64="avx512", f32="avx512", depth=8),
    quick.Build(f64="base", f32="base", depth=8),
)
COMMENT = re.compile(r"/\*.*?\*/|//[^\n]*", re.DOTALL)


def cell_of(name: str) -> tuple[Cell, Head | None]:
    """A cell by its name here, and its loss if it has one of its own."""
    if name not in WRITTEN and not name.startswith("random"):
        return registry.cell(name), None
    text = WRITTEN.get(name) or random_cells.text(int(name.split()[1]))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{name.replace(' ', '_')}.py"
        path.write_text(textwrap.dedent(text))
        space = vars(run_file(path, "a cell")).values()
    losses = [x for x in space if isinstance(x, Head) and not x.source.equations[-1].lhs.args]
    return next(x for x in space if isinstance(x, Cell)), losses[0] if losses else None


def digest(made: dict[str, str]) -> str:
    """Of the C without its comments."""
    code = [
        (n, " ".join(COMMENT.sub(" ", text).split())) for n, text in sorted(made.items()) if n.endswith((".c", ".h"))
    ]
    return hashlib.sha256(json.dumps(code).encode()).hexdigest()


def builds() -> tuple[quick.Build, ...]:
    """Those that this processor runs."""
    flags = Path("/proc/cpuinfo").read_text() if os.path.exists("/proc/cpuinfo") else ""
    able = {"portable", "base", *(isa for isa in ("avx2", "avx512") if f" {isa.replace('512', '512f')}" in flags)}
    return tuple(b for b in BUILDS if {b.f32, b.f64} <= able)


def emitted(name: str, folder: Path, known: bool) -> tuple[Cell, Head | None, dict[str, str]]:
    """A cell, its loss and its files; `known`: by the model that lies in the folder, for only templates have changed."""
    if known:
        cell, loss, model = pickle.loads((folder / f"{name}.pickle").read_bytes())
        generation.model = lambda *given: model
    else:
        cell, loss = cell_of(name)
    return cell, loss, generation.files(cell, loss)


def write(folder: Path, names: list[str]) -> None:
    """What an unchanged engine makes."""
    from derive.pipeline import model

    folder.mkdir(parents=True, exist_ok=True)
    digests = {}
    for name in names:
        cell, loss, made = emitted(name, folder, False)
        digests[name] = digest(made)
        (folder / f"{name}.pickle").write_bytes(pickle.dumps((cell, loss, model(cell, loss))))
    (folder / "digests.json").write_text(json.dumps(digests))


def mistakes(name: str, cell: Cell, loss: Head | None, how: quick.Build) -> list[str]:
    """What `validate` says of the module of a cell."""
    work = Path(tempfile.mkdtemp(prefix="examined-"))
    try:
        return [f"{name}, {how.f64}: {s}" for s in validate(quick.build(cell, loss, work, how), cell, loss)]
    finally:
        shutil.rmtree(work, ignore_errors=True)


def compile_and_compare(folder: Path, names: list[str], known: bool, most: int = 6) -> dict[str, object]:
    """The verdict on the cells: "same" C, or "right" or "wrong" modules of another."""
    digests, changed = json.loads((folder / "digests.json").read_text()), []
    for name in names:
        cell, loss, made = emitted(name, folder, known)
        if digest(made) == digests[name]:
            continue
        changed.append(name)
        if len(changed) <= most:
            wrong = mistakes(name, cell, loss, builds()[(len(changed) - 1) % len(builds())])
            if wrong:
                return {"verdict": "wrong", "why": wrong[0], "changed": changed}
    return {"verdict": "right" if changed else "same", "why": "", "changed": changed}


def between_pages(names: list[str], folder: Path, known: bool) -> dict[str, object]:
    """The modules of the cells, once flush with the end of their memory and once with its beginning."""
    import guards

    guards.install()
    for number, name in enumerate(names):
        cell, loss, _ = emitted(name, folder, known)
        for at_end in (True, False):
            guards.at_end = at_end
            wrong = mistakes(name, cell, loss, builds()[(2 * number + at_end) % len(builds())])
            if wrong:
                return {"verdict": "wrong", "why": f"between guard pages: {wrong[0]}"}
    return {"verdict": "right", "why": ""}


def shipped() -> dict[str, object]:
    """Modules that are compiled, under a runtime that may be wrong."""
    import importlib

    for name in ("lstm", "gru"):
        wrong = validate(importlib.import_module(f"derive.generated.{name}"), registry.cell(name))
        if wrong:
            return {"verdict": "wrong", "why": f"{name}: {wrong[0]}"}
    return {"verdict": "right", "why": ""}


def module(folder: Path, name: str) -> dict[str, object]:
    """Emit and compile a cell into a folder, for all instruction sets."""
    generation.write(folder, generation.files(registry.cell(name)))
    compiler.FLAGS = tuple(flag if flag[:2] != "-O" else "-O0" for flag in compiler.FLAGS)
    compiler.compile_folder(folder)
    return {"verdict": "right", "why": ""}


def main(what: str, *words: str) -> None:
    """The command."""
    known = "--known" in words
    folder, *names = [w for w in words if w != "--known"] or [""]
    if what == "emit":
        write(Path(folder), names)
        print(json.dumps({"verdict": "right", "why": ""}))
    elif what == "compile":
        print(json.dumps(compile_and_compare(Path(folder), names, known)))
    elif what == "pages":
        print(json.dumps(between_pages(names, Path(folder), known)))
    elif what == "module":
        print(json.dumps(module(Path(folder), names[0])))
    else:
        print(json.dumps(shipped()))


if __name__ == "__main__":
    main(*sys.argv[1:])
