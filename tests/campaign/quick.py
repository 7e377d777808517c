"""A cell as a module, made as cheaply as can be: no optimisation, one instruction set, no extension module to compile.

The C is that of `derive.build`, and so is the Python above it; between the two stands cffi's ABI mode.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import types
from dataclasses import dataclass, replace
from pathlib import Path

import cffi

from derive import generation
from derive.backends.c import emit
from derive.toolchain.compiler import FLAGS, declarations

MATH = tuple(f for f in FLAGS if f.startswith("-f"))
SETS = {
    "portable": ("-DDERIVE_PORTABLE",),
    "base": (),
    "avx2": ("-mavx2", "-mfma"),
    "avx512": ("-mavx512f", "-mavx512dq", "-mavx512vl", "-mfma"),
}


@dataclass(frozen=True)
class Build:
    """How C is compiled: flags, the instruction set of each scalar type, and DEPTH, the rows of a chunk (None: as is)."""

    flags: tuple[str, ...] = ("-O0",)
    f64: str = "base"
    f32: str = "portable"
    depth: int | None = None


class DoesNotCompile(Exception):
    """What the C compiler said."""


class _Library:
    """The functions of a library that was opened, and its inline function under the name that the runtime asks for."""

    def __init__(self, library, name):
        self._library, self._inline = library, f"{name}_error"

    def __getattr__(self, name):
        return getattr(self._library, "derive_error" if name == self._inline else name)


def files(cell, loss=None):
    """What is emitted for a cell, without the builds for particular instruction sets."""
    kept = emit.TARGET
    emit.TARGET = replace(kept, sets=tuple(replace(s, features=()) for s in kept.sets))
    try:
        return generation.files(cell, loss)
    finally:
        emit.TARGET = kept


def build(cell, loss, folder: Path, how: Build = Build(), alter=lambda made: made):
    """The module of a cell; raises what `generation.files` does, and DoesNotCompile. `alter` changes the files before."""
    made = alter(files(cell, loss))
    manifest = json.loads(made["manifest.json"])
    name, header = manifest["cell"], manifest["header"]
    folder.mkdir(parents=True, exist_ok=True)
    for file, text in made.items():
        if file.endswith((".c", ".h")):
            if how.depth is not None:
                text = text.replace(f"#define DEPTH {emit.TARGET.depth}", f"#define DEPTH {how.depth}")
            (folder / file).write_text(text)
    more = f'const char *derive_code(void);\nconst char *derive_error(int code);\n#include "{header}"\n'
    more += f'const char *derive_code(void) {{ return "{manifest["code"]}"; }}\n'
    more += f"const char *derive_error(int code) {{ return {name}_error(code); }}\n"
    (folder / "derive_more.c").write_text(more)
    objects = []
    for source in [*manifest["sources"], "derive_more.c"]:
        own = SETS[how.f64] if source.endswith("_f64.c") else SETS[how.f32] if source.endswith("_f32.c") else ()
        made_object = folder / f"{source}.o"
        command = ["gcc", "-std=c99", *how.flags, *own, *MATH, "-DDERIVE_DISPATCH", "-fPIC", "-c", folder / source]
        _run([*command, "-o", made_object])
        objects.append(made_object)
    library = folder / f"{name}.so"
    _run(["gcc", *how.flags, "-shared", *objects, "-o", library, "-lm"])
    ffi = cffi.FFI()
    ffi.cdef(declarations((folder / header).read_text()))
    ffi.cdef("const char *derive_code(void); const char *derive_error(int code);")
    native = types.SimpleNamespace(ffi=ffi, lib=_Library(ffi.dlopen(str(library)), name), __name__="_kernels")
    full = f"quick_{name}_{hashlib.sha256(str(folder).encode()).hexdigest()[:12]}"
    module = types.ModuleType(full)
    module.__package__, module.__path__ = full, [str(folder)]
    sys.modules[full], sys.modules[f"{full}._kernels"] = module, native
    try:
        exec(compile(made["__init__.py"], f"{name}/__init__.py", "exec"), vars(module))
    finally:
        del sys.modules[full], sys.modules[f"{full}._kernels"]
    return module


def _run(command):
    own = {
        n: v for n, v in os.environ.items() if n != "LD_PRELOAD"
    }  # a sanitizer is for the cell, not for the compiler
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True, check=False, env=own)
    if done.returncode:
        errors = [line for line in done.stderr.splitlines() if "error" in line] or done.stderr.splitlines()
        raise DoesNotCompile("\n".join(errors[:6]))
