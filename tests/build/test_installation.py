"""setup.py: what was compiled once for a checkout is compiled neither by `derive build` nor for a wheel."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from derive import generation
from derive.toolchain import compiler

SETUP = ("setup.py", "pyproject.toml", "MANIFEST.in", "LICENSE", "README.md")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout with one cell, nothing compiled."""
    here = tmp_path / "checkout"
    for name in SETUP:
        (here / name).parent.mkdir(exist_ok=True)
        shutil.copy(generation.ROOT / name, here / name)
    (here / "derive" / "toolchain").mkdir(parents=True)
    for name in ("__init__.py", "toolchain/__init__.py", "toolchain/compiler.py"):
        shutil.copy(generation.ROOT / "derive" / name, here / "derive" / name)
    shutil.copytree(
        generation.ROOT / "generated" / "rnn", here / "generated" / "rnn", ignore=shutil.ignore_patterns("_k*")
    )
    shutil.copytree(generation.ROOT / "generated" / "_lib", here / "generated" / "_lib")
    (here / "generated" / "__init__.py").write_text("")
    return here


@pytest.fixture
def counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A compiler that does not optimise, and says how often it was asked to compile C."""
    script, record = tmp_path / "cc", tmp_path / "record"
    script.write_text(
        f'#!/bin/sh\ncase " $* " in *" -c "*) echo >> {record};; esac\nexec {compiler.command()[0]} "$@" -O0\n'
    )
    script.chmod(0o755)
    monkeypatch.setenv("CC", str(script))
    for name in ("CFLAGS", "CPPFLAGS", "LDFLAGS"):
        monkeypatch.delenv(name, raising=False)
    return lambda: len(record.read_text().splitlines()) if record.exists() else 0


def build_ext(checkout: Path, *words: str) -> None:
    done = subprocess.run(
        [sys.executable, "setup.py", "-q", "build_ext", *words],
        cwd=checkout,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.skipif(os.name == "nt", reason="the compiler is a shell script")
def test_nothing_is_compiled_twice(checkout: Path, counted, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("setuptools", "77")
    folder = checkout / "generated" / "rnn"
    build_ext(checkout, "--inplace")
    (made,) = folder.glob("_kernels*.so")
    first = counted()
    assert first == 8  # seven sources and cffi's wrapper
    compiler.compile_folder(folder)  # as `derive build` does
    build_ext(checkout, "--inplace")
    build_ext(checkout, "--build-lib", "build/wheel")
    assert counted() == first
    (copied,) = (checkout / "build" / "wheel").rglob("_kernels*.so")
    assert copied.read_bytes() == made.read_bytes()
    # What `derive build` would compile with other flags is not taken for its own.
    monkeypatch.setenv("CFLAGS", "-DNOTHING")
    build_ext(checkout, "--inplace")
    assert counted() == 2 * first
    monkeypatch.delenv("CFLAGS")
    assert not compiler.is_current(folder, "_kernels", compiler.made_from(folder))
    # What changed is compiled again, whatever lies in the folder.
    compiler.note(folder, "_kernels", compiler.made_from(folder))
    for times, source in enumerate((folder / "rnn_dispatch.c", checkout / "generated" / "_lib" / "derive_gemm.h"), 3):
        source.write_text(source.read_text() + "/* changed */\n")
        build_ext(checkout, "--build-lib", f"build/changed{times}")
        assert counted() == times * first, f"{source.name} is part of what a module is made from"
