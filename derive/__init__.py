"""Write a recurrent cell once, as equations; get its derivation, its gradients and fast C.

    from derive.generated import lstm       the compiled cells; imports neither SymPy nor a compiler
    derive.load("lstm")                     the same; for a cell of the zoo, such as "mgu", built at the first call
    derive.build(my_cell)                   a cell of your own, compiled into a cache
    derive.layers(module, 2, bidirectional=True)   layers and directions of a compiled cell, as PyTorch names them
    derive.truncated(module, x, y, params, steps)  truncated backpropagation through time, stretch by stretch
    derive.cpu()                            the instruction sets that run here, and the one in use
    derive.cost("lstm", T=.., B=.., I=..)   flop, bytes and what a call cannot be faster than, counted
    derive.memory_kept()                    bytes that stay in the process between calls
    derive.release_memory()                 lets go of them

Everything here is imported when it is first used: `import derive` costs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from derive.shown import Shown

if TYPE_CHECKING:
    from types import ModuleType

    from derive.building import build as build
    from derive.costs import Cost
    from derive.costs.machine import Machine
    from derive.errors import DeriveError as DeriveError
    from derive.runtime.numpy.layers import Layers as layers
    from derive.runtime.numpy.truncated import truncated as truncated

__version__ = "0.1.0"
__all__ = ["DeriveError", "build", "cost", "cpu", "layers", "load", "memory_kept", "release_memory", "truncated"]


def load(name: str) -> ModuleType:
    """The compiled module of a cell: `from derive.generated import <name>` for one that ships; one of the zoo is built.

    The first call for a cell of the zoo needs a compiler; afterwards it is in the cache, see `derive.build`.  Raises DeriveError
    if there is no such cell, or if one that ships was never compiled, or from other C.
    """
    import importlib
    import importlib.util

    from derive.errors import DeriveError

    if not name.isidentifier() or importlib.util.find_spec(f"derive.generated.{name}") is None:
        if _in_zoo(name):
            from derive import registry
            from derive.building import build

            return build(registry.cell(name))
        raise DeriveError(
            f"no generated cell named {name!r}; `derive list` shows what there is, `derive build {name}` makes it"
        )
    try:
        return importlib.import_module(f"derive.generated.{name}")
    except ImportError as error:
        raise DeriveError(str(error)) from error


def _in_zoo(name: str) -> bool:
    """Whether the zoo has a cell of that name: looks for its file, and imports nothing."""
    from pathlib import Path

    return name.isidentifier() and any((Path(__file__).parent / "cells").glob(f"*/{name}.py"))


def cpu() -> dict[str, Any]:
    """Instruction sets: {"available": those of base, avx2, avx512 that run here, "isa": the one that cells use}.

    In use is the best one, or the one that the environment variable DERIVE_ISA names; a cell reads it when imported.
    On 64-bit ARM "base" is shown as "neon"; DERIVE_ISA may say either.
    Raises ArgumentError for a DERIVE_ISA that cannot be had, DeriveError if no cell was ever compiled.
    """
    import importlib
    import pkgutil

    from derive import generated, runtime
    from derive.errors import DeriveError

    for found in pkgutil.iter_modules(generated.__path__):  # type: ignore[attr-defined]  # mypy skips that package
        try:
            kernels = importlib.import_module(f"derive.generated.{found.name}._kernels")
        except ImportError:
            continue
        return runtime.cpu(kernels, found.name)
    raise DeriveError("no cell is compiled yet, and the compiled cells know the processor: run `derive build`")


def cost(
    cell: Any,
    *,
    dtype: str = "float32",
    call: str = "training",
    threads: int | None = 1,
    machine: Machine | None = None,
    **sizes: int,
) -> Cost:
    """What a call costs, counted from the derived equations: `derive.cost("lstm", T=100, B=32, I=64, H=128)`.

    cell: a name, a path to a file with a cell, or what `@cell` made.  sizes: T, B and every dimension of the cell.
    call: "training" (loss_and_grad) or "infer".  machine: a `derive.costs.machine.Machine`; None for the table's figures of
    this processor's instruction set.  The record is described in derive/costs/count.py.  Raises DeriveError for an unknown
    cell, and for sizes that are missing, unknown or below 1.
    """
    from derive import costs, registry

    found = registry.cell(cell) if isinstance(cell, str) else cell
    return costs.cost(found, sizes, dtype=dtype, call=call, threads=threads, machine=machine)


def memory_kept() -> int:
    """Bytes that stay in this process between calls of cells: scratch memory, and what is prepared for sets of shapes.

    They never exceed a budget, 1 GiB or a sixteenth of the machine's memory if that is less; what was least recently
    used goes first.  `derive.runtime.KEPT.by_kind()` has the parts.  Arrays, tapes and plans are the caller's and do
    not count.
    """
    import sys

    if "derive.runtime" not in sys.modules:  # no cell was ever called
        return 0
    from derive.runtime import KEPT

    return sum(KEPT.by_kind().values())


def release_memory() -> int:
    """Give back what `memory_kept` counts; returns how many bytes that was.

    The next call of each set of shapes allocates and prepares anew.  Calls that other threads make meanwhile, tapes and
    plans are not disturbed.
    """
    import sys

    if "derive.runtime" not in sys.modules:
        return 0
    from derive.runtime import release

    return release()


def _render(form: str, what: object) -> str:
    from derive.document import show

    found: str = getattr(show, form)(what)
    return found


Shown.renderer = staticmethod(_render)


def __getattr__(name: str) -> Any:
    if name == "build":
        from derive.building import build

        return build
    if name == "layers":
        from derive.runtime.numpy.layers import Layers

        return Layers
    if name == "truncated":
        from derive.runtime.numpy.truncated import truncated

        return truncated
    if name == "DeriveError":
        from derive.errors import DeriveError

        return DeriveError
    raise AttributeError(f"module 'derive' has no attribute {name!r}")
