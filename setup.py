"""Compile the committed C of generated/ into one extension module per cell.

Name, dependencies and package data stand in pyproject.toml, the version in derive/__init__.py. Here is only what cannot
be written there: which folders of generated/ are packages, and how the C in them is compiled. Each folder with a
manifest.json becomes the package `derive.generated.<folder>` with a compiled module `_kernels` in it, built by cffi in
API mode.

This file runs in pip's isolated build environment, where only setuptools and cffi exist. `derive/toolchain/compiler.py` knows the
sources and flags; it is loaded by its path, so that `derive/__init__.py` and with it NumPy and SymPy stay out.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from setuptools import Extension, find_packages, setup
from setuptools.command.build_ext import build_ext

ROOT = Path(__file__).resolve().parent
KERNELS = "_kernels"
SHARED = ROOT / "generated" / "_lib"  # headers that the C of all folders reads


def compiled_folders() -> list[Path]:
    """Return the folders of generated/ that hold C to compile, in the order of their names."""
    return sorted(manifest.parent for manifest in (ROOT / "generated").glob("*/manifest.json"))


def packages() -> list[str]:
    """Return every package of the distribution: derive/ itself, then the two folders that are mapped into it."""
    found = find_packages(str(ROOT), include=["derive", "derive.*"])
    found += [f"derive.{folder}" for folder in ("templates", "generated") if (ROOT / folder).is_dir()]
    found += [f"derive.generated.{file.parent.name}" for file in sorted((ROOT / "generated").glob("*/__init__.py"))]
    return found


def build_module() -> ModuleType:
    """Load derive/toolchain/compiler.py without importing the package it belongs to."""
    spec = importlib.util.spec_from_file_location("_derive_build", ROOT / "derive" / "toolchain" / "compiler.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def folder_of(extension: Any) -> Path:
    """Return the folder of generated/ that an extension is compiled from."""
    return ROOT / "generated" / extension.name.split(".")[-2]


def own_flags() -> bool:
    """Say whether the environment has flags for the compiler, which `derive build` would not use."""
    return any(os.environ.get(name) for name in ("CFLAGS", "CPPFLAGS", "LDFLAGS"))


class BuildKernels(build_ext):
    """Writes each extension's cffi wrapper, then compiles all of them, as many at a time as there are CPUs."""

    parallel: int | bool | None

    def finalize_options(self) -> None:
        """Use every CPU this process may run on, unless the command line says otherwise."""
        super().finalize_options()
        cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
        self.parallel = self.parallel or cpus

    def build_extensions(self) -> None:
        """Fill in sources and flags (cffi is needed only from here on), then compile."""
        self.builder = build_module()
        self.keys = {ext.name: self.builder.made_from(folder_of(ext)) for ext in self.extensions}
        for extension in self.extensions:
            self.fill(extension, self.builder)
        super().build_extensions()

    def build_extension(self, ext: Any) -> None:
        """Compile, unless the module that lies in generated/ was made from the same sources by the same compiler."""
        made = Path(self.get_ext_fullpath(ext.name))
        if not own_flags() and self.builder.is_current(folder_of(ext), KERNELS, self.keys[ext.name]):
            self.mkpath(str(made.parent))
            self.copy_file(str(folder_of(ext) / made.name), str(made))
        else:
            self.force = True  # setuptools compares ages of files only: flags and compiler may be others
            super().build_extension(ext)

    def copy_extensions_to_source(self) -> None:
        """Note beside the modules of an editable installation what they were made from, as `derive build` does."""
        super().copy_extensions_to_source()
        for ext in self.extensions:
            self.builder.note(folder_of(ext), KERNELS, "" if own_flags() else self.keys[ext.name])

    def fill(self, extension: Any, builder: ModuleType) -> None:
        """Give the extension the sources, flags and wrapper that `ffibuilder` decides on."""
        folder = folder_of(extension)
        ffi = builder.ffibuilder(str(folder), extension.name)
        made = ffi.distutils_extension(tmpdir=os.path.join(self.build_temp, "cffi"), verbose=False)
        kept = {"name": extension.name, "depends": extension.depends}
        vars(extension).update({**vars(made), **kept})
        extension.sources = [os.path.relpath(source, ROOT) for source in made.sources]


setup(
    packages=packages(),
    ext_modules=[
        Extension(
            f"derive.generated.{folder.name}.{KERNELS}",
            sources=sorted(str(file.relative_to(ROOT)) for file in folder.glob("*.c")),
            depends=[
                "derive/toolchain/compiler.py",
                *sorted(str(file.relative_to(ROOT)) for place in (folder, SHARED) for file in place.glob("*.h")),
            ],
        )
        for folder in compiled_folders()
    ],
    cmdclass={"build_ext": BuildKernels},
)
