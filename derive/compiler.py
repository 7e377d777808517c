"""Compiling generated C with cffi (API mode), in place or into a cache.

At import this module needs the standard library and cffi only: setup.py loads it by path in an environment where
nothing else is installed.  The declarations that cffi wants are read from the generated header itself.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import platform
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import cffi
import cffi.recompiler

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from derive.notation import Cell, Head

FLAGS = ("-std=c99", "-O3", "-ffp-contract=off", "-fno-math-errno", "-fno-trapping-math", "-DDERIVE_DISPATCH", "-DDERIVE_THREADS")
WARNINGS = ("-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Wshadow", "-Wdouble-promotion", "-Werror")


def declarations(header: str) -> str:
    """What cffi needs of a header: its types and prototypes, without comments, guards and inline functions."""
    text = re.sub(r"/\*.*?\*/", "", header, flags=re.DOTALL)
    inline = re.findall(r"static inline ([^{]*?)\s*\{.*?\n\}", text, flags=re.DOTALL)
    text = re.sub(r"static inline [^{]*\{.*?\n\}", "", text, flags=re.DOTALL)
    text = re.sub(r"#ifdef __cplusplus\n.*?#endif", "", text, flags=re.DOTALL)
    lines = [line for line in text.split("\n") if line.strip() and not line.startswith("#")]
    return "\n".join([*lines, *(f"{signature};" for signature in inline)])


def preamble(manifest: Mapping[str, Any]) -> str:
    """What cffi's wrapper begins with: the header, and which C it was made from, for the runtime to compare."""
    return f'#include "{manifest["header"]}"\nstatic const char *derive_code(void) {{ return "{manifest["code"]}"; }}\n'


def ffibuilder(folder: str, module_name: str) -> cffi.FFI:
    """The cffi builder of a generated folder: `set_source` is done, with sources and flags.

    Raises FileNotFoundError where the folder has no manifest.json.
    """
    here = Path(folder)
    manifest = json.loads((here / "manifest.json").read_text(encoding="utf-8"))
    ffi = cffi.FFI()
    ffi.cdef(declarations((here / manifest["header"]).read_text(encoding="utf-8")) + "\nconst char *derive_code(void);")
    ffi.set_source(
        module_name,
        preamble(manifest),
        sources=[str(here / s) for s in manifest["sources"]],
        include_dirs=[str(here)],
        extra_compile_args=list(FLAGS) if os.name != "nt" else [],
    )
    return ffi


def compile_folder(folder: Path | str, module: str = "_kernels", defines: Sequence[str] = ()) -> Path:
    """Compile a generated folder in place; returns the extension module.  Does nothing where it is up to date.

    `defines` are options such as -DLSTM_H=8, which fix sizes.

    Raises DeriveError with the compiler's words if it fails; also without a compiler, or if the folder is closed to us.
    """
    here = Path(folder).resolve()
    try:
        return _compile(here, module, tuple(defines))
    except OSError as error:
        raise _unwritable(here, error) from error


def _unwritable(folder: Path, error: OSError) -> Exception:
    from derive.errors import DeriveError

    return DeriveError(
        f"cannot build in {folder}: {error.strerror or error}; for cells of your own, DERIVE_CACHE names "
        f"another folder to build in"
    )


def is_current(folder: Path, module: str, key: str) -> bool:
    """Whether the compiled module that lies in a folder was noted to be made from what `key` stands for."""
    stamp = folder / f"{module}.stamp"
    made = _extension(folder, module)
    return made.is_file() and stamp.is_file() and stamp.read_text(encoding="utf-8") == key


def note(folder: Path, module: str, key: str) -> None:
    """Note what the compiled module of a folder was made from; `made_from` says it, asked before the compilation."""
    (folder / f"{module}.stamp").write_text(key, encoding="utf-8")


def _extension(folder: Path, module: str) -> Path:
    return folder / f"{module}{sysconfig.get_config_var('EXT_SUFFIX')}"


def _compile(here: Path, module: str, defines: tuple[str, ...]) -> Path:
    made = _extension(here, module)
    key = made_from(here, defines)
    if is_current(here, module, key):
        return made
    with tempfile.TemporaryDirectory(prefix="derive-") as temporary:
        work = Path(temporary)
        ffi = ffibuilder(str(here), module)
        wrapper = work / f"{module}.c"
        manifest = json.loads((here / "manifest.json").read_text(encoding="utf-8"))
        cffi.recompiler.make_c_source(ffi, module, preamble(manifest), str(wrapper), verbose=False)
        objects = _objects([*(here / s for s in manifest["sources"])], wrapper, here, work, defines)
        built = work / made.name
        _run([*_linker(), *map(str, objects), "-lm", "-o", str(built)], here)
        # Rename into place: another process may import or build the same module at this moment.
        landing = here / f".{made.name}.{work.name}"
        shutil.copy(built, landing)
        os.replace(landing, made)
        note(here, module, key)
    return made


def _objects(sources: list[Path], wrapper: Path, include: Path, work: Path, defines: tuple[str, ...]) -> list[Path]:
    """Object files of the sources and of cffi's wrapper, compiled side by side on the CPUs that there are."""
    from concurrent.futures import ThreadPoolExecutor

    python = [f"-I{sysconfig.get_path('include')}", f"-I{sysconfig.get_path('platinclude')}"]
    commands, objects = [], []
    for source in [*sources, wrapper]:
        made = work / f"{source.stem}.o"
        own = [*FLAGS, *defines] if source != wrapper else ["-O2", *python]
        commands.append([*_compiler(), "-fPIC", *own, f"-I{include}", "-c", str(source), "-o", str(made)])
        objects.append(made)
    with ThreadPoolExecutor(
        max_workers=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 2
    ) as pool:
        list(pool.map(lambda command: _run(command, include), commands))
    return objects


def _compiler() -> list[str]:
    """$CC, which may have arguments; else the compiler that Python was built with, if it is there; else cc."""
    given = shlex.split(os.environ.get("CC", ""))
    if given:
        return given
    own = shlex.split(sysconfig.get_config_var("CC") or "cc")[0]
    return [own if shutil.which(own) else "cc"]


def _linker() -> list[str]:
    shared = ["-bundle", "-undefined", "dynamic_lookup"] if sys.platform == "darwin" else ["-shared"]
    return [*_compiler(), *shared]


def _run(command: list[str], folder: Path) -> None:
    from derive.errors import DeriveError

    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except (FileNotFoundError, PermissionError) as error:
        raise DeriveError(f"no C compiler: {command[0]!r} cannot be run; install gcc or clang, or set CC") from error
    if done.returncode:
        words = (done.stderr or done.stdout).strip() or f"exit status {done.returncode}"
        raise DeriveError(f"compiling {folder.name} failed ({command[0]} ... {command[-3]}):\n{words}")


def made_from(folder: Path, defines: tuple[str, ...] = ()) -> str:
    """What a compiled module depends on: sources, flags, compiler, Python, and the processor that it was built for.

    Raises FileNotFoundError where the folder has no manifest.json.
    """
    digest = hashlib.sha256()
    for path in sorted(p for p in folder.iterdir() if p.suffix in (".c", ".h") and not p.name.startswith("_")):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    compiler = _compiler()
    try:
        version = subprocess.run([*compiler, "--version"], capture_output=True, text=True, check=False).stdout
    except OSError:
        version = ""
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    built = (preamble(manifest), *FLAGS, *defines, *compiler, version, sys.version, platform.machine(), cpu_features())
    for part in built:
        digest.update(part.encode() + b"\0")
    return digest.hexdigest()


def cpu_features() -> str:
    """The features of this processor that the operating system names, sorted; part of the key of the cache."""
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.lower().startswith(("flags", "features")):
                return " ".join(sorted(line.split(":", 1)[1].split()))
    except OSError:
        pass
    return platform.processor()


def cache_folder() -> Path:
    """Where `derive.build` keeps what it compiled: $DERIVE_CACHE, or the user's cache folder."""
    given = os.environ.get("DERIVE_CACHE")
    if given:
        return Path(given)
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "lstm-derive"


def build(cell: Cell, loss: Head | None = None, sizes: Mapping[str, int] | None = None) -> ModuleType:
    """Derive, emit and compile a cell of your own: a module with the functions of `derive.generated.lstm`.

    `cell` is what the `@cell` decorator made; `loss` a loss made by `@loss` (default: squared error).  `sizes` fixes
    dimensions of the cell, or the number B of sequences, at compile time, as {"I": 8, "H": 8, "B": 1}: loops of known
    length for small cells, and KernelError for calls of any other size.  The result is
    cached under `cache_folder()`, keyed by generated source, flags, compiler and CPU features: the second call compiles
    nothing.  Raises DeriveError for a cell that cannot be derived or a compiler that fails.
    """
    from derive import emit
    from derive.errors import DeriveError
    from derive.notation import Cell

    if not isinstance(cell, Cell):
        raise DeriveError(
            f"derive.build takes a cell made by the @cell decorator, found {type(cell).__name__} ({cell!r})"
        )
    defines = _defines(cell, sizes or {})
    made = emit.files(cell, loss)
    digest = hashlib.sha256(json.dumps(made, sort_keys=True).encode()).hexdigest()[:16]
    package = f"{cell.name}_{digest}"
    folder = cache_folder() / package
    try:
        if not (folder / "manifest.json").is_file():
            _place(folder, made)
        name = f"_kernels_{made_from(folder, defines)[:16]}"
    except OSError as error:
        raise _unwritable(folder, error) from error
    return _import(folder, f"{package}_{name[9:]}" if defines else package, compile_folder(folder, name, defines))


def _defines(cell: Cell, sizes: Mapping[str, int]) -> tuple[str, ...]:
    """The options that fix sizes, after a check of their names and values."""
    from derive.errors import DeriveError

    known = (*cell.program().meta["sizes"], "B")
    for name, size in sizes.items():
        if name not in known:
            raise DeriveError(f"{cell.name}: sizes has {name!r}; the sizes of this cell are {', '.join(known)}")
        if not isinstance(size, int) or isinstance(size, bool) or size < 1:
            raise DeriveError(f"{cell.name}: the size {name} must be an integer of at least 1, found {size!r}")
    return tuple(f"-D{cell.name.upper()}_{name}={size}" for name, size in sorted(sizes.items()))


def _place(folder: Path, made: dict[str, str]) -> None:
    """Write the files of a package, all at once: another process may be building the same cell."""
    from derive import emit

    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as temporary:
        emit.write(Path(temporary) / "made", made)
        try:
            (Path(temporary) / "made").rename(folder)
        except OSError:  # somebody was faster, or an earlier attempt was cut off
            if not (folder / "manifest.json").is_file():
                emit.write(folder, made)


def _import(folder: Path, package: str, extension_file: Path) -> ModuleType:
    """Import a cached package under a name of its own; its `_kernels` is the extension of this very processor."""
    full = f"derive._built.{package}"
    if full in sys.modules:
        return sys.modules[full]
    spec = importlib.util.spec_from_file_location(
        full, folder / "__init__.py", submodule_search_locations=[str(folder)]
    )
    extension = importlib.util.spec_from_file_location(extension_file.name.split(".")[0], extension_file)
    assert spec and spec.loader and extension and extension.loader
    module: Any = importlib.util.module_from_spec(spec)
    native: Any = importlib.util.module_from_spec(extension)
    extension.loader.exec_module(native)
    sys.modules[full], sys.modules[f"{full}._kernels"] = module, native
    module._kernels = native
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[full], sys.modules[f"{full}._kernels"]
        raise
    return module
