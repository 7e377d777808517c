"""Compiling generated C with cffi (API mode), and what a compiled module was made from.

At import this module needs the standard library and cffi only: setup.py loads it by path in an environment where
nothing else is installed.  The declarations that cffi wants are read from the generated header itself.  Cells of one's
own are built by derive/building.py; here is what that, `derive build` and an installation share.
"""

from __future__ import annotations

import hashlib
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
from typing import TYPE_CHECKING, Any

import cffi
import cffi.recompiler

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from derive.errors import DeriveError

FLAGS = (
    "-std=c99",
    "-O3",
    "-ffp-contract=off",
    "-fno-math-errno",
    "-fno-trapping-math",
    "-DDERIVE_DISPATCH",
    "-DDERIVE_THREADS",
)
WARNINGS = ("-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Wshadow", "-Wdouble-promotion", "-Werror")
# A module exports its init function alone: what another library of the process calls rnn_f32_infer is not ours.
HIDDEN = ("-fvisibility=hidden",)
SHARED = "_lib"  # beside generated folders: the headers that all of them read, where they have none of their own
# What the runtime asks a module beside the functions of its header; see `preamble`.
ASKED = "\nconst char *derive_code(void);\nint derive_batch_is_fixed(void);"


def declarations(header: str) -> str:
    """What cffi needs of a header: its types and prototypes, without comments, guards and inline functions."""
    text = re.sub(r"/\*.*?\*/", "", header, flags=re.DOTALL)
    inline = re.findall(r"static inline ([^{]*?)\s*\{.*?\n\}", text, flags=re.DOTALL)
    text = re.sub(r"static inline [^{]*\{.*?\n\}", "", text, flags=re.DOTALL)
    text = re.sub(r"#ifdef __cplusplus\n.*?#endif", "", text, flags=re.DOTALL)
    lines = [line for line in text.split("\n") if line.strip() and not line.startswith("#")]
    return "\n".join([*lines, *(f"{signature};" for signature in inline)])


def preamble(manifest: Mapping[str, Any]) -> str:
    """What cffi's wrapper begins with: the header, and what the runtime asks beside it.

    That is which C the module was made from, and whether the number B of sequences is fixed, so that a call cannot be
    spread over threads by sequences.
    """
    return f"""#include "{manifest["header"]}"
static const char *derive_code(void) {{ return "{manifest["code"]}"; }}
#ifdef {manifest["cell"].upper()}_B
static int derive_batch_is_fixed(void) {{ return 1; }}
#else
static int derive_batch_is_fixed(void) {{ return 0; }}
#endif
"""


def shared(folder: Path) -> list[Path]:
    """The headers that a generated folder reads and all cells share: beside its C, or in _lib beside the folder.

    Raises DeriveError where one is in neither place, and FileNotFoundError where the folder has no manifest.json.
    """
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    places = (folder, folder.parent / SHARED)
    found = []
    for name in manifest.get("shared", ()):
        path = next((place / name for place in places if (place / name).is_file()), None)
        if path is None:
            raise _refusal(
                f"the C of {manifest['cell']} reads {name}, which is neither in {places[0]} nor in {places[1]}: "
                f"`derive build` writes it, in a checkout of the project"
            )
        found.append(path)
    return found


def includes(folder: Path) -> list[Path]:
    """The folders in which the compiler finds what the C of a generated folder includes."""
    return list(dict.fromkeys([folder, *(path.parent for path in shared(folder))]))


def ffibuilder(folder: str, module_name: str) -> cffi.FFI:
    """The cffi builder of a generated folder: `set_source` is done, with sources and flags.

    Raises FileNotFoundError where the folder has no manifest.json.
    """
    here = Path(folder)
    manifest = json.loads((here / "manifest.json").read_text(encoding="utf-8"))
    ffi = cffi.FFI()
    ffi.cdef(declarations((here / manifest["header"]).read_text(encoding="utf-8")) + ASKED)
    ffi.set_source(
        module_name,
        preamble(manifest),
        sources=[str(here / s) for s in manifest["sources"]],
        include_dirs=[str(place) for place in includes(here)],
        extra_compile_args=[*FLAGS, *HIDDEN] if os.name != "nt" else [],
    )
    return ffi


def compile_folder(
    folder: Path | str,
    module: str = "_kernels",
    defines: Sequence[str] = (),
    accept: Callable[[Path], None] | None = None,
    tag: str = "",
) -> Path:
    """Compile a generated folder in place; returns the extension module.  Does nothing where it is up to date.

    `defines` are options such as -DLSTM_H=8, which fix sizes.  `accept` is called with the compiled module before it
    takes its place, and refuses it by an exception; `tag` stands for it in the stamp, so that it is asked once.
    Threads and processes that want the same module wait for the first of them.

    Raises DeriveError with the compiler's words if it fails; also without a compiler, or if the folder is closed to us.
    """
    here = Path(folder).resolve()
    try:
        return _compile(here, module, tuple(defines), accept, tag)
    except OSError as error:
        raise unwritable(here, error) from error


def unwritable(folder: Path, error: OSError) -> DeriveError | RuntimeError:
    """The DeriveError for a folder in which nothing can be built."""
    at = f" ({error.filename})" if error.filename and str(error.filename) != str(folder) else ""
    return _refusal(
        f"cannot build in {folder}: {error.strerror or error}{at}; for cells of your own, DERIVE_CACHE names "
        f"another folder to build in"
    )


def _refusal(words: str) -> DeriveError | RuntimeError:
    """DeriveError; a RuntimeError with the same words for setup.py, which runs without the package."""
    try:
        from derive.errors import DeriveError
    except ImportError:
        return RuntimeError(words)
    return DeriveError(words)


def sum_of(path: Path) -> list[int | str]:
    """Size and SHA-256 of a file: what a stamp knows of it.  A module of 5 MB takes about 6 ms."""
    data = path.read_bytes()
    return [len(data), hashlib.sha256(data).hexdigest()]


def is_current(folder: Path, module: str, key: str, tag: str = "") -> bool:
    """Whether the compiled module of a folder is whole, made from what `key` stands for, and accepted by `tag`."""
    made = extension(folder, module)
    try:
        stamp = json.loads((folder / f"{module}.stamp").read_bytes())
        known = stamp["key"] == key and tag in (*stamp["accepted"], "")
        return known and stamp["sum"] == sum_of(made)
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return False


def note(folder: Path, module: str, key: str, tag: str = "") -> None:
    """Note what the compiled module of a folder was made from; `made_from` says it, asked before the compilation.

    `tag` is who accepted it; who did so before is forgotten, if the module is another.
    """
    stamp = folder / f"{module}.stamp"
    accepted = {tag} - {""}
    if is_current(folder, module, key):
        accepted |= set(json.loads(stamp.read_bytes())["accepted"])
    said = {"key": key, "sum": sum_of(extension(folder, module)), "accepted": sorted(accepted)}
    landing = folder / f".{module}.stamp.{os.getpid()}"
    try:
        landing.write_text(json.dumps(said) + "\n", encoding="utf-8")
        os.replace(landing, stamp)
    finally:
        landing.unlink(missing_ok=True)


def extension(folder: Path, module: str) -> Path:
    """The file of an extension module of this Python."""
    return folder / f"{module}{sysconfig.get_config_var('EXT_SUFFIX')}"


def _compile(
    here: Path, module: str, defines: tuple[str, ...], accept: Callable[[Path], None] | None, tag: str
) -> Path:
    from derive.toolchain.cache import files, locks

    made = extension(here, module)
    key = made_from(here, defines)
    if is_current(here, module, key, tag):
        return made
    with locks.exclusive(here) as alone:
        if is_current(here, module, key, tag):
            return made
        for left in here.glob(f".{made.name}.*") if alone else ():  # by a builder that was killed
            files.remove(left)
        landing = here / f".{made.name}.{os.getpid()}"
        try:
            if is_current(here, module, key):  # whole, and not yet accepted
                shutil.copy(made, landing)
            else:
                compile_into(landing, here, module, defines)
            if accept:
                _accepted(accept, landing, made, module)
            # Rename into place: another process may import the module at this moment.
            files.sync(landing)
            os.replace(landing, made)
            files.sync(here)
        finally:
            landing.unlink(missing_ok=True)
        note(here, module, key, tag)
    return made


def _accepted(accept: Callable[[Path], None], landing: Path, made: Path, module: str) -> None:
    """Ask about a module that has not yet taken its place.  If it is refused, an older one like it goes as well."""
    from derive.errors import DeriveError

    try:
        accept(landing)
    except DeriveError:
        for path in (made.with_name(f"{module}.stamp"), made):
            path.unlink(missing_ok=True)
        raise


def compile_into(target: Path, folder: Path, module: str, defines: Sequence[str] = ()) -> None:
    """Compile a generated folder to the file `target`, an extension module called `module`.

    Raises DeriveError with the compiler's words if it fails, and OSError where `target` cannot be written.
    """
    with tempfile.TemporaryDirectory(prefix="derive-") as temporary:
        work = Path(temporary)
        ffi = ffibuilder(str(folder), module)
        wrapper = work / f"{module}.c"
        manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
        cffi.recompiler.make_c_source(ffi, module, preamble(manifest), str(wrapper), verbose=False)
        sources = [*(folder / s for s in manifest["sources"]), wrapper]
        objects = _objects(manifest["cell"], sources, includes(folder), work, tuple(defines))
        built = work / target.name
        _run([*_linker(), *map(str, objects), "-lm", "-o", str(built)], manifest["cell"])
        shutil.copy(built, target)


def _objects(
    cell: str, sources: list[Path], include: Sequence[Path], work: Path, defines: tuple[str, ...]
) -> list[Path]:
    """Object files of the sources, the last of which is cffi's wrapper, compiled on all CPUs that there are."""
    from concurrent.futures import ThreadPoolExecutor

    python = [f"-I{sysconfig.get_path('include')}", f"-I{sysconfig.get_path('platinclude')}"]
    commands, objects = [], []
    for source in sources:
        made = work / f"{source.stem}.o"
        own = [*FLAGS, *defines] if source != sources[-1] else ["-O2", *defines, *python]
        # -iquote: a cell may be called like a header of the system.
        places = [word for place in include for word in ("-iquote", str(place))]
        commands.append([*command(), "-fPIC", *HIDDEN, *own, *places, "-c", str(source), "-o", str(made)])
        objects.append(made)
    with ThreadPoolExecutor(
        max_workers=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 2
    ) as pool:
        list(pool.map(lambda command: _run(command, cell), commands))
    return objects


def command() -> list[str]:
    """$CC, which may have arguments; else the compiler that Python was built with, if it is there; else cc."""
    words = os.environ.get("CC", "")
    try:
        given = shlex.split(words)
    except ValueError as error:
        raise _refusal(
            f"CC={words} is no command ({error}); write the compiler and its arguments as in a shell, with every "
            f"quotation mark closed"
        ) from error
    if given:
        return given
    own = shlex.split(sysconfig.get_config_var("CC") or "cc")[0]
    return [own if shutil.which(own) else "cc"]


def _linker() -> list[str]:
    shared = ["-bundle", "-undefined", "dynamic_lookup"] if sys.platform == "darwin" else ["-shared"]
    return [*command(), *shared]


def _said(command: list[str]) -> subprocess.CompletedProcess[str]:
    """Run a program to its end; what it says may be in any encoding."""
    return subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", check=False
    )


def _run(command: list[str], cell: str) -> None:
    """Run a compiler, whose last argument is the file that it shall make."""
    try:
        done = _said(command)
    except (FileNotFoundError, PermissionError, NotADirectoryError) as error:
        raise _refusal(f"no C compiler: {command[0]!r} cannot be run; install gcc or clang, or set CC") from error
    except OSError as error:
        raise _refusal(f"the C compiler {command[0]!r} cannot be run: {error.strerror or error}; see CC") from error
    if done.returncode:
        words = (done.stderr or done.stdout).strip() or f"exit status {done.returncode}"
        raise _refusal(f"compiling {cell} failed ({command[0]} ... {command[-3]}):\n{words}")
    if not Path(command[-1]).is_file():
        raise _refusal(f"compiling {cell} failed: {command[0]} ended without an error, and did not make {command[-1]}")


def made_from(folder: Path, defines: Sequence[str] = ()) -> str:
    """What a compiled module depends on: sources, flags, compiler, Python, and the processor that it was built for.

    Raises FileNotFoundError where the folder has no manifest.json.
    """
    digest = hashlib.sha256()
    own = {p for p in folder.iterdir() if p.suffix in (".c", ".h") and not p.name.startswith("_")}
    for path in sorted({*own, *shared(folder)}, key=lambda p: p.name):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    for part in (preamble(manifest), *toolchain(defines)):
        digest.update(part.encode() + b"\0")
    return digest.hexdigest()


def toolchain(defines: Sequence[str] = ()) -> tuple[str, ...]:
    """What a compiled module depends on beside its sources: flags, compiler, Python, processor.

    Raises DeriveError for a CC that is no command.
    """
    own = command()
    return (*FLAGS, *HIDDEN, *defines, *own, version(), sys.version, platform.machine(), cpu_features())


def version() -> str:
    """What the C compiler says of itself; empty if it says nothing or cannot be run."""
    try:
        return _said([*command(), "--version"]).stdout
    except OSError:
        return ""


def cpu_features() -> str:
    """The features of this processor that the operating system names, sorted; part of the key of the cache."""
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.lower().startswith(("flags", "features")):
                return " ".join(sorted(line.split(":", 1)[1].split()))
    except OSError:
        pass
    return platform.processor()


def __getattr__(name: str) -> Any:
    """`build` and `cache_folder`, which were here once."""
    if name == "build":
        import derive

        return derive.build
    if name == "cache_folder":
        from derive.toolchain.cache.folder import cache_folder

        return cache_folder
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
