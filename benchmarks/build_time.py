"""What it costs to get a compiled LSTM: deriving and emitting, compiling, importing; and the bytes of its tape.

Each is measured in a process of its own, since the second time is not the first.
"""

from __future__ import annotations

import subprocess
import sys
from statistics import median
from typing import Any

_DERIVE = """
import time
began = time.perf_counter()
from derive import generation, registry
generation.files(registry.cell("lstm"))
print(time.perf_counter() - began)
"""
_COMPILE = """
import tempfile, time
from pathlib import Path
from derive import generation, registry
from derive.toolchain import compiler
made = generation.files(registry.cell("lstm"))
with tempfile.TemporaryDirectory() as folder:
    generation.write(Path(folder), made)
    began = time.perf_counter()
    compiler.compile_folder(folder)
    print(time.perf_counter() - began)
"""
_IMPORT = """
import time
import numpy
began = time.perf_counter()
import derive.generated.lstm
print(time.perf_counter() - began)
"""
_TAPE = """
from derive.generated.lstm._kernels import ffi, lib
args, sizes = ffi.new("lstm_f32_args *"), ffi.new("lstm_sizes *")
args.T, args.B, args.I, args.H = 50, 32, 128, 128
assert lib.lstm_f32_sizes(args, sizes) == 0
print(sizes.tape / (args.T * args.B * args.H))
"""
PROGRAMS = {"derive": (_DERIVE, 1), "compile": (_COMPILE, 1), "import": (_IMPORT, 5), "tape": (_TAPE, 1)}  # times run


def measure() -> tuple[dict[str, float], list[str]]:
    """(figure -> seconds, or bytes for the tape; what failed). An import is the median of five."""
    found: dict[str, float] = {}
    failed: list[str] = []
    for name, (program, repeats) in PROGRAMS.items():
        try:
            found[name] = median(_run(program) for _ in range(repeats))
        except (subprocess.CalledProcessError, ValueError) as error:
            last = str(getattr(error, "stderr", "") or error).strip().splitlines()[-1]
            failed.append(f"build figure {name}: {last}")
    return found, failed


def _run(program: str) -> float:
    command: list[Any] = [sys.executable, "-c", program]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip().splitlines()[-1])
