"""The derivation on paper: from a cell to a document in TeX, PDF, HTML, Markdown or plain text, in two languages.

    document(cell, loss, lang)     the page: sections of blocks, which know no form
    written(cell, form, lang)      the page as text of a form
    files(cell)                    what is committed in generated/

The step log of `vjp` and the programs of simplify/ are the only source.  Every equation carries its ID: the label in
TeX, the anchor in HTML, and the comment beside the line of C that computes it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cache

from derive import registry
from derive.document import listing
from derive.document.blocks import Page, Section
from derive.document.derivation import Derivation
from derive.document.messages import LANGUAGES, Messages
from derive.document.sections import SECTIONS
from derive.document.sections.numbers import links
from derive.document.write_html import html
from derive.document.write_tex import tex
from derive.document.write_text import markdown, text
from derive.errors import DeriveError
from derive.generation import DOCUMENTED, Change, compare
from derive.notation import Cell, Loss
from derive.rendering import ROOT

FORMS = {"tex": tex, "html": html, "md": markdown, "text": text}
__all__ = ["FORMS", "LANGUAGES", "Derivation", "Page", "derivation", "document", "files", "regenerate", "written"]


@cache
def derivation(cell: Cell, loss: Loss | None = None) -> Derivation:
    """Everything about a cell that the sections ask for; made once."""
    return Derivation(cell, loss)


@cache
def document(cell: Cell, loss: Loss | None = None, lang: str = "en") -> Page:
    """The sixteen sections in a language; the cell is compiled if it was not, for section 15 asks the C.

    Raises DeriveError for a language that there is not, and for a cell that cannot be compiled.
    """
    say, d = Messages(lang), derivation(cell, loss)
    sections = tuple(Section(key, say(f"section.{key}"), tuple(make(d, say))) for key, make in SECTIONS)
    words = {k.removeprefix("word."): v for k, v in say.table.items() if k.startswith("word.")}
    abstract = say("abstract", forward=len(d.primal.equations), steps=len(d.derived.steps), backward=len(d.backward))
    title = say("title", name=f"`{cell.name}`")
    return Page(title, d.made.title, lang, abstract, sections, words, links(d), listing.source(d)[1])


def written(cell: Cell, form: str = "tex", lang: str = "en", loss: Loss | None = None) -> str:
    """The document in a form of FORMS."""
    if form not in FORMS:
        raise DeriveError(f"no document in the form {form!r}; there are: {', '.join(FORMS)}, pdf")
    return FORMS[form](document(cell, loss, lang))


def files(cell: Cell) -> dict[str, str]:
    """The committed documents of a cell, by file name; none for most, for `derive latex` writes them."""
    forms = ("tex", "html") if cell.name in DOCUMENTED else ()
    return {f"derivation.{form}": written(cell, form) for form in forms}


def regenerate(
    names: Iterable[str], check: bool = False, progress: Callable[[str], None] = lambda name: None
) -> list[Change]:
    """Write the committed documents of cells into generated/ (with `check`: only compare); the C must be compiled."""
    changes = []
    for name in names:
        progress(name)
        folder, made = ROOT / "generated" / name, files(registry.cell(name))
        for file, page in made.items():
            changes.append(compare(folder / file, f"{name}/{file}", page))
            if not check and changes[-1].kind != "same":
                (folder / file).write_text(page, encoding="utf-8")
        for path in sorted(folder.glob("derivation.*")):
            if path.name not in made:
                changes.append(Change(f"{name}/{path.name}", "removed"))
                if not check:
                    path.unlink()
    return changes
