"""What generated modules need at run time: checking of arguments, memory, calls into C. Imports NumPy only."""

from .cell import Cell
from .errors import DtypeError, KernelError, ShapeError
from .extension import compiled
from .isa import cpu
from .kept import KEPT, release
from .memory import Memory
from .plan import Plan
from .tape import Tape

__all__ = [
    "KEPT",
    "Cell",
    "DtypeError",
    "KernelError",
    "Memory",
    "Plan",
    "ShapeError",
    "Tape",
    "compiled",
    "cpu",
    "release",
]
