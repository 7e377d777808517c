"""The compiler, tried on a small module, and the instruction sets of the processor."""

from __future__ import annotations

import json
import platform
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import derive
from derive.doctor.finding import BROKEN, NOTE, OK, Finding
from derive.errors import DeriveError

MODULE = "_kernels_doctor"
HEADER = "int doctor_sum(int a, int b);\n"
SOURCE = '#include "doctor.h"\nint doctor_sum(int a, int b) { return a + b; }\n'
MANIFEST = {"cell": "doctor", "code": "0", "header": "doctor.h", "sources": ["doctor.c"]}
LOAD = f"import sys; sys.path.insert(0, sys.argv[1]); import {MODULE} as m; sys.exit(m.lib.doctor_sum(20, 22) != 42)"
INSTALL = "install gcc or clang, or name a compiler in CC; what is compiled already runs without one"


def compiler() -> Iterator[Finding]:
    """Which compiler it is, and whether a module that it compiles, as cells are compiled, can be loaded."""
    from derive.toolchain import compiler as toolchain

    try:
        command = toolchain.command()
    except DeriveError as error:
        yield Finding("compiler", "command", BROKEN, str(error), "correct CC, or unset it")
        return
    place = shutil.which(command[0])
    if place is None:
        yield Finding(
            "compiler", "command", BROKEN, f"{shlex.join(command)} is not found", INSTALL, shlex.join(command)
        )
        return
    yield Finding("compiler", "command", OK, f"{shlex.join(command)} ({place})", value=shlex.join(command))
    version = next(iter(toolchain.version().splitlines()), "")
    if version:
        yield Finding("compiler", "version", OK, version, value=version)
    else:
        yield Finding("compiler", "version", NOTE, "it says none", "is CC a compiler?")
    yield _trial()


def _trial() -> Finding:
    """Compile a module that adds two numbers, and load it in a process of its own, which may crash."""
    from derive.toolchain import compiler as toolchain

    what = "compiles and loads a module"
    try:
        with tempfile.TemporaryDirectory(prefix="derive-doctor-") as temporary:
            folder = Path(temporary)
            for name, text in (("doctor.h", HEADER), ("doctor.c", SOURCE), ("manifest.json", json.dumps(MANIFEST))):
                (folder / name).write_text(text, encoding="utf-8")
            toolchain.compile_into(toolchain.extension(folder, MODULE), folder, MODULE)
            command = [sys.executable, "-c", LOAD, str(folder)]
            done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, cwd=folder, check=False)
    except DeriveError as error:
        return Finding("compiler", what, BROKEN, str(error), f"the compiler's words say why; {INSTALL}")
    except OSError as error:
        where = f" ({error.filename})" if error.filename else ""
        advice = "TMPDIR names the folder in which to compile: make it writable, or name another"
        return Finding("compiler", what, BROKEN, f"cannot compile: {error.strerror}{where}", advice)
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        found = f"it compiles, and what it made does not load: {said[-1] if said else f'status {done.returncode}'}"
        return Finding(
            "compiler", what, BROKEN, found, "the compiler must make code for this Python and processor; see CC"
        )
    return Finding("compiler", what, OK, "yes", value=True)


def processor() -> Iterator[Finding]:
    """The instruction sets that run here, and the one that cells use."""
    machine = platform.machine()
    yield Finding("processor", "machine", OK, machine or "unknown", value=machine)
    try:
        found = derive.cpu()
    except DeriveError as error:
        yield Finding("processor", "instruction sets", NOTE, str(error), "run `derive build`, and look again")
        return
    except ValueError as error:  # DERIVE_ISA
        yield Finding("processor", "instruction sets", BROKEN, str(error), "correct DERIVE_ISA, or unset it")
        return
    sets = list(found["available"])
    yield Finding("processor", "instruction sets", OK, ", ".join(sets), value=sets)
    yield Finding("processor", "in use", OK, found["isa"], value=found["isa"])
