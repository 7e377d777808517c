"""Exceptions of the generated modules. Each message says what was found, what was expected, where, and what to do.

They derive from the built-in exception that NumPy would raise, so that `except ValueError` keeps working. Wrong names
and values are plain ValueError, wrong kinds of object plain TypeError, and what does not fit in memory MemoryError.
"""


class ShapeError(ValueError):
    """An array has the wrong rank or size, or two arrays disagree about a dimension."""


class DtypeError(TypeError):
    """An array is not float32 or float64 in native byte order, or two arrays of a call have different dtypes."""


class KernelError(RuntimeError):
    """The compiled code refused a call that Python had checked: the module and its compiled part do not match."""
