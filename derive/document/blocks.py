"""What a document is made of, before a writer makes of it TeX, HTML, Markdown or text.

Formulas are LaTeX that TeX and KaTeX both read.  Running text is plain text with four marks: $formula$, `code`,
**strong**, and [[F3]] for a reference to an equation or [[c:976]] to a line of the C file.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from derive.shown import Shown


@dataclass(frozen=True)
class Paragraph:
    """Running text."""

    text: str


@dataclass(frozen=True)
class Row:
    """One equation: what is left of the sign, the signed summands right of it, where it holds, its number.

    `id` is the label in TeX and the anchor in HTML; an equation that is only repeated has none.
    """

    lhs: str
    parts: tuple[str, ...]
    where: str = ""
    id: str = ""
    sign: str = "="
    note: str = ""


@dataclass(frozen=True)
class Display:
    """Equations below each other, aligned at their signs."""

    rows: tuple[Row, ...]


@dataclass(frozen=True)
class Details:
    """Something that may be folded away where the form allows it; TeX and text print it."""

    summary: str
    body: tuple[Block, ...]
    id: str = ""


@dataclass(frozen=True)
class Table:
    """A table of running text; `wide` columns take what room there is and wrap."""

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    wide: tuple[int, ...] = ()


@dataclass(frozen=True)
class Bullets:
    """A list of short paragraphs."""

    items: tuple[str, ...]


@dataclass(frozen=True)
class Box:
    """An algorithm: lines of running text, each with its depth."""

    title: str
    lines: tuple[tuple[int, str], ...]


@dataclass(frozen=True)
class Figure:
    """A drawing of graph.py or chart.py, with what stands below it."""

    drawing: Any
    caption: str


@dataclass(frozen=True)
class Listing:
    """A file of C with the equations that each of its lines computes; forms without room for it leave it out."""

    name: str
    lines: tuple[str, ...]


Block = Paragraph | Display | Details | Table | Bullets | Box | Figure | Listing


@dataclass(frozen=True)
class Section:
    """A numbered section."""

    key: str
    title: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True, repr=False)
class Page(Shown):
    """A whole document; `lines` leads from an equation to the line of `source`, the C, that computes it."""

    title: str
    subtitle: str
    lang: str
    abstract: str
    sections: tuple[Section, ...]
    words: dict[str, str]
    lines: dict[str, int]
    source: tuple[str, ...]

    def __repr__(self) -> str:
        return f"<document {self.title}, {self.lang}: {len(self.sections)} sections>"
