"""The base of every exception that is raised on purpose for a user; docs/errors.md has the whole tree.

A message says what was found, what was expected, where, and what to do.  This module imports nothing: the runtime of
compiled cells stands on it too.
"""


class DeriveError(Exception):
    """What the library refuses, in words that are meant for a person.

    Raised as it is for a cell, a program or a request that the engine cannot accept; the message names the cell,
    equation and index.  Descendants that also descend from a built-in exception are caught by either name.
    """


class UnknownNameError(DeriveError, ImportError):
    """A cell file imports a name that the notation has not; the message says which one is near."""


class NotCompiledError(DeriveError, ImportError):
    """A cell has no compiled module for this Python, or one that was made from other C than lies beside it."""


class EngineError(DeriveError):
    """A pass has made what the next one must not be given: the engine is at fault, and no cell can be."""

    def __str__(self) -> str:
        return f"{super().__str__()}; this is a fault of the engine and not of the cell"
