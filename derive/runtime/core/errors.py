"""Exceptions of the compiled cells. Each message says what was found, what was expected, where, and what to do.

Each is a DeriveError, and also the built-in exception that Python or NumPy would raise, so that `except ValueError`
keeps working.
"""

from pickle import PicklingError

from derive.errors import DeriveError as DeriveError
from derive.errors import NotCompiledError as NotCompiledError


class ArgumentError(DeriveError, ValueError):
    """An argument of the right kind has a value or a name that the call does not take."""


class ArgumentTypeError(DeriveError, TypeError):
    """An argument is an object of the wrong kind, or the arguments do not fit the signature of the function."""


class ShapeError(ArgumentError):
    """An array has the wrong rank or size, or two arrays disagree about a dimension."""


class DtypeError(ArgumentTypeError):
    """An array is not float32 or float64 in native byte order, or two arrays of a call have different dtypes."""


class OutOfMemoryError(DeriveError, MemoryError):
    """A call needs more memory than the machine can address, or than the system gives."""


class NotPicklableError(DeriveError, PicklingError, TypeError):
    """A tape, a plan, or a cell that another process would not find, was to be pickled or copied."""


class PlanInUseError(DeriveError, RuntimeError):
    """A plan was called while another thread runs it."""


class KernelError(DeriveError, RuntimeError):
    """The compiled code refused a call that Python had checked: the module and its compiled part do not match."""


class MissingValueError(DeriveError, KeyError):
    """A tape was asked for a value that it does not hold."""

    __str__ = Exception.__str__  # KeyError shows its message in quotes
