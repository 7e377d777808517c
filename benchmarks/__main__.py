"""The command line: `python -m benchmarks run`, `report`, `threads`, `readme`, `zoo`."""

from __future__ import annotations

import dataclasses
import json
import sys
from pathlib import Path
from typing import Any

import click

from benchmarks import report as tables
from benchmarks import results
from benchmarks.peers import OURS, PEERS
from benchmarks.readme import fill
from benchmarks.run import ROOT, render, write
from benchmarks.run import run as measure
from benchmarks.settings import Settings
from benchmarks.shapes import ITEMSIZE, OPS, Shape

README, FIGURES = ROOT / "README.md", ROOT / "docs" / "figures.md"
QUICK_FOLDER = ROOT / "build" / "benchmarks"


def _words(known: tuple[str, ...]) -> Any:
    """A callback that splits `a,b` and knows which words there are."""

    def split(context: click.Context, option: click.Parameter, text: str | None) -> tuple[str, ...] | None:
        words = tuple(text.split(",")) if text else None
        for word in words or ():
            if known and word not in known:
                raise click.BadParameter(f"{word!r} is not one of {', '.join(known)}")
        return words

    return split


def _shapes(context: click.Context, option: click.Parameter, texts: tuple[str, ...]) -> tuple[Shape, ...] | None:
    try:
        return tuple(map(Shape.parse, texts)) or None
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


def _threads(context: click.Context, option: click.Parameter, text: str | None) -> tuple[int, ...] | None:
    if text is None:
        return None
    try:
        counts = tuple(map(int, text.split(",")))
    except ValueError:
        counts = ()
    if not counts or min(counts) < 1:
        raise click.BadParameter(f"numbers of threads such as 1,2 are expected, found {text!r}")
    return counts


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Timings of the compiled cells beside those of other libraries."""


@main.command()
@click.option("--shapes", multiple=True, callback=_shapes, help="T,B,I,H of the LSTM; can be given many times.")
@click.option("--cells", callback=_words(()), help="Cells beside the LSTM, such as gru,mgu; none for none of them.")
@click.option("--cell-shapes", multiple=True, callback=_shapes, help="T,B,I,H of those cells; can be given many times.")
@click.option("--threads", callback=_threads, help="Numbers of threads, such as 1,2.")
@click.option("--dtypes", callback=_words(tuple(ITEMSIZE)), help="float32,float64 or one of them.")
@click.option("--ops", callback=_words(OPS), help="inference,training or one of them.")
@click.option("--peers", callback=_words(tuple(PEERS)), help=f"Of {', '.join(PEERS)}; ours is always there.")
@click.option("--seconds", type=click.FloatRange(min=0, min_open=True), help="Time for one figure, about.")
@click.option("--build/--no-build", default=None, help="Also the time to derive, compile and import.")
@click.option("--quick", is_flag=True, help="A few seconds, to see that it works; writes to build/benchmarks/.")
@click.option("--output", type=click.Path(path_type=Path, file_okay=False), help="Folder for the results.")
def run(quick: bool, output: Path | None, **given: Any) -> None:
    """Measure everything, or what the options leave; write results, tables and plot."""
    if given["peers"] and OURS[0] not in given["peers"]:
        given["peers"] = (OURS[0], *given["peers"])
    if given["cells"] == ("none",):
        given["cells"] = ()
    settings = Settings.quick() if quick else Settings()
    settings = dataclasses.replace(settings, **{n: value for n, value in given.items() if value is not None})
    try:
        found = measure(settings, lambda text: click.echo(text, err=True))
    except RuntimeError as error:
        raise click.ClickException(str(error)) from error
    for path in write(found, output or (QUICK_FOLDER if quick else results.FOLDER)):
        click.echo(f"written: {path}")
    click.echo("\n" + tables.targets(found))


@main.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False), default=results.FOLDER)
def report(folder: Path) -> None:
    """Write the tables and the plot again, from the results in FOLDER."""
    for path in render(results.read(folder / results.NAME), folder):
        click.echo(f"written: {path}")


@main.command()
@click.option("--seconds", type=click.FloatRange(min=0, min_open=True), default=0.3, help="Time for one figure, about.")
@click.option(
    "--output", type=click.Path(path_type=Path, file_okay=False), default=results.FOLDER, help="Folder for the results."
)
def threads(seconds: float, output: Path) -> None:
    """Measure calls on one thread, by sequences and by units, beside the choice of derive/runtime/core/split.py."""
    from benchmarks import threads as spreading  # the other commands need no compiled cell

    for path in spreading.write(spreading.run(lambda text: click.echo(text, err=True), seconds), output):
        click.echo(f"written: {path}")


@main.command()
@click.option("--check", is_flag=True, help="Write nothing; exit 1 if a page is not what the results give.")
def readme(check: bool) -> None:
    """Copy the short table into README.md and the others into docs/figures.md, between their marks."""
    found = results.read(results.FOLDER / results.NAME)
    made = tables.figures(found)
    accuracy = results.FOLDER / "accuracy.md"
    if accuracy.is_file():
        made["accuracy"] = accuracy.read_text(encoding="utf-8")
    for page, texts in ((README, tables.readme(found)), (FIGURES, made)):
        text = page.read_text(encoding="utf-8")
        filled = fill(text, texts)
        if check and filled != text:
            name = page.relative_to(ROOT)
            click.echo(f"{name} is not what benchmarks/results/ gives: run `python -m benchmarks readme`", err=True)
            sys.exit(1)
        if not check:
            page.write_text(filled, encoding="utf-8")


@main.command()
@click.argument("cells", nargs=-1)
@click.option("--time", "clock", is_flag=True, help="Also time a training call, beside PyTorch and JAX.")
@click.option("--seconds", type=click.FloatRange(min=0, min_open=True), default=0.3, help="Time for one figure, about.")
@click.option("--output", type=click.Path(path_type=Path, dir_okay=False), help="The page. Default: docs/zoo.md.")
def zoo(cells: tuple[str, ...], clock: bool, seconds: float, output: Path | None) -> None:
    """Write docs/zoo.md: every cell of the zoo, or CELLS, with its source, work and error; minutes, with PyTorch.

    Timings that --time measures are kept in benchmarks/results/zoo.json, beside those of other cells that were measured on the
    same processor, and shown by later runs.
    """
    from benchmarks import zoo as shelf
    from derive import registry

    names = cells or tuple(registry.zoo())
    if cells and output is None:
        raise click.UsageError("CELLS are a part of the page: give it another name, --output FILE")

    def say(text: str) -> None:
        click.echo(text, err=True)

    times = json.loads(shelf.TIMES.read_text(encoding="utf-8")) if shelf.TIMES.is_file() else None
    if clock:
        found = shelf.timed(names, seconds, say)
        same = times is not None and times["machine"]["processor"] == found["machine"]["processor"]
        times = {**found, "cells": {**(times["cells"] if times and same else {}), **found["cells"]}}
        shelf.TIMES.write_text(json.dumps(times, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    target = output or shelf.PAGE
    target.write_text(shelf.page(shelf.rows(names, say), times), encoding="utf-8")
    click.echo(f"written: {target}")


if __name__ == "__main__":
    main(prog_name="python -m benchmarks")
