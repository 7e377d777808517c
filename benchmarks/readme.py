"""Puts tables between the marks `<!-- name -->` and `<!-- end -->` of a Markdown file."""

from __future__ import annotations

import re
from collections.abc import Mapping


def fill(text: str, tables: Mapping[str, str]) -> str:
    """`text` with the tables in their places; places of other names stay as they are.

    Raises ValueError for a table without a place, and for a place without an end.
    """
    for name, table in tables.items():
        place = re.compile(rf"(<!-- {re.escape(name)} -->\n)(.*?)(<!-- end -->)", re.DOTALL)
        found = place.search(text)
        if found is None or "<!--" in found[2]:
            raise ValueError(f"there is no place `<!-- {name} -->` ... `<!-- end -->` for the table {name!r}")
        text = text[: found.start(2)] + table.rstrip("\n") + "\n" + text[found.end(2) :]
    return text
