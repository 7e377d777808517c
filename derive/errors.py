"""The one exception of the engine: a message that says what was found, what was expected, where, and what to do."""


class DeriveError(Exception):
    """A cell, a program or a request that the engine cannot accept; the message names the cell, equation and index."""


class EngineError(DeriveError):
    """A pass has made what the next one must not be given: the engine is at fault, and no cell can be."""

    def __init__(self, words: str) -> None:
        super().__init__(f"{words}; this is a fault of the engine and not of the cell")
