"""The texts of the document: one file per language in templates/messages/, the same keys in each.

A file is a list of messages: a line `[key]`, then the text up to the next such line; lines are joined, a blank line ends
a paragraph.  `<name>` is a slot; in the words that join a list, `_` is a space.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import cache

from derive.errors import DeriveError
from derive.rendering import templates

LANGUAGES = {"en": "English", "zh": "Chinese"}
_SLOT = re.compile(r"<([A-Za-z_]+)>")


@cache
def table(lang: str) -> dict[str, str]:
    """Key -> text of one language; DeriveError with the languages that there are."""
    if lang not in LANGUAGES:
        raise DeriveError(f"no document in the language {lang!r}; there are: {', '.join(LANGUAGES)}")
    source = (templates() / "messages" / f"{lang}.txt").read_text(encoding="utf-8")
    found: dict[str, str] = {}
    for block in re.split(r"^(?=\[[a-z0-9_.]+\]$)", source, flags=re.MULTILINE)[1:]:
        head, _, body = block.partition("\n")
        if head[1:-1] in found:
            raise DeriveError(f"messages/{lang}.txt: {head} stands twice")
        joint = " " if lang == "en" else ""
        found[head[1:-1]] = "\n\n".join(
            joint.join(p.splitlines()) for p in re.split(r"\n\s*\n", body.strip()) if not p.startswith("#")
        )
    return {key: text.replace("_", " ") if key.startswith("list.") else text for key, text in found.items()}


def slots(text: str) -> set[str]:
    """The names of the slots of a message."""
    return set(_SLOT.findall(text))


class Messages:
    """The messages of one language, and how that language lists things."""

    def __init__(self, lang: str) -> None:
        self.lang, self.table = lang, table(lang)

    def __call__(self, key: str, **values: object) -> str:
        """The text of a key with its slots filled; KeyError names what is missing."""
        return _SLOT.sub(lambda slot: str(values[slot[1]]), self.table[key])

    def has(self, key: str) -> bool:
        return key in self.table

    def list(self, items: Sequence[str]) -> str:
        """a, b and c."""
        if len(items) < 2:
            return items[0] if items else self("list.none")
        return self("list.comma").join(items[:-1]) + self("list.and") + items[-1]

    def refs(self, ids: Iterable[str]) -> str:
        """References to equations, in a list."""
        return self.list([f"[[{i}]]" for i in dict.fromkeys(ids)])
