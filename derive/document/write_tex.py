"""A page as LaTeX that compiles alone: pdflatex for English, xelatex for Chinese."""

from __future__ import annotations

import re
from unicodedata import east_asian_width

from derive import escaping
from derive.document import chart, graph
from derive.document.blocks import (
    Block,
    Box,
    Bullets,
    Details,
    Display,
    Figure,
    Listing,
    Page,
    Paragraph,
    Row,
    Section,
    Table,
)
from derive.document.chart import Chart
from derive.document.markup import Piece, pieces, written
from derive.rendering import render

_LINE = 58.0  # widths of a letter on a line, less what the number takes
_SPECIAL = str.maketrans(
    {c: rf"\{c}" for c in "&%#_{}$"} | {"~": r"\textasciitilde{}", "^": r"\^{}", "\\": r"\textbackslash{}"}
)


def tex(page: Page) -> str:
    """The whole file."""
    subtitle = escaping.tex(page.subtitle, unicode=page.lang == "zh")
    return render("latex/document.tex.j2", page=page, inline=inline, body=body, subtitle=subtitle)


def body(section: Section) -> str:
    """The blocks of a section: a display belongs to the paragraph before it, all else starts a new one."""
    found = ""
    for item in section.blocks:
        found += ("\n" if isinstance(item, Display) else "\n\n") + block(item)
    return found.strip("\n")


def inline(text: str) -> str:
    """Running text with its marks."""
    return written(text, _piece)


def _piece(piece: Piece) -> str:
    if piece.kind == "math":
        return f"${piece.text}$"
    if piece.kind == "code":
        shown = piece.text.translate(_SPECIAL).replace("-", "{-}")
        return rf"\code{{{re.sub(r'([_:*.])', lambda m: m[1] + chr(92) + 'allowbreak ', shown)}}}"
    if piece.kind == "strong":
        return rf"\textbf{{{inline(piece.text)}}}"
    if piece.kind == "ref":
        return rf"\eqref{{{piece.text}}}"
    if piece.kind == "line":
        return piece.text
    return piece.text.translate(_SPECIAL)


def block(item: Block) -> str:
    """One block."""
    if isinstance(item, Paragraph):
        return inline(item.text)
    if isinstance(item, Display):
        return display(item)
    if isinstance(item, Details):
        return f"\\medskip\\noindent {inline(item.summary)}\n" + "\n".join(block(b) for b in item.body)
    if isinstance(item, Bullets):
        return "\\begin{itemize}\n" + "\n".join(rf"  \item {inline(x)}" for x in item.items) + "\n\\end{itemize}"
    if isinstance(item, Table):
        return table(item)
    if isinstance(item, Box):
        return _box(item)
    if isinstance(item, Figure):
        picture = chart.tikz(item.drawing) if isinstance(item.drawing, Chart) else graph.tikz(item.drawing)
        return f"\\begin{{center}}\n{picture}\n\\figurecaption{{{inline(item.caption)}}}\n\\end{{center}}"
    assert isinstance(item, Listing)
    return ""


def display(item: Display) -> str:
    """Equations below each other: one alignment, its own number or note at each, long ones broken at their signs."""
    rows = [line for row in item.rows for line in _lines(row)]
    return "\\begin{align}\n" + " \\\\\n".join(rows) + "\n\\end{align}"


def _lines(row: Row) -> list[str]:
    """The lines of one equation; the number stands at the last of them."""
    room = _LINE - width(row.lhs) - 2
    number = rf"\tag{{{row.id}}}\label{{{row.id}}}" if row.id else r"\notag"
    lines: list[str] = []
    used = 0.0
    for part in row.parts:
        joined = part if not lines else _signed(part)
        own = width(joined)
        if lines and used + own <= room:
            lines[-1] += f" {joined}"
            used += own
        else:
            lines += _broken(joined, room)
            used = width(lines[-1])
    if row.where:
        lines[-1] += rf" \qquad {row.where}" if used + width(row.where) + 3 <= room else ""
        if used + width(row.where) + 3 > room:
            lines.append(rf"\hspace{{6em}} {row.where}")
            used = width(row.where) + 6
    note = _note(row.note) if row.note else ""
    if note and used + width(note) + 3 <= room + 6:
        lines[-1] += rf" \qquad {note}"
    elif note:
        lines.append(rf"\hspace{{6em}} {note}")
    found = [f"  {row.lhs} &{row.sign} {lines[0]}"]
    found += [rf"  &\phantom{{{{}}{row.sign}{{}}}} {line}" for line in lines[1:]]
    return [*(rf"{line} \notag" for line in found[:-1]), f"{found[-1]} {number}"]


def _broken(part: str, room: float) -> list[str]:
    """A summand that is wider than a line, broken before a circled dot that stands in no group."""
    if width(part) <= room:
        return [part]
    places = [m.start() for m in re.finditer(r" \\odot ", part) if _depth(part[: m.start()]) == 0]
    fitting = [p for p in places if width(part[:p]) <= room]
    if not fitting:
        return [part]
    return [part[: fitting[-1]], *(rf"\quad {x.strip()}" for x in _broken(part[fitting[-1] :], room - 3))]


def _depth(latex: str) -> int:
    return latex.count("{") - latex.count("}")


def _signed(part: str) -> str:
    return part if part.startswith("-") else f"+ {part}"


def _note(text: str) -> str:
    """A remark beside an equation."""
    return r"\text{" + inline(text) + "}"


def width(latex: str) -> float:
    """About how many letters wide a formula is."""
    text = re.sub(r"\\begin\{pmatrix\}(.*?)\\end\{pmatrix\}", lambda m: max(m[1].split(r"\\"), key=len) + "xx", latex)
    text = re.sub(r"\\(?:underbrace)\{((?:[^{}]|\{(?:[^{}]|\{[^{}]*\})*\})*)\}_\{([^{}]|\{[^{}]*\})*\}", r"\1", text)
    text = re.sub(
        r"\\frac\{((?:[^{}]|\{(?:[^{}]|\{[^{}]*\})*\})*)\}\{((?:[^{}]|\{(?:[^{}]|\{[^{}]*\})*\})*)\}", _longer, text
    )
    below = sum(len(re.sub(r"\\[a-z]+|[{} ]", "", m)) for m in re.findall(r"[_^]\{([^{}]*)\}", text))
    text = re.sub(r"[_^]\{[^{}]*\}", "", text)
    text = re.sub(r"\\(?:bigl|bigr|displaystyle|quad|,|;|!)", "", text)
    wide = 1.4 * len(re.findall(r"\\sum|\\odot|\\qquad|\\hspace", text)) + len(re.findall(r" [-+] ", text)) * 1.2
    words = sum(len(w) - 1 for w in re.findall(r"\\(tanh|operatorname|exp|log|text|cdots)", text)) * 0.5
    text = re.sub(r"\\[a-zA-Z]+", "x", text)
    return len(re.sub(r"[{}_^ \\]", "", text)) + 0.62 * below + wide + words


def _longer(match: re.Match[str]) -> str:
    return max(match[1], match[2], key=lambda s: len(re.sub(r"\\[a-z]+|[{}_^ ]", "", s)))


def table(item: Table) -> str:
    """A table over pages; wide columns share what the others leave."""
    columns = "".join("Y" if k in item.wide else "l" for k in range(len(item.head)))
    lines = [" & ".join(inline(x) for x in row) + r" \\" for row in item.rows]
    head = " & ".join(rf"\textit{{{inline(x)}}}" for x in item.head) + r" \\"
    if "Y" in columns:
        share = sum(
            max((_letters(r[k]) for r in [item.head, *item.rows]), default=0) + 3
            for k in range(len(item.head))
            if k not in item.wide
        )
        room = max(0.2, (0.96 - share * 0.0121) / len(item.wide))
        columns = columns.replace("Y", rf">{{\raggedright\arraybackslash}}p{{{room:.2f}\linewidth}}")
    return (
        f"\\begin{{longtable}}{{@{{}}{columns}@{{}}}}\n\\toprule\n{head}\n\\midrule\n\\endhead\n"
        + "\n".join(lines)
        + "\n\\bottomrule\n\\end{longtable}"
    )


def _letters(text: str) -> float:
    """How wide a piece of running text is, in letters; a Chinese character takes the room of two."""
    found = 0.0
    for piece in pieces(text):
        if piece.kind == "math":
            found += width(piece.text)
        elif piece.kind == "ref":
            found += len(piece.text) + 2
        else:
            wide = sum(east_asian_width(c) in "WF" for c in piece.text)
            found += (len(piece.text) + 1.2 * wide) * (1.1 if piece.kind == "code" else 0.95)
    return found


def _box(item: Box) -> str:
    lines = "\n".join(rf"\algline{{{depth}}}{{{inline(text)}}}" for depth, text in item.lines)
    return f"\\begin{{algorithmbox}}{{{inline(item.title)}}}\n{lines}\n\\end{{algorithmbox}}"
