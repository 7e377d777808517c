"""A page as Markdown and as plain Unicode for the terminal."""

from __future__ import annotations

import textwrap
from unicodedata import combining, east_asian_width

from derive.document import chart
from derive.document.blocks import Block, Box, Bullets, Details, Display, Figure, Listing, Page, Paragraph, Row, Table
from derive.document.chart import Chart
from derive.document.formula import joined
from derive.document.markup import Piece, written
from derive.document.unicode import unicode
from derive.escaping import markdown as markdown_of
from derive.escaping import visible

_COLUMNS = 110


# -- Markdown ---------------------------------------------------------------------------------------------------------


def markdown(page: Page) -> str:
    """The page as Markdown with $-formulas, as GitHub and notebooks read it."""
    parts = [f"# {_md(page.title)}", markdown_of(page.subtitle), _md(page.abstract), f"## {page.words['contents']}"]
    parts.append("\n".join(f"{n}. [{s.title}](#{s.key})" for n, s in enumerate(page.sections, 1)))
    for number, section in enumerate(page.sections, 1):
        parts.append(f'<a id="{section.key}"></a>\n## {number}. {_md(section.title)}')
        parts += [_md_block(b) for b in section.blocks if not isinstance(b, Listing)]
    return "\n\n".join(p for p in parts if p) + "\n"


def _md(text: str) -> str:
    return written(text, _md_piece)


def _md_piece(piece: Piece) -> str:
    if piece.kind == "math":
        return f"${piece.text}$"
    if piece.kind == "code":
        return f"`{piece.text}`"
    if piece.kind == "strong":
        return f"**{_md(piece.text)}**"
    if piece.kind == "ref":
        return f"[({piece.text})](#{piece.text})"
    return piece.text


def _md_block(item: Block) -> str:
    if isinstance(item, Paragraph):
        return _md(item.text)
    if isinstance(item, Display):
        return "\n\n".join(_md_row(r) for r in item.rows)
    if isinstance(item, Details):
        return f"{_md(item.summary)}\n\n" + "\n\n".join(_md_block(b) for b in item.body)
    if isinstance(item, Bullets):
        return "\n".join(f"- {_md(x)}" for x in item.items)
    if isinstance(item, Table):
        rows = [[_md(x).replace("|", r"\|") for x in r] for r in (item.head, *item.rows)]
        lines = ["| " + " | ".join(r) + " |" for r in rows]
        return "\n".join([lines[0], "|" + "---|" * len(item.head), *lines[1:]])
    if isinstance(item, Box):
        lines = [f"{'  ' * depth}- {_md(x)}" for depth, x in item.lines]
        return f"**{_md(item.title)}**\n\n" + "\n".join(lines)
    if isinstance(item, Figure):
        drawn = chart.text(item.drawing) if isinstance(item.drawing, Chart) else item.drawing.text
        return "```\n" + "\n".join(drawn) + f"\n```\n\n*{_md(item.caption)}*"
    return ""


def _md_row(row: Row) -> str:
    where = rf" \qquad {row.where}" if row.where else ""
    tag = rf" \tag{{{row.id}}}" if row.id else ""
    anchor = f'<a id="{row.id}"></a>\n\n' if row.id else ""
    note = f"\n\n{_md(row.note)}" if row.note else ""
    return f"{anchor}$$\n{row.lhs} {row.sign} {joined(list(row.parts))}{where}{tag}\n$${note}"


# -- plain text -------------------------------------------------------------------------------------------------------


def text(page: Page) -> str:
    """The page for a terminal: no mark-up, formulas in Unicode, one equation a line."""
    title = _plain(page.title)
    parts = [f"{title}\n{'=' * columns(title)}", _filled(visible(page.subtitle)), _wrapped(page.abstract)]
    for number, section in enumerate(page.sections, 1):
        head = f"{number}. {_plain(section.title)}"
        parts.append(f"\n{head}\n{'-' * columns(head)}")
        parts += [_text_block(b) for b in section.blocks if not isinstance(b, Listing)]
    return "\n\n".join(p for p in parts if p) + "\n"


def columns(text: str) -> int:
    """How many columns of a terminal a text takes."""
    return sum(0 if combining(c) else 2 if east_asian_width(c) in "WF" else 1 for c in text)


def _plain(text: str) -> str:
    return written(text, _plain_piece)


def _plain_piece(piece: Piece) -> str:
    if piece.kind == "math":
        return unicode(piece.text)
    if piece.kind == "strong":
        return _plain(piece.text)
    return f"({piece.text})" if piece.kind == "ref" else piece.text


def _wrapped(text: str, first: str = "", rest: str = "") -> str:
    return _filled(_plain(text), first, rest)


def _filled(plain: str, first: str = "", rest: str = "") -> str:
    if any(east_asian_width(c) in "WF" for c in plain):
        return first + plain
    return textwrap.fill(plain, _COLUMNS, initial_indent=first, subsequent_indent=rest, break_long_words=False)


def _text_block(item: Block) -> str:
    if isinstance(item, Paragraph):
        return _wrapped(item.text)
    if isinstance(item, Display):
        return "\n".join(_text_row(r) for r in item.rows)
    if isinstance(item, Details):
        return _wrapped(item.summary) + "\n\n" + "\n".join(_text_block(b) for b in item.body)
    if isinstance(item, Bullets):
        return "\n".join(_wrapped(x, "  - ", "    ") for x in item.items)
    if isinstance(item, Table):
        rows = [[_plain(x) for x in r] for r in (item.head, *item.rows)]
        widths = [max(columns(r[k]) for r in rows) for k in range(len(item.head))]
        lines = ["  ".join(_padded(x, w) for x, w in zip(r, widths, strict=True)).rstrip() for r in rows]
        return "\n".join(f"  {line}" for line in [lines[0], "-" * columns(lines[0]), *lines[1:]])
    if isinstance(item, Box):
        return f"  {_plain(item.title)}\n" + "\n".join(f"  {'    ' * depth}{_plain(x)}" for depth, x in item.lines)
    if isinstance(item, Figure):
        drawn = chart.text(item.drawing) if isinstance(item.drawing, Chart) else item.drawing.text
        return "\n".join(f"    {line}" for line in drawn) + "\n\n" + _wrapped(item.caption, "    ", "    ")
    return ""


def _padded(text: str, width: int) -> str:
    return text + " " * (width - columns(text))


def _text_row(row: Row) -> str:
    number = f"({row.id})" if row.id else ""
    line = f"{number:>7} {unicode(row.lhs)} {unicode(row.sign)} {unicode(joined(list(row.parts)))}"
    where = f"   {unicode(row.where)}" if row.where else ""
    note = f"   {_plain(row.note)}" if row.note else ""
    return f"{line}{where}{note}"
