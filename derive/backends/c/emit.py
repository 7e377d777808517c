"""From a cell to its files: fills templates/, writes generated/.

The passes decide everything; here their results are handed to Jinja.  Output is a function of the equations and the
templates alone: no date, no path, no order that depends on a hash.
"""

from __future__ import annotations

import difflib
import hashlib
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import sympy as sp
from sympy.tensor.indexed import Indexed

from derive import ir, registry
from derive.backends.c import layout
from derive.backends.c.contractions import HOIST_ROWS
from derive.backends.c.kernel import Kernel, StagePlan
from derive.backends.c.render import ROOT, render
from derive.backends.c.schedule import plan
from derive.backends.shared.printer import F32, F64, Expression, Real, size
from derive.backends.shared.values import from_afar, has_units, integrand
from derive.errors import DeriveError
from derive.ir import functions
from derive.notation import Cell, Head
from derive.pipeline import Model, Routine, model
from derive.signature import c_name


@dataclass(frozen=True)
class Isa:
    """An instruction set that a library holds a build for, beside the portable one."""

    tag: str
    title: str
    target: str
    features: tuple[str, ...]


ISAS = (
    Isa("avx2", "AVX2 and FMA", "avx2,fma", ("avx2", "fma")),
    Isa("avx512", "AVX-512", "avx512f,avx512dq,avx512vl,avx2,fma", ("avx512f", "avx512dq", "avx512vl", "fma")),
)


# -- C --------------------------------------------------------------------------------------------------------------


class _C:
    """What the C templates ask of the passes: spelled expressions, and whether a value is a vector."""

    def __init__(self, kernel: Kernel, real: Real) -> None:
        self.kernel, self.real = kernel, real
        self.tensors = kernel.program.tensors

    def is_vector(self, access: sp.Expr) -> bool:
        return self.has_units(ir.name_of(access))

    def has_units(self, name: str) -> bool:
        return has_units(self.tensors[name])

    def spelled(self, access: sp.Expr) -> str:
        by = ir.offset(ir.time_of(access, self.tensors)) if isinstance(access, Indexed) else 0
        return c_name(ir.name_of(access), by or 0)

    def expr(self, rhs: sp.Expr) -> str:
        return Expression(self.real, self.spelled, self.is_vector, from_afar(rhs, self.tensors)).print(
            ir.without_guards(rhs)
        )

    def integrand(self, rhs: sp.Expr) -> str:
        """The terms under the sums of an equation."""
        return self.expr(integrand(rhs))

    def vector(self, rhs: sp.Expr) -> bool:
        return any(self.is_vector(a) for a in rhs.atoms(Indexed))

    def row_dependent(self, name: str) -> bool:
        return self.tensors[name].batched

    def dims(self, stage: StagePlan) -> list[str]:
        """The dimensions that the statements of a stage mention."""
        found = {
            str(s)
            for e in [*stage.pointwise, *stage.sums, *stage.totals, *stage.scalars]
            for s in e.rhs.free_symbols
            if s.is_integer and str(s) in self.kernel.program.meta["sizes"]
        }
        for item in [*stage.loads, *stage.stores.values(), *stage.scalar_loads]:
            found |= {str(item.place.dim)} if item.place.dim is not None else set()
        found |= {str(stage.dim)} if stage.dim is not None else set()
        return [d for d in self.kernel.program.meta["sizes"] if d in found]


def c_source(made: Model, real: Real) -> str:
    """The C file of one scalar type."""
    kernels = [(k, _C(k, real)) for k in plan(made)]
    return render(
        "c/kernels.c.j2",
        model=made,
        real=real,
        kernels=kernels,
        calls=_functions(plan(made)),
        tape=_tape_regions(made),
        hoist_rows=HOIST_ROWS,
        state_tape=layout.tape_regions(next(k for k in plan(made) if k.name == "record")),
        polynomial=functions.exponential(real.dtype),
        records=functions.RECORDS,
    )


@dataclass(frozen=True)
class _Named:
    """What the templates of kernels ask of a cell, for a routine."""

    name: str
    digest: str
    meta: dict[str, list[str]]


@dataclass(frozen=True)
class _Array:
    """One member of the struct of a routine."""

    array: str
    shape: str
    is_input: bool


def routine_files(made: Routine, real: Real) -> dict[str, str]:
    """Header and C of a routine in one scalar type."""
    plans = plan(made)
    program = made.program
    arguments = [_Array(p.array, program.tensors[n].shape, n in program.inputs) for n, p in made.arguments.items()]
    values = {
        "routine": made,
        "routine_model": _Named(made.name, made.digest, {"dims": made.dims}),
        "real": real,
        "arguments": arguments,
        "kernels": [(k, _C(k, real)) for k in plans],
        "calls": _functions(plans),
        "tape": _tape_regions(made),
        "hoist_rows": HOIST_ROWS,
        "polynomial": functions.exponential(real.dtype),
        "records": functions.RECORDS,
    }
    return {f"{made.name}.h": render("c/routine.h.j2", **values), f"{made.name}.c": render("c/routine.c.j2", **values)}


def _functions(kernels: Iterable[Kernel]) -> list[str]:
    """The C names of all functions that kernels call."""
    nodes = [node for k in kernels for e in k.program.equations for node in sp.preorder_traversal(e.rhs)]
    return sorted({record.c for node in nodes if (record := functions.record_of(node)) is not None})


def _tape_regions(made: Model | Routine) -> list[tuple[str, str]]:
    """Name and width of a row of each tape region, in order."""
    regions: dict[str, str] = {}
    for p in made.tape.values():
        regions[p.array] = size(p.slots * (p.dim if p.dim is not None else sp.Integer(1)))
    return list(regions.items())


def c_header(made: Model) -> str:
    """The header: both scalar types, every array with its shape."""
    return render(
        "c/header.h.j2",
        model=made,
        reals=(F32, F64),
        tape=_tape_regions(made),
        text=lambda expr: ir.text(expr, ascii=True),
    )


def code(made: Model) -> dict[str, str]:
    """Every C file of a model, by its name."""
    found = {f"{made.name}.h": c_header(made), **{f"{made.name}_{r.tag}.c": c_source(made, r) for r in (F32, F64)}}
    for isa in ISAS:
        for real in (F32, F64):
            found[f"{made.name}_{real.tag}_{isa.tag}.c"] = render("c/isa.c.j2", model=made, real=real, isa=isa)
    splits = layout.splittable([(k, None) for k in plan(made)])
    found[f"{made.name}_dispatch.c"] = render("c/dispatch.c.j2", model=made, splits=splits, reals=(F32, F64), isas=ISAS)
    return found


def files(cell: Cell, loss: Head | None = None, documented: bool = True) -> dict[str, str]:
    """Every generated file of a cell, by its name; `documented`: with what the cell says of itself."""
    made = model(cell, loss)
    if not documented:
        made = replace(made, doc="")
    own = code(made)
    # A compiled module says which C it was made from: an older one may take the same arguments for something else.
    digest = hashlib.sha256(json.dumps(own, sort_keys=True).encode()).hexdigest()[:16]
    found = {
        "__init__.py": render("python/module.py.j2", model=made, code=digest),
        **own,
        "README.md": render("python/readme.md.j2", model=made, text=ir.text, tape=_tape_regions(made)),
    }
    manifest = {
        "cell": made.name,
        "digest": made.digest,
        "code": digest,
        "dims": made.meta["dims"],
        "sources": sorted(n for n in found if n.endswith(".c")),
        "header": f"{made.name}.h",
        "files": sorted([*found, "manifest.json"]),
    }
    found["manifest.json"] = json.dumps(manifest, indent=2, sort_keys=True) + "\n"
    return found


# -- generated/ --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Change:
    """What regeneration does to one file."""

    path: str
    kind: str
    diff: str = ""


def write(folder: Path, made: dict[str, str]) -> None:
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
    chosen = list(names) or list(registry.cells())
    for name in chosen:
        if name not in registry.cells():
            raise DeriveError(
                f"{name} is no cell of derive/cells/; a cell of your own is compiled by derive.build(cell)"
            )
        progress(name)
        made = files(registry.cell(name))
        folder = target / name
        changes += [compare(folder / file, f"{name}/{file}", text) for file, text in sorted(made.items())]
        stale = (
            [
                p
                for p in sorted(folder.iterdir())
                if p.is_file()
                and p.name not in made
                and p.suffix in (".c", ".h", ".py", ".tex", ".md", ".json")
                and p.name != "_kernels.c"
                and p.stem != "derivation"  # derive/document writes those, for it asks the compiled C
            ]
            if folder.is_dir()
            else []
        )
        changes += [Change(f"{name}/{p.name}", "removed") for p in stale]
        if not check:
            write(folder, made)
            for p in stale:
                p.unlink()
    return changes


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
