"""Cells by reference: pickle and copy see the name of a module and the digest of its C, never the compiled code.

So `ProcessPoolExecutor().map(lstm.infer, ...)` works, with spawned processes too: the child imports the same module. For
a module that is not imported by its name, such as one of `derive.build`, its loader leaves `__reference__` in it:
a function that can be pickled and its arguments, which give the module again in another process.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

from ..core.errors import NotCompiledError, NotPicklableError

if TYPE_CHECKING:
    from .cell import Cell

CELL, REFERENCE = "_cell", "__reference__"  # what a generated module calls its cell, and how it is found elsewhere


def reduced(cell: Cell, kernels: Any) -> tuple[Callable[..., Cell], tuple[Any, ...]]:
    """What `Cell.__reduce__` returns. Raises NotPicklableError for a cell that no other process could find."""
    spec = cell._spec
    for module in _owners(kernels):
        if getattr(module, CELL, None) is cell:
            load, arguments = getattr(module, REFERENCE, (import_module, (module.__name__,)))
            return found_again, (spec.name, spec.code, load, arguments)
    raise NotPicklableError(
        f"{spec.name}: this cell is not that of an imported module, so that another process would not find it; "
        f"pickle what derive.generated or derive.build gives"
    )


def _owners(kernels: Any) -> list[ModuleType]:
    """The imported modules whose compiled half is `kernels`; nearly always it is named after its owner."""
    package = str(getattr(kernels, "__name__", "")).rpartition(".")[0]
    near = [sys.modules[package]] if package in sys.modules else []
    built = [module for name, module in list(sys.modules.items()) if name.startswith("derive._built.")]
    return [module for module in (*near, *built) if getattr(module, "_kernels", None) is kernels]


def found_again(name: str, code: str, load: Callable[..., ModuleType], arguments: tuple[Any, ...]) -> Cell:
    """The cell that a reference names, in this process. Raises NotCompiledError where its module is not here, or is another."""
    module = load(*arguments)
    cell: Cell = getattr(module, CELL)
    if cell._spec.code != code:
        raise NotCompiledError(
            f"{name}: it was pickled with C of the digest {code}, and {module.__name__} here has {cell._spec.code}: "
            f"the two processes must use the same build"
        )
    return cell
