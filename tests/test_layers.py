"""The house keeps its floors: inside derive/ imports go downward only, and compiled cells never meet SymPy."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "derive"

# From the ground up. A module may import those above its own line in this list, never one below it. A package whose
# modules have lines of their own stands below them: its __init__ imports them, and they name each other in full.
ORDER = """
errors
terminal
reserved
escaping
functions
ir.symbols
ir.line
ir.program
ir.access
ir.ranges
ir.verifier
ir.dependence
ir
normal_form
normalize
notation.lines
notation.spelling
notation.symbols
notation.formulas
notation.writer
notation.sizes
notation.checks
notation.program
notation.joining
notation.public
notation.whole
notation.decorators
notation
losses
cells
user_file
registry
adjoint
simplify.scope
simplify.lifetimes
simplify.counts
simplify.saved_values
simplify.carries
simplify.folding
simplify.monomials
simplify.inlining
simplify.sharing
simplify
batch
lower.lowered
lower.splitting
lower.placement
lower.stages
lower.verifier
lower
fuse
storage
storage_verifier
addresses
kernel
tile_verifier
kernel_verifier
interface
contractions
schedule
printer
layout
model
reference
render
audit.reference
audit.indices
audit.derived
audit.coefficients
audit.terms
audit.findings
audit.ratios
audit.differences
audit.compare
audit.written
audit.dependence
audit.meaning
audit.checks
audit.notation
audit.loading
audit.side
audit.shapes
audit.values
audit.judge
audit.report
audit
emit
runtime
cache.files
cache.folder
cache.locks
compiler
cache.entry
cache
loading
verify
acceptance.case
acceptance.report
acceptance.process
acceptance.child
acceptance
building
acceptance.__main__
references
check
flow
document
flow_view
machine
workload
costs
data
training
forecast
toy
display
cost_report
plot
demo
cli_options
cli
""".split()


def modules() -> list[Path]:
    return sorted(path for path in PACKAGE.rglob("*.py") if path.parent != PACKAGE or not path.stem.startswith("__"))


def in_detail(package: str) -> bool:
    """Whether the modules of a package have lines of their own."""
    return any(line.startswith(f"{package}.") for line in ORDER)


def line_of(package: str, *below: str) -> str:
    """The line of ORDER of something inside of derive: that of its module, or that of its package."""
    if below and in_detail(package) and (PACKAGE / package / f"{below[0]}.py").exists():
        return f"{package}.{below[0]}"
    return package


def floor(path: Path) -> str:
    """The line of ORDER that a file belongs to."""
    package, *below = path.relative_to(PACKAGE).with_suffix("").parts
    return package if below == ["__init__"] else line_of(package, *below)


def imported(path: Path) -> Iterator[tuple[str, int]]:
    """Every module of the package that a file imports, anywhere in it, as (line of ORDER, line of the file)."""
    package = ("derive", *path.relative_to(PACKAGE).parts[:-1])
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            targets = [alias.name.split(".") for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = list(package[: len(package) - node.level + 1]) if node.level else []
            base += node.module.split(".") if node.module else []
            # `from derive import ir` names a module; `from derive.ir import Equation` names something in one.
            targets = [[*base, alias.name] for alias in node.names]
        else:
            continue
        for target in targets:
            if target[0] == "derive" and len(target) > 1:
                yield line_of(*target[1:]), node.lineno


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_go_downward(path: Path) -> None:
    own = floor(path)
    assert own in ORDER, f"derive/{own} has no floor yet: give it a line in ORDER of {Path(__file__).name}"
    for target, line in imported(path):
        if target in (own, "generated", "templates"):
            continue
        assert target in ORDER, f"{path}:{line} imports derive.{target}, which has no line in ORDER"
        assert ORDER.index(target) < ORDER.index(own), f"{path}:{line}: {own} may not import {target}, from above it"


@pytest.mark.parametrize("path", sorted((PACKAGE / "runtime").rglob("*.py")), ids=lambda path: path.name)
def test_the_runtime_stands_alone(path: Path) -> None:
    assert {target for target, _ in imported(path)} <= {"runtime"}
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        names += [node.module or ""] if isinstance(node, ast.ImportFrom) and not node.level else []
        for name in names:
            top = name.split(".")[0]
            assert top in {"derive", "numpy", "cffi", *sys.stdlib_module_names}, f"{path.name} imports {name}"


def test_the_build_can_be_loaded_without_the_package() -> None:
    """setup.py loads derive/compiler.py where only setuptools and cffi are installed."""
    for node in ast.parse((PACKAGE / "compiler.py").read_text(encoding="utf-8")).body:
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
