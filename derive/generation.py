"""The files of a cell, and generated/, which holds those of all shipped cells.

Output is a function of the equations and the templates alone: no date, no path, no order that depends on a hash.
"""

from __future__ import annotations

import difflib
import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from derive import ir, registry
from derive.backends.c import emit
from derive.backends.c import standalone as folding
from derive.errors import DeriveError
from derive.notation import Cell, Loss
from derive.passes.simplify import adjoints
from derive.pipeline import model
from derive.rendering import ROOT, render

SHARED = "_lib"  # the folder of generated/ with what all cells share; derive/toolchain/compiler.py looks there

# The cell whose derivation is committed.  A page carries the formula renderer and its fonts, half a megabyte: those of all
# other cells are a command away, `derive latex CELL`.
DOCUMENTED = ("lstm",)


def files(cell: Cell, loss: Loss | None = None, documented: bool = True) -> dict[str, str]:
    """Every generated file of a cell, by its name, with the headers that all cells share: a folder that needs no other.

    `documented`: with what the cell says of itself.
    """
    made = model(cell, loss)
    if not documented:
        made = replace(made, doc="")
    own, shared = emit.code(made), emit.shared()
    code = {**own, **shared}
    # A compiled module says which C it was made from: an older one may take the same arguments for something else.
    digest = hashlib.sha256(json.dumps(code, sort_keys=True).encode()).hexdigest()[:16]
    readme = render(
        "python/readme.md.j2",
        model=made,
        text=ir.text,
        adjoint=adjoints(made.adjoint),
        committed=made.name in DOCUMENTED,
    )
    found = {"__init__.py": render("python/module.py.j2", model=made, code=digest), **code, "README.md": readme}
    manifest = {
        "cell": made.name,
        "digest": made.digest,
        "code": digest,
        "dims": made.meta["dims"],
        "sources": sorted(n for n in found if n.endswith(".c")),
        "header": f"{made.name}.h",
        "files": sorted({*found, "manifest.json"} - {*shared}),
        "shared": sorted(shared),
    }
    found["manifest.json"] = json.dumps(manifest, indent=2, sort_keys=True) + "\n"
    return found


def standalone(cell: Cell, types: Sequence[str] = ("f32", "f64"), loss: Loss | None = None) -> dict[str, str]:
    """The C of a cell by file name, as files that need no others; `types` are tags of scalar types."""
    return folding.standalone(model(cell, loss), [real for real in emit.REALS if real.tag in types])


# -- generated/ --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Change:
    """What regeneration does to one file."""

    path: str
    kind: str
    diff: str = ""


def write(folder: Path, made: Mapping[str, str]) -> None:
    """Write the files of a cell into a folder, which is made if need be."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in made.items():
        (folder / name).write_text(text, encoding="utf-8")


def regenerate(
    names: Iterable[str] = (),
    check: bool = False,
    progress: Callable[[str], None] = lambda name: None,
    target: Path | None = None,
) -> list[Change]:
    """Write generated/ (or only compare, with `check`): one Change per file, those that stay the same included."""
    target = target or ROOT / "generated"
    if not target.is_dir():
        raise DeriveError(f"there is no folder {target.name}/ here: run `derive build` in a checkout of the project")
    changes: list[Change] = []
    for name in list(names) or list(registry.shipped()):
        if not registry.is_shipped(name):
            raise DeriveError(f"{name} does not ship: only cells that lie in derive/cells/ itself are in generated/")
        progress(name)
        made = files(registry.cell(name))
        changes += _put(target / name, {file: text for file, text in made.items() if file not in emit.shared()}, check)
    return changes + _put(target / SHARED, emit.shared(), check)


def _put(folder: Path, made: Mapping[str, str], check: bool) -> list[Change]:
    """Write the files of a folder of generated/ and remove those that are no longer made; with `check` only compare."""
    changes = [compare(folder / name, f"{folder.name}/{name}", text) for name, text in sorted(made.items())]
    stale = [p for p in sorted(folder.iterdir()) if _is_stale(p, made)] if folder.is_dir() else []
    if not check:
        write(folder, made)
        for p in stale:
            p.unlink()
    return changes + [Change(f"{folder.name}/{p.name}", "removed") for p in stale]


def _is_stale(path: Path, made: Mapping[str, str]) -> bool:
    """Whether a file is one of ours and not made any more; documents are derive/document's, for they ask the compiled C."""
    ours = path.suffix in (".c", ".h", ".py", ".tex", ".md", ".json") and path.name != "_kernels.c"
    return path.is_file() and ours and path.name not in made and path.stem != "derivation"


def compare(path: Path, shown: str, text: str) -> Change:
    """What writing a text into a file of generated/ would change."""
    if not path.is_file():
        return Change(shown, "new")
    old = path.read_text(encoding="utf-8")
    if old == text:
        return Change(shown, "same")
    diff = difflib.unified_diff(
        old.splitlines(), text.splitlines(), f"generated/{shown}", f"regenerated/{shown}", lineterm=""
    )
    return Change(shown, "changed", "\n".join(diff))
