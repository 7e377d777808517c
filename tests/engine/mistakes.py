"""A list of mistakes: each is a cell that a person could have written, beside what the message must say.

It says where the mistake is and what to do about it.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from derive.errors import DeriveError

Mistake = Callable[[], None]


def says(message: str, mistakes: dict[Mistake, str]) -> Callable[[Mistake], Mistake]:
    """Put a mistake on the list, with a part of the message that it gets."""

    def note(mistake: Mistake) -> Mistake:
        mistakes[mistake] = message
        return mistake

    return note


def assert_explained(mistake: Mistake, message: str) -> None:
    with pytest.raises(DeriveError) as caught:
        mistake()
    found = str(caught.value)
    assert message in found
    assert "mine" in found or "@cell" in found, "the message names the cell"
    assert "object at 0x" not in found and "<" not in found.replace("<class", ""), "no Python internals"
