"""`derive latex`: the derivation as a document."""

from __future__ import annotations

from pathlib import Path

import click

from derive.cli.options import OutputFile, composed, head_and_loss, write_file
from derive.errors import DeriveError
from derive.terminal import write_document


@click.command()
@click.argument("cell")
@click.option(
    "--format",
    "form",
    type=click.Choice(["tex", "pdf", "html", "md", "text"]),
    default="tex",
    show_default=True,
    help="Form of the document; pdf needs TeX and -o FILE.",
)
@click.option("--lang", type=click.Choice(["en", "zh"]), default="en", show_default=True, help="Language of the text.")
@click.option("-o", "--output", metavar="FILE", type=OutputFile(), help="Write to this file, not to standard output.")
@head_and_loss
def latex(cell: str, form: str, lang: str, output: Path | None, head: str | None, loss: str | None) -> None:
    """Write the derivation of a cell as a document: every step, the worked numbers, the lines of C.

    CELL is a name from `derive list` or a Python file with a cell of your own. PDF needs TeX and a file to write to.
    """
    from derive import document
    from derive.document.pdf import pdf

    if form == "pdf" and output is None:
        raise DeriveError("a PDF goes into a file: add -o FILE.pdf")
    found, judged = composed(cell, head, loss)
    if form == "pdf" and output is not None:
        write_file(output, pdf(document.document(found, judged, lang)))
        return
    made = document.written(found, form, lang, judged)
    if output is None:
        write_document(made, declared=form != "text")
    else:
        write_file(output, made.encode())
