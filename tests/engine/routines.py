"""A routine compiled without optimisation and called with arrays, beside the interpreter of its program."""

from __future__ import annotations

import subprocess
from pathlib import Path

import cffi
import numpy as np

from derive.backends.c.emit import routine_files
from derive.backends.shared.printer import F64
from derive.ir import B, Program
from derive.passes.batch import batch
from derive.pipeline import Routine
from derive.toolchain.compiler import declarations
from derive.verify import interpreter

# Undefined behaviour ends the process: a library that Python loads has no place for the reports of a sanitizer.
UNDEFINED = ("-fsanitize=undefined", "-fsanitize-undefined-trap-on-error")
FLAGS = (
    *UNDEFINED,
    "-std=c99",
    "-O0",
    "-ffp-contract=off",
    "-fno-math-errno",
    "-shared",
    "-fPIC",
    "-Wall",
    "-Wextra",
    "-Werror",
)


def compiled(made: Routine, folder: Path):
    """(ffi, library) of a routine in double."""
    for name, text in routine_files(made, F64).items():
        (folder / name).write_text(text)
    target = folder / f"{made.name}.so"
    command = ["cc", *FLAGS, "-o", str(target), str(folder / f"{made.name}.c"), "-lm"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[:3000]
    ffi = cffi.FFI()
    ffi.cdef(declarations((folder / f"{made.name}.h").read_text()))
    return ffi, ffi.dlopen(str(target))


def shape_of(made: Routine, name: str, sizes: dict[str, int]) -> tuple[int, ...]:
    """The shape of an argument as the C sees it: T steps where it has time."""
    tensor = made.trace.after("batch").artefact.tensors[name]
    steps = (sizes["T"],) if tensor.time is not None else ()
    return (*steps, *(sizes["B" if d == B else str(d)] for d in tensor.dims))


def called(made: Routine, code, values: dict[str, np.ndarray], sizes: dict[str, int]) -> dict[str, np.ndarray]:
    """All outputs of the C for these inputs; `code` is what `compiled` gave."""
    ffi, library = code
    args = ffi.new(f"{made.name}_args *", {n: sizes[n] for n in ("T", "B", *made.dims)})
    arrays = {}
    for name, place in made.arguments.items():
        given = name in made.program.inputs
        array = values[name] if given else np.full(shape_of(made, name, sizes), np.nan)
        arrays[name] = np.ascontiguousarray(array, dtype=np.float64)
        setattr(args, place.array, ffi.from_buffer("double[]", arrays[name], require_writable=not given))
    size = getattr(library, f"{made.name}_workspace")(args)
    assert size
    workspace = np.full(size // 8 + 8, np.nan)
    args.workspace, args.workspace_size = ffi.from_buffer("double[]", workspace), size
    assert getattr(library, made.name)(args) == 0
    return {n: arrays[n] for n in made.arguments if n in made.program.defined}


def drawn(made: Routine, sizes: dict[str, int], seed: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {n: rng.normal(size=shape_of(made, n, sizes)) * 0.4 for n in made.arguments if n in made.program.inputs}


def expected(
    made: Routine, program: Program, values: dict[str, np.ndarray], sizes: dict[str, int]
) -> dict[str, np.ndarray]:
    """What the interpreter makes of the program as it was given, for B sequences and after no pass but `batch`."""
    many = batch(program)
    unread = {n: np.zeros(shape_of(made, n, sizes)) for n in many.inputs if n not in values}
    found = interpreter.run(many, {**unread, **values}, sizes)
    starts = {n: 1 - int(x.time[0]) for n, x in many.tensors.items() if x.time is not None}
    return {n: a[starts[n] : starts[n] + sizes["T"]] if n in starts else a for n, a in found.items()}
