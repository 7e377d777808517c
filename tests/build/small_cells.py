"""What the tests of building share: a small cell in a file, compilers that are quick or keep count, other processes."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

from derive.toolchain import compiler

CELL = '''
from derive.notation import Sum, cell, j, k, n, sigmoid, t, tanh

@cell(states="h")
def mine(x, h, W, U, b):
    """A cell of one's own."""
    h[t, n] = {function}(Sum(W[n, j] * x[t, j], j) + Sum(U[n, k] * h[t - 1, k], k) + b[n])
'''
USE = """
import numpy as np, derive
module = derive.build(mine)
out, _ = module.infer(np.ones((2, 3), np.float32), module.init_params(3, 4, dtype=np.float32, seed=0))
print(module.__file__, float(abs(out).sum()) > 0)
"""


def cell_of(folder: Path, function: str = "tanh", name: str = "mine", text: str = CELL) -> Any:
    """The cell of a file, as a person would write and import it."""
    path = folder / f"{name}_{function}.py"
    path.write_text(text.format(function=function))
    spec = importlib.util.spec_from_file_location(f"{folder.name}_{function}", path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.mine


REMEMBERING = """
for word in "$@"; do last=$word; done
case " $* " in *" -c "*) ;; *) exec {cc} "$@" -O0;; esac
key=$(for word in "$@"; do
    case $before in -iquote) cat "$word"/*.h; word=;; esac
    case $word in
    *.c) cat "$word";;
    *.o) ;;
    *) echo "$word";;
    esac
    before=$word
done | sha256sum | cut -c 1-32)
if [ ! -f "{memory}/$key" ]; then
    {cc} "$@" -O0 || exit $?
    cp "$last" "{memory}/$key.$$" && mv "{memory}/$key.$$" "{memory}/$key"
fi
cp "{memory}/$key" "$last"
"""


def quick_compiler(folder: Path) -> Path:
    """A compiler that does not optimise (it is the last -O that counts), and compiles nothing twice in a session."""
    memory = folder.parent / "objects"
    memory.mkdir(exist_ok=True)
    cc = compiler.command()[0]
    return script(folder / "fast-cc", REMEMBERING.format(cc=cc, memory=memory))


def script(path: Path, text: str) -> Path:
    """A program that the tests may run."""
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def python(code: str, *options: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Another process that runs a program."""
    return subprocess.run(
        [sys.executable, *options, "-c", textwrap.dedent(code)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **environment},
    )
