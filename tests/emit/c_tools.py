"""What the tests of emitted C share: compilers that are installed, flags of an instruction set, files of a cell."""

from __future__ import annotations

import shutil
import subprocess
from functools import cache
from pathlib import Path

import pytest

from derive import generation, registry
from derive.backends.c.standalone import standalone
from derive.backends.shared.printer import F32, F64
from derive.pipeline import model
from derive.toolchain.compiler import FLAGS, WARNINGS

CELLS = tuple(registry.shipped())
REALS = (F32, F64)
ISA_FLAGS = {
    "base": (),
    "portable": ("-DDERIVE_PORTABLE",),
    "avx2": ("-mavx2", "-mfma"),
    "avx512": ("-mavx512f", "-mavx512dq", "-mavx512vl", "-mfma"),
}
NUMBERED = {"base": 1, "avx2": 2, "avx512": 3}
MATH = tuple(f for f in FLAGS if f.startswith("-f"))
CPP_WARNINGS = ("-Wall", "-Wextra", "-Wpedantic", "-Wshadow", "-Werror")


@cache
def compilers() -> tuple[str, ...]:
    return tuple(c for c in ("gcc", "clang") if shutil.which(c))


def need(program: str) -> str:
    """The path of a program, or the test is skipped."""
    found = shutil.which(program)
    if not found:
        pytest.skip(f"{program} is not installed")
    return found


def best_isa() -> int:
    """1, 2 or 3: what this processor runs."""
    module = pytest.importorskip("derive.generated.rnn")
    return int(module._kernels.lib.rnn_isa())


def runnable() -> list[str]:
    """The instruction sets that this processor runs, portable included."""
    return ["portable", *(name for name, number in NUMBERED.items() if number <= best_isa())]


@cache
def files(cell: str) -> dict[str, str]:
    """What is emitted for a cell, by file name; its .c files as `derive export` writes them, with what they read."""
    return {**generation.files(registry.cell(cell)), **standalone(model(registry.cell(cell)))}


def folder(cell: str) -> Path:
    return generation.ROOT / "generated" / cell


SHARED = generation.ROOT / "generated" / generation.SHARED  # where the committed C finds what all cells share
INCLUDE = ("-I", SHARED)


def run(*command: object) -> str:
    """Run a command; a failure shows its words."""
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(map(str, command))}\n{done.stdout}{done.stderr}"
    return done.stdout


__all__ = [
    "CELLS",
    "CPP_WARNINGS",
    "FLAGS",
    "INCLUDE",
    "ISA_FLAGS",
    "MATH",
    "NUMBERED",
    "REALS",
    "SHARED",
    "WARNINGS",
    "best_isa",
    "compilers",
    "files",
    "folder",
    "need",
    "run",
    "runnable",
]
