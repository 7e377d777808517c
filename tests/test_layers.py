"""Layers: what each part of derive/ may import is a table; no module imports itself; compiled cells never import SymPy."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "derive"

# What each part of derive/ may import. A part is a package, or a module that lies in derive/ itself; of a package that is
# written package.module, that module alone.
MAY = {
    "errors": "",
    "escaping": "errors",
    "terminal": "errors",
    "rendering": "escaping",
    "shown": "",
    "ir": "errors shown",
    "passes": "errors shown ir",
    "notation": "errors shown ir passes.normalize passes.normal_form",
    "losses": "notation",
    "cells": "notation losses",
    "registry": "errors notation cells losses",
    "signature": "errors ir notation passes",
    "trace": "errors",
    "pipeline": "errors ir notation passes registry signature trace",
    "backends": "errors backends.base backends.c backends.plain",
    "backends.base": "",
    "backends.shared": "errors ir passes signature",
    "backends.c": "errors rendering ir notation passes signature pipeline backends.shared",
    "backends.plain": "errors rendering ir passes signature pipeline backends.shared",
    "generation": "errors rendering ir notation passes registry pipeline backends.c backends.shared",
    "runtime": "errors runtime.core runtime.numpy",
    "runtime.core": "errors",  # its exceptions have the base that all have; errors.py imports nothing
    "runtime.numpy": "errors runtime.core",
    "toolchain": "errors",
    "verify": "errors ir notation passes registry runtime.core signature toolchain building",
    "building": "errors notation registry generation runtime.numpy toolchain verify",
    "onnx": "errors notation building runtime.numpy",
    "check": "errors rendering ir notation passes pipeline registry signature backends.c toolchain verify building",
    "flow": "errors ir notation registry signature building",
    "audit": "errors ir notation passes registry verify",
    "costs": "errors ir notation passes pipeline runtime.core backends.c backends.shared toolchain",
    "document": "errors shown escaping rendering generation ir notation passes pipeline registry signature backends.c "
    "backends.shared flow verify check",
    "demo": "errors terminal passes registry toolchain check",
    "doctor": "errors runtime toolchain",
    "cli": "errors terminal registry pipeline backends.c generation building check costs flow audit document demo doctor "
    "toolchain",
}
# What must never be, whatever the table says: reasons beside it.
NEVER = {
    ("runtime", "ir"): "compiled cells run without SymPy",
    ("runtime.core", "runtime.numpy"): "other libraries of arrays sit on the core, where there is no NumPy",
    ("ir", "document"): "the notation does not know how it is shown",
    ("pipeline", "backends.c"): "the passes end where a backend begins",
    ("doctor", "ir"): "it reports on an installation where SymPy is broken",
    ("passes", "backends.c"): "passes hold mathematics; the machine comes later",
    ("passes", "backends.plain"): "passes hold mathematics; the machine comes later",
    ("backends.plain", "backends.c"): "a backend stands alone: what two of them need is in backends/shared",
    ("backends.c", "backends.plain"): "a backend stands alone: what two of them need is in backends/shared",
    ("backends.shared", "backends.c"): "what is shared knows no backend",
    ("backends.shared", "backends.plain"): "what is shared knows no backend",
    ("verify", "backends.c"): "an oracle shares no code with what it checks",
}
MADE = ("generated", "templates")  # what is made, or texts: no parts, though a checkout may have links to them here
FACE = ("__init__", "__main__")  # of derive/ itself: it imports what it needs when that is asked for


def modules() -> list[Path]:
    return sorted(path for path in PACKAGE.rglob("*.py") if path.parent != PACKAGE or path.stem not in FACE)


def part(names: tuple[str, ...]) -> str:
    """The part that a module belongs to, by its name below derive: each backend and each layer of the runtime is one."""
    return ".".join(names[:2]) if names[0] in ("backends", "runtime") and len(names) > 1 else names[0]


def named(path: Path) -> tuple[str, ...]:
    names = path.relative_to(PACKAGE).with_suffix("").parts
    return names[:-1] if names[-1] == "__init__" and len(names) > 1 else names


def is_module(names: tuple[str, ...]) -> bool:
    return (PACKAGE.joinpath(*names).with_suffix(".py")).exists() or (PACKAGE.joinpath(*names) / "__init__.py").exists()


def imported(path: Path, types: bool = True) -> Iterator[tuple[tuple[str, ...], int]]:
    """Every module of the package that a file imports, by statement or by a name in a string, with the line."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for_types = {
        inner
        for block in ast.walk(tree)
        if isinstance(block, ast.If) and ast.unparse(block.test) == "TYPE_CHECKING"
        for inner in ast.walk(block)
    }
    for node in (node for node in ast.walk(tree) if types or node not in for_types):
        if isinstance(node, ast.Import):
            targets = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            here = ("derive", *path.relative_to(PACKAGE).parts[:-1])
            base = [*here[: len(here) - node.level + 1]] if node.level else []
            base += node.module.split(".") if node.module else []
            targets = [".".join([*base, alias.name]) for alias in node.names]
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and NAME.fullmatch(node.value):
            targets = [node.value]
        else:
            continue
        for target in targets:
            first, *rest = target.split(".")
            names = tuple(rest)
            while names and not is_module(names):
                names = names[:-1]
            if first == "derive" and names and names[0] not in MADE:
                yield names, node.lineno


NAME = re.compile(r"derive(\.\w+)+")


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_follow_the_table(path: Path) -> None:
    own = part(named(path))
    assert own in MAY, f"derive/{own} is in no row of MAY in {Path(__file__).name}: what may it import?"
    for names, line in imported(path):
        other = part(names)
        if other == own:
            continue
        assert (own, other) not in NEVER, f"{path}:{line}: {own} never imports {other}: {NEVER[own, other]}"
        assert other in MAY[own].split() or ".".join(names) in MAY[own].split(), (
            f"{path}:{line}: {own} may not import {'.'.join(names)}; the table is in {Path(__file__).name}"
        )


def test_no_module_imports_itself_by_a_detour() -> None:
    """The graph of all modules has no cycle, imports inside of functions included; what only annotations need is left out."""
    graph = {named(path): {names for names, _ in imported(path, types=False)} - {named(path)} for path in modules()}
    done: set[tuple[str, ...]] = set()

    def visit(module: tuple[str, ...], way: tuple[tuple[str, ...], ...]) -> None:
        assert module not in way, " -> ".join(".".join(m) for m in (*way[way.index(module) :], module))
        if module not in done:
            for other in sorted(graph.get(module, ())):
                visit(other, (*way, module))
            done.add(module)

    for module in sorted(graph):
        visit(module, ())


@pytest.mark.parametrize(
    "path", sorted((PACKAGE / "runtime").rglob("*.py")), ids=lambda path: f"{path.parent.name}/{path.name}"
)
def test_the_runtime_stands_alone(path: Path) -> None:
    assert {part(names).split(".")[0] for names, _ in imported(path)} <= {"runtime", "errors"}
    assert not list(imported(PACKAGE / "errors.py")), "the runtime imports derive.errors: it must stay free of imports"
    libraries = set() if "core" in path.parts else {"numpy"}
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        names += [node.module or ""] if isinstance(node, ast.ImportFrom) and not node.level else []
        for name in names:
            top = name.split(".")[0]
            assert top in {"derive", "_cffi_backend", *libraries, *sys.stdlib_module_names}, (
                f"{path.name} imports {name}"
            )


def test_the_build_can_be_loaded_without_the_package() -> None:
    """setup.py loads derive/toolchain/compiler.py where only setuptools and cffi are installed."""
    for node in ast.parse((PACKAGE / "toolchain" / "compiler.py").read_text(encoding="utf-8")).body:
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        names += [node.module or "derive"] if isinstance(node, ast.ImportFrom) else []
        for name in names:
            assert name.split(".")[0] in {"cffi", *sys.stdlib_module_names}, (
                f"compiler.py imports {name} at module level"
            )


def generated() -> list[str]:
    return sorted(path.parent.name for path in (ROOT / "generated").glob("*/manifest.json"))


def test_something_is_generated() -> None:
    assert {"rnn", "lstm", "gru", "lstm_peephole", "lstm_layernorm", "lstm_toy", "lstm_readout"} <= set(generated())


@pytest.mark.parametrize("name", generated())
def test_a_compiled_cell_needs_no_engine(name: str) -> None:
    """Import it, run it forwards and backwards, and see what came along."""
    program = f"""
import sys
import numpy as np
from derive.generated import {name} as cell
sizes = {{size: 3 if dim == "I" else 5 for dim, size in cell.SPEC["dims"].items()}}
params = cell.init_params(**sizes, dtype=np.float32, seed=0)
x = np.zeros((4, 2, 3), np.float32)
out = cell.infer(x, params)[0]
cell.loss_and_grad(x, np.ones_like(out), params)
print(*sorted({{"sympy", "mpmath", "jinja2", "click", "rich", "matplotlib"}} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "", f"importing {name} brought {done.stdout.strip()}"
