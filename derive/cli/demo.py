"""`derive demo`: everything once."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from derive.cli.options import OutputFile
from derive.terminal import FAILED, Terminal


@click.command()
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    type=OutputFile(),
    default=Path("sunspots.png"),
    show_default=True,
    help="Where the plot goes.",
)
def demo(output: Path) -> None:
    """Equations, derivation, C, checks, then training on the sunspot numbers, with a plot. Under two minutes."""
    from derive import demo

    if not demo.run(Terminal(), output):
        sys.exit(FAILED)
