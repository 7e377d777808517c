"""A page as one HTML file that needs nothing else: formulas by KaTeX, which it carries with its fonts.

KaTeX runs in the reader's browser, so that making a page needs neither node nor a network, and gives the same bytes
everywhere.  A page without scripts shows the LaTeX source.
"""

from __future__ import annotations

import base64
import re
from functools import cache
from html import escape

from derive.document import chart, graph
from derive.document.blocks import Block, Box, Bullets, Details, Display, Figure, Listing, Page, Paragraph, Row, Table
from derive.document.chart import Chart
from derive.document.formula import joined
from derive.document.listing import COMMENT
from derive.document.markup import Piece, written
from derive.escaping import visible
from derive.rendering import render, templates


def html(page: Page) -> str:
    """The whole file."""
    subtitle = escape(visible(page.subtitle), quote=False)
    return render("html/page.html.j2", page=page, body=_Body(page), katex=katex(), subtitle=subtitle)


def fragment(page: Page) -> str:
    """The sections alone, with formulas between $$ for a reader that typesets them: notebooks."""
    body = _Body(page, renders=False)
    parts = [f"<h2>{body.inline(page.title)}</h2><p>{body.inline(page.abstract)}</p>"]
    for number, section in enumerate(page.sections, 1):
        inside = "\n".join(body.block(b) for b in section.blocks if not isinstance(b, Listing))
        parts.append(f"<details><summary>{number}. {body.inline(section.title)}</summary>\n{inside}\n</details>")
    return "\n".join(parts)


@cache
def katex() -> dict[str, str]:
    """KaTeX's script, and its style sheet with the fonts inside; fonts that no document uses are left out."""
    folder = templates() / "html" / "katex"
    style = (folder / "katex.min.css").read_text(encoding="utf-8")
    fonts = {p.name: base64.b64encode(p.read_bytes()).decode() for p in sorted((folder / "fonts").glob("*.woff2"))}

    def face(found: re.Match[str]) -> str:
        name = re.search(r"url\(fonts/([^)]*\.woff2)\)", found[0])
        if name is None or name[1] not in fonts:
            return ""
        source = f"src:url(data:font/woff2;base64,{fonts[name[1]]}) format('woff2')"
        return re.sub(r"src:[^}]*", source, found[0])

    style = re.sub(r"@font-face\{[^}]*\}", face, style)
    script = (folder / "katex.min.js").read_text(encoding="utf-8").rstrip("\n")
    return {"style": style, "script": script.replace("</script", r"<\/script")}


class _Body:
    """Writes blocks; knows which line of C computes which equation."""

    def __init__(self, page: Page, renders: bool = True) -> None:
        self.page, self.renders = page, renders
        self.anchors = set(_ids(page))
        self.figures = 0

    def math(self, latex: str, style: str = "m") -> str:
        if not self.renders:
            return f"${escape(latex)}$"
        return f'<span class="{style}">{escape(latex)}</span>'

    def inline(self, text: str) -> str:
        """Running text with its marks."""
        return written(text, self._piece)

    def _piece(self, piece: Piece) -> str:
        text = escape(piece.text, quote=False)
        if piece.kind == "math":
            return self.math(piece.text)
        if piece.kind == "code":
            return f"<code>{text}</code>"
        if piece.kind == "strong":
            return f"<strong>{self.inline(piece.text)}</strong>"
        if piece.kind == "ref":
            return f'<a class="ref" href="#{text}">({text})</a>' if self.renders else f"({text})"
        if piece.kind == "line":
            return f'<a href="#c{text}">{text}</a>' if self.renders else text
        return text

    def block(self, item: Block) -> str:
        """One block."""
        if isinstance(item, Paragraph):
            return f"<p>{self.inline(item.text)}</p>"
        if isinstance(item, Display):
            return self.display(item)
        if isinstance(item, Details):
            anchor = f' id="{escape(item.id)}"' if item.id and self.renders else ""
            inside = "\n".join(self.block(b) for b in item.body)
            return f"<details{anchor} open><summary>{self.inline(item.summary)}</summary>\n{inside}\n</details>"
        if isinstance(item, Bullets):
            return "<ul>" + "".join(f"<li>{self.inline(x)}</li>" for x in item.items) + "</ul>"
        if isinstance(item, Table):
            return self._table(item)
        if isinstance(item, Box):
            lines = "".join(f'<div class="depth{d}">{self.inline(x)}</div>' for d, x in item.lines)
            return f'<div class="algorithm"><div class="title">{self.inline(item.title)}</div>{lines}</div>'
        if isinstance(item, Figure):
            return self._figure(item)
        return self._listing(item)

    def display(self, item: Display) -> str:
        """Equations below each other, aligned at their signs; formulas wrap where the page is narrow."""
        if not self.renders:
            rows = [rf"{r.lhs} &{r.sign} {joined(list(r.parts))} {_tag(r)}" for r in item.rows]
            return "$$\\begin{align}" + r" \\ ".join(escape(r) for r in rows) + "\\end{align}$$"
        return '<div class="eqs">\n' + "\n".join(self._row(r) for r in item.rows) + "\n</div>"

    def _row(self, row: Row) -> str:
        anchor = f' id="{row.id}"' if row.id else ""
        right = rf"\displaystyle {{}}{row.sign} {joined(list(row.parts))}"
        after = self.math(row.where, "m where") if row.where else ""
        after += f' <span class="note">{self.inline(row.note)}</span>' if row.note else ""
        tag = f'<a class="number" href="#{row.id}">({row.id})</a>' if row.id else ""
        line = self.page.lines.get(row.id)
        if line is not None:
            source = escape(self.page.source[line - 1].strip(), quote=True)
            tag += f'<a class="c" href="#c{line}" title="{source}">{self.page.words["c_line"]}&nbsp;{line}</a>'
        left = self.math(rf"\displaystyle {row.lhs}") if row.lhs else ""
        return (
            f'<div class="eq"{anchor}><span class="lhs">{left}</span>'
            f'<span class="rhs">{self.math(right)} {after}</span><span class="tag">{tag}</span></div>'
        )

    def _table(self, item: Table) -> str:
        head = "".join(f"<th>{self.inline(x)}</th>" for x in item.head)
        rows = "\n".join("<tr>" + "".join(f"<td>{self.inline(x)}</td>" for x in r) + "</tr>" for r in item.rows)
        return f'<div class="table"><table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{rows}\n</tbody></table></div>'

    def _figure(self, item: Figure) -> str:
        self.figures += 1
        caption = self.inline(item.caption)
        plain = re.sub(r"[$`*\[\]]", "", item.caption)
        drawn = chart.svg(item.drawing, plain) if isinstance(item.drawing, Chart) else graph.svg(item.drawing, plain)
        said = f"{self.page.words['figure']} {self.figures}."
        return f"<figure>\n{drawn}\n<figcaption>{said} {caption}</figcaption>\n</figure>"

    def _listing(self, item: Listing) -> str:
        lines = "\n".join(self._line(number, line) for number, line in enumerate(item.lines, 1))
        return (
            f'<h3 id="listing">{self.page.words["listing"]}: <code>{escape(item.name)}</code></h3>\n'
            f'<pre class="listing">{lines}\n</pre>'
        )

    def _line(self, number: int, line: str) -> str:
        """A line of C; the numbers of equations in its comments lead back to the equations."""

        marked, start = "", 0
        for found in COMMENT.finditer(line):
            ids = ", ".join(self._back(i) for i in found[1].split(", "))
            before, after = line[found.start() : found.start(1)], line[found.end(1) : found.end()]
            marked += escape(line[start : found.start()], quote=False)
            marked += f"<i>{escape(before, quote=False)}{ids}{escape(after, quote=False)}</i>"
            start = found.end()
        marked += escape(line[start:], quote=False)
        return f'<span class="l" id="c{number}"><a href="#c{number}">{number:>4}</a> {marked}</span>'

    def _back(self, id: str) -> str:
        anchor = f"{id}c" if f"{id}c" in self.anchors else id
        return f'<a href="#{anchor}">{id}</a>' if anchor in self.anchors else id


def _tag(row: Row) -> str:
    where = rf"\qquad {row.where}" if row.where else ""
    return where + (rf"\tag{{{row.id}}}" if row.id else r"\notag")


def _ids(page: Page) -> list[str]:
    """The anchors of all equations of a page."""
    found = []
    blocks = [b for s in page.sections for b in s.blocks]
    while blocks:
        item = blocks.pop(0)
        if isinstance(item, Display):
            found += [r.id for r in item.rows if r.id]
        elif isinstance(item, Details):
            blocks = [*item.body, *blocks]
    return found
