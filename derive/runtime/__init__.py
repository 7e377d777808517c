"""What generated modules need at run time: checking of arguments, memory, calls into C.

`core` knows pointers, shapes and buffers, `numpy` is the layer of arrays above it; what stands here is loaded when it is first
asked for, so that the core can be used where there is no NumPy.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .core.errors import (
        ArgumentError,
        ArgumentTypeError,
        DtypeError,
        KernelError,
        MissingValueError,
        NotCompiledError,
        NotPicklableError,
        OutOfMemoryError,
        PlanInUseError,
        ShapeError,
    )
    from .core.extension import compiled
    from .core.isa import cpu
    from .core.kept import KEPT, release
    from .numpy.cell import Cell
    from .numpy.layers import Layers
    from .numpy.memory import Memory
    from .numpy.plan import Plan
    from .numpy.tape import Tape

__all__ = [
    "KEPT",
    "ArgumentError",
    "ArgumentTypeError",
    "Cell",
    "DtypeError",
    "KernelError",
    "Layers",
    "Memory",
    "MissingValueError",
    "NotCompiledError",
    "NotPicklableError",
    "OutOfMemoryError",
    "Plan",
    "PlanInUseError",
    "ShapeError",
    "Tape",
    "compiled",
    "cpu",
    "release",
]

_MODULES = {
    "KEPT": "core.kept",
    "ArgumentError": "core.errors",
    "ArgumentTypeError": "core.errors",
    "Cell": "numpy.cell",
    "Layers": "numpy.layers",
    "DtypeError": "core.errors",
    "KernelError": "core.errors",
    "Memory": "numpy.memory",
    "MissingValueError": "core.errors",
    "NotCompiledError": "core.errors",
    "NotPicklableError": "core.errors",
    "OutOfMemoryError": "core.errors",
    "Plan": "numpy.plan",
    "PlanInUseError": "core.errors",
    "ShapeError": "core.errors",
    "Tape": "numpy.tape",
    "compiled": "core.extension",
    "cpu": "core.isa",
    "release": "core.kept",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = globals()[name] = getattr(import_module(f".{_MODULES[name]}", __name__), name)
    return found
