"""What generated modules need at run time: checking of arguments, memory, calls into C. Imports NumPy and derive.errors only."""

from .cell import Cell
from .errors import (
    ArgumentError,
    ArgumentTypeError,
    DtypeError,
    KernelError,
    NotCompiledError,
    NotPicklableError,
    OutOfMemoryError,
    PlanInUseError,
    ShapeError,
)
from .extension import compiled
from .isa import cpu
from .kept import KEPT, release
from .memory import Memory
from .plan import Plan
from .tape import Tape

__all__ = [
    "KEPT",
    "ArgumentError",
    "ArgumentTypeError",
    "Cell",
    "DtypeError",
    "KernelError",
    "Memory",
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
