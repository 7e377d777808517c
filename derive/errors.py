"""The one exception of the engine: a message that says what was found, what was expected, where, and what to do."""


class DeriveError(Exception):
    """A cell, a program or a request that the engine cannot accept; the message names the cell, equation and index."""
