"""`derive.build`: from a cell of one's own to a module that was compared with its equations.

    equations -> C -> compiled beside the cache -> examined in a process of its own -> stamped -> published

Whatever goes wrong on the way leaves the cache as it was.  However many threads and processes ask for one cell, one
of them builds it; the others wait, and all get the whole module.
"""

from __future__ import annotations

import hashlib
import json
import operator
import os
import tempfile
import threading
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any

from derive import generation, registry
from derive.errors import DeriveError
from derive.notation import Cell, Head, Loss
from derive.runtime.numpy.layers import Layers
from derive.toolchain import cache, compiler, loading
from derive.toolchain.cache import entry, files, locks
from derive.verify import acceptance

LARGEST = 2**31 - 1  # of a size that is fixed: an int of C
_deriving = threading.Lock()  # SymPy computes in one thread at a time anyway
_examined: set[str] = set()  # names of entries that this process has loaded and knows to be examined


def build(
    cell: Cell,
    loss: Loss | str | None = None,
    sizes: Mapping[str, int] | None = None,
    *,
    head: Head | str | None = None,
    layers: int = 1,
    bidirectional: bool = False,
    batch_first: bool = False,
) -> Any:
    """Derive, emit and compile a cell of your own: a module with the functions of `derive.generated.lstm`.

    `cell` is what the `@cell` decorator made; `head` what `@head` made, to go on top of it; `loss` what `@loss` made
    (default: squared error).  A head and a loss may be given by name, as `derive list` shows them: head="readout",
    loss="cross_entropy+weighted+mean".  `sizes` fixes
    dimensions of the cell, or the number B of sequences, at compile time, as {"I": 8, "H": 8, "B": 1}: loops of known
    length for small cells, and KernelError for calls of any other size.

    With `layers`, `bidirectional` or `batch_first` what returns is a `derive.runtime.Layers`, whose parameters, states and
    outputs have the names and shapes of PyTorch's: cells above each other and in both directions; the head and the loss are on
    top of the last layer, of both directions side by side.

    Before anyone gets the module it is compared with the equations, in a process of its own (derive/verify/acceptance/).  It
    is cached under `derive.toolchain.cache.cache_folder()`, keyed by generated source, flags, compiler and CPU features: the
    second call compiles and compares nothing.  Documentation is no part of the key: of cells with the same equations
    the module has that of the first.

    Raises DeriveError for a cell that cannot be derived, a compiler that fails, a cache that other users could change,
    and `derive.verify.acceptance.Rejected`, a DeriveError, for a module that does not compute what the equations say.
    """
    if not isinstance(cell, Cell):
        raise DeriveError(
            f"derive.build takes a cell made by the @cell decorator, found {type(cell).__name__} ({cell!r})"
        )
    judged = registry.loss(loss) if isinstance(loss, str) else loss
    if layers == 1 and not (isinstance(layers, bool) or bidirectional or batch_first):
        return _build(registry.with_head(cell, head), judged, sizes)
    return _layers(cell, judged, sizes, head, layers, bidirectional, batch_first)


def _layers(
    cell: Cell,
    loss: Loss | None,
    sizes: Mapping[str, int] | None,
    head: Head | str | None,
    layers: int,
    bidirectional: bool,
    batch_first: bool,
) -> Layers:
    """The module of the cell, and that of the last layer, or of a head and a loss on both directions."""
    if sizes:
        raise DeriveError(
            f"{cell.name}: sizes= fixes sizes at compile time, and the layers of one module have inputs of different size; "
            f"leave sizes= away"
        )
    below = _build(cell)
    if bidirectional:
        top = _build(registry.with_head(replace(registry.joined(), name=f"{cell.name}_both"), head), loss)
    else:
        plain = head is None and loss is None
        top = below if plain else _build(registry.with_head(cell, head), loss)
    return Layers(below, layers, bidirectional, batch_first=batch_first, top=top)


def compile_generated(folder: Path) -> Path:
    """Compile the folder of a shipped cell in place, examined like a cell of one's own; returns the extension module.

    Does nothing where the module is up to date and was examined.  Raises DeriveError, as `build` does.
    """
    tag = acceptance.tag()
    if compiler.is_current(folder, "_kernels", compiler.made_from(folder), tag):
        return compiler.extension(folder, "_kernels")
    with acceptance.Examiner() as examiner:
        case = acceptance.Case(registry.cell(folder.name), None, {}, folder)
        return compiler.compile_folder(folder, accept=lambda made: examiner.examine(case, made), tag=tag)


def _build(
    cell: Cell,
    loss: Loss | None = None,
    sizes: Mapping[str, int] | None = None,
    examined: bool = True,
    limit: float = acceptance.LIMIT,
) -> ModuleType:
    """`build`, for callers inside the project, which may leave out the examination or limit its seconds."""
    if loss is not None and not isinstance(loss, Loss):
        raise DeriveError(
            f"{cell.name}: loss= takes a loss made by the @loss decorator, or None for the squared error, found "
            f"{type(loss).__name__} ({getattr(loss, 'name', loss)!r})"
        )
    if sizes is not None and not isinstance(sizes, Mapping):
        raise DeriveError(
            f'{cell.name}: sizes= takes a dict such as {{"H": 16, "B": 1}}, found {type(sizes).__name__} ({sizes!r})'
        )
    fixed = _fixed(cell, sizes or {})
    job = _Job.of(cell, loss, fixed)
    module = loading.loaded(job.name)
    if module and (not examined or job.name in _examined):
        return module
    root = cache.cache_folder()
    try:
        root = cache.trusted(root)
        job.find(root, examined, limit)
        module = loading.cached(str(root / job.name), job.key)
    except OSError as error:
        raise compiler.unwritable(root, error) from error
    except ImportError as error:
        raise DeriveError(
            f"{cell.name}: its module in the cache cannot be loaded ({error}); remove {root / job.name}, and it is built again"
        ) from error
    except ValueError as error:  # DERIVE_ISA names none that this processor has
        raise DeriveError(f"{cell.name}: {error}") from error
    if examined:
        _examined.add(job.name)
    return module


@dataclass(frozen=True)
class _Job:
    """What is to be built: the files of a package, the sizes that are fixed, and the key of both with this compiler."""

    cell: Cell
    loss: Loss | None
    sizes: Mapping[str, int]
    made: Mapping[str, str]
    key: str

    @staticmethod
    def of(cell: Cell, loss: Loss | None, sizes: Mapping[str, int]) -> _Job:
        with _deriving:
            made, plain = generation.files(cell, loss), generation.files(cell, loss, documented=False)
        said = json.dumps([plain, compiler.toolchain(_defines(cell, sizes))], sort_keys=True)
        return _Job(cell, loss, sizes, made, hashlib.sha256(said.encode()).hexdigest())

    @property
    def name(self) -> str:
        return f"{self.cell.name[:40]}_{self.key[:16]}"

    def find(self, root: Path, examined: bool, limit: float) -> entry.Stamp:
        """The stamp of the entry, which is there afterwards, whole and, if `examined`, accepted."""
        tag, place = acceptance.tag() if examined else "", root / self.name
        stamp = entry.read(place, self.key)
        if stamp and tag in (*stamp.accepted, ""):
            return stamp
        with locks.exclusive(root / f".{self.name}.lock") as alone:
            stamp = entry.read(place, self.key)
            if stamp and tag in (*stamp.accepted, ""):
                return stamp
            if alone:
                _sweep(root, self.name)
            return self._examine(place, stamp, tag, limit) if stamp else self._make(root, tag, limit)

    def _make(self, root: Path, tag: str, limit: float) -> entry.Stamp:
        """Build the entry beside its place, have it examined if there is a tag, and publish it."""
        module = f"_kernels_{self.key[:16]}"
        work = Path(tempfile.mkdtemp(prefix=f".{self.name}.", dir=root))
        try:
            for name, text in self.made.items():
                files.write(work / name, text.encode())
            made = compiler.extension(work, module)
            with acceptance.Examiner() if tag else nullcontext() as examiner:
                compiler.compile_into(made, work, module, _defines(self.cell, self.sizes))
                made.chmod(0o700)
                if examiner:
                    examiner.examine(acceptance.Case(self.cell, self.loss, self.sizes, work), made, limit)
            stamp = entry.stamp_of(work, self.key, made.name, self._about()).with_acceptance(tag)
            entry.write(work, stamp)
            files.publish(work, root / self.name)
        finally:
            files.remove(work)
        return stamp

    def _about(self) -> dict[str, object]:
        """What the stamp tells people."""
        return {
            "cell": self.cell.name,
            "loss": self.loss.name if self.loss else "",
            "sizes": dict(self.sizes),
            "flags": [*compiler.FLAGS, *_defines(self.cell, self.sizes)],
            "compiler": next(iter(compiler.version().splitlines()), ""),
        }

    def _examine(self, place: Path, stamp: entry.Stamp, tag: str, limit: float) -> entry.Stamp:
        """Have an entry examined that no examination with this tag has accepted yet; one that fails is removed."""
        with acceptance.Examiner() as examiner:
            try:
                examiner.examine(acceptance.Case(self.cell, self.loss, self.sizes, place), place / stamp.module, limit)
            except acceptance.Rejected:
                files.remove(place)
                raise
        stamp = stamp.with_acceptance(tag)
        entry.write(place, stamp)
        return stamp


def _sweep(root: Path, name: str) -> None:
    """Remove what builders that were killed left behind: of this entry, whose lock is held, and of those not being built."""
    for left in root.glob(".*.*"):
        owner = left.name[1:].rpartition(".")[0]
        if owner == name and left.is_dir():
            files.remove(left)
        elif left.is_dir():
            with locks.exclusive(root / f".{owner}.lock", wait=False) as free:
                if free:
                    files.remove(left)


def _fixed(cell: Cell, sizes: Mapping[str, int]) -> dict[str, int]:
    """The sizes that are fixed, as plain integers in the order of their names, after a check of names and values."""
    known = (*cell.program().facts.sizes, "B")
    found = {}
    for name, size in sizes.items():
        if name not in known:
            raise DeriveError(f"{cell.name}: sizes has {name!r}; the sizes of this cell are {', '.join(known)}")
        try:
            found[name] = 0 if isinstance(size, bool) else operator.index(size)
        except TypeError:
            found[name] = 0
        if not 1 <= found[name] <= LARGEST:
            raise DeriveError(
                f"{cell.name}: the size {name} must be an integer of at least 1 and at most {LARGEST}, found {size!r}"
            )
    return dict(sorted(found.items()))


def _defines(cell: Cell, sizes: Mapping[str, int]) -> tuple[str, ...]:
    """The options of the compiler that fix sizes."""
    return tuple(f"-D{cell.name.upper()}_{name}={size}" for name, size in sizes.items())


def _in_forked_child() -> None:
    """The lock was that of the parent's threads."""
    global _deriving
    _deriving = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_forked_child)
