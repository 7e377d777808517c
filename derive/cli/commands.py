"""The command line. Each command imports what it needs when it runs, so that `derive --help` answers at once.

Exit codes: 0 done; 1 a check failed or a generated file is out of date; 2 the request cannot be carried out; 130 Ctrl-C;
141 the reader of the output has gone.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import click
from rich.panel import Panel
from rich.text import Text

from derive.cli.dump import dump
from derive.cli.export import export
from derive.cli.options import NotNegative, Numbers, OutputFile, Sizes, write_file
from derive.errors import DeriveError
from derive.terminal import MISUSE, Terminal, Unwritten, run, write_document

FAILED = 1


class Commands(click.Group):
    """A group of commands that shows what cannot be done as one panel, and leaves mistakes of its own as they are."""

    def main(self, *args: Any, standalone_mode: bool = True, **options: Any) -> Any:  # type: ignore[override]
        """Run a command; ends the process with its status, however it ends."""
        command: Callable[..., Any] = partial(super().main, *args, standalone_mode=False, **options)
        if not standalone_mode:
            return command()
        sys.exit(run(command))

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; what cannot be done becomes a panel on standard error."""
        try:
            return super().invoke(ctx)
        except (DeriveError, MemoryError) as error:
            words = str(error)
        except OSError as error:
            if not error.filename:  # no file of the user, but what we write to
                raise Unwritten(error) from error
            words = f"cannot use {error.filename}: {error.strerror}"
        panel = Panel(Text(words), title="derive cannot do this", title_align="left", border_style="red")
        Terminal(stderr=True).print(panel)
        ctx.exit(MISUSE)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="lstm-derive", prog_name="derive")
def main() -> None:
    """Recurrent cells from their equations: derivation, gradients, fast C."""


def chosen(names: tuple[str, ...]) -> list[str]:
    """Return the cells that were named, or all; a name that is none is an error that lists those that are."""
    from derive import registry

    for name in names:
        registry.cell(name)
    return list(dict.fromkeys(names)) or list(registry.cells())


@main.command("list")
def list_() -> None:
    """Print every cell and every loss with its equations."""
    from derive.registry import cells, losses
    from derive.terminal import tables as display

    console = Terminal()
    for title, family in (("Cells", cells()), ("Losses and readouts", losses())):
        console.rule(Text(title, "bold"), align="left")
        console.print()
        for member in family.values():
            display.equations(console, member)


@main.command()
@click.argument("cell", nargs=-1)
@click.option("--check", is_flag=True, help="Compare only; exit 1 and print a diff if a file would change.")
def build(cell: tuple[str, ...], check: bool) -> None:
    """Regenerate generated/ from the equations and compile it. Without CELL: all of it."""
    from derive import document
    from derive.building import compile_generated
    from derive.generation import regenerate
    from derive.terminal import tables as display

    console = Terminal()
    names = chosen(cell)
    with display.progress_bar(Terminal(stderr=True)) as bar:
        task = bar.add_task("deriving", total=len(names))

        def show(name: str) -> None:
            bar.update(task, description=f"deriving {name}", completed=names.index(name))

        found = regenerate(names, check=check, progress=show)
    if check:
        # The document of a cell asks its C: where that would change, there is nothing to compare the document with.
        stale = {change.path.partition("/")[0] for change in found if change.kind != "same"}
        names = [name for name in names if name not in stale]
    folders = generated_folders(names)
    with display.progress_bar(Terminal(stderr=True)) as bar:
        task = bar.add_task("compiling", total=len(folders))
        for folder in folders:
            bar.update(task, description=f"compiling {folder.name}")
            compile_generated(folder)
            bar.advance(task)
        found += document.regenerate(
            names, check=check, progress=lambda name: bar.update(task, description=f"writing {name}")
        )
    different = [change for change in found if change.kind != "same"]
    if check:
        display.changes(console, different)
        if different:
            console.print(f"{len(different)} of {len(found)} files would change: run `derive build`.", style="bold red")
            sys.exit(FAILED)
        console.print(f"{len(found)} files are what the equations give.", highlight=False)
        return
    for change in different:
        console.print(Text(f"{change.kind:8}{change.path}"), soft_wrap=True)
    console.print(f"{len(different)} of {len(found)} files written.", highlight=False)
    console.print(f"{len(folders)} modules compiled.", highlight=False)


def generated_folders(names: list[str]) -> list[Path]:
    """Return the folders of the generated packages of `names`."""
    import derive.generated

    roots = [Path(place) for place in derive.generated.__path__]
    return [root / name for root in roots for name in names if (root / name / "manifest.json").is_file()]


@main.command()
@click.argument("cell")
@click.option(
    "--format", "form", type=click.Choice(["tex", "pdf", "html", "md", "text"]), default="tex", show_default=True
)
@click.option("--lang", type=click.Choice(["en", "zh"]), default="en", show_default=True, help="Language of the text.")
@click.option("-o", "--output", type=OutputFile(), help="Write to this file.")
def latex(cell: str, form: str, lang: str, output: Path | None) -> None:
    """Write the derivation of a cell as a document: every step, the worked numbers, the lines of C.

    CELL is a name from `derive list` or a Python file with a cell of your own. PDF needs TeX and a file to write to.
    """
    from derive import document, registry
    from derive.document.pdf import pdf

    if form == "pdf" and output is None:
        raise DeriveError("a PDF goes into a file: add -o FILE.pdf")
    found = registry.cell(cell)
    if form == "pdf" and output is not None:
        write_file(output, pdf(document.document(found, lang=lang)))
        return
    made = document.written(found, form, lang)
    if output is None:
        write_document(made, declared=form != "text")
    else:
        write_file(output, made.encode())


@main.command()
@click.argument("cell", nargs=-1)
def check(cell: tuple[str, ...]) -> None:
    """Compare derived and compiled gradients with independent references; exit 1 if one is off.

    CELL is a name from `derive list` or a Python file with a cell of your own. Without CELL: all cells.
    """
    import derive.check
    from derive.terminal import tables as display

    names = chosen(cell)
    rows: list[Any] = []
    with display.progress_bar(Terminal(stderr=True)) as bar:
        task = bar.add_task("checking", total=len(names))
        for name in names:
            bar.update(task, description=f"checking {name}")
            rows += derive.check.run(name)
            bar.advance(task)
    console = Terminal()
    console.print(display.checks(rows))
    failed = [row for row in rows if not row.ok]
    if failed:
        console.print(f"{len(failed)} of {len(rows)} checks failed.", style="bold red")
        sys.exit(FAILED)
    console.print(f"All {len(rows)} checks passed.", highlight=False)


@main.command()
@click.argument("cell")
@click.option("-T", "steps", type=int, required=True, help="Steps of time.")
@click.option("-B", "batch", type=int, required=True, help="Sequences side by side.")
@click.option("-I", "inputs", type=int, help="Inputs.")
@click.option("-H", "hidden", type=int, help="Hidden units.")
@click.option("--size", "more", multiple=True, type=Sizes(), help="Any other size; repeat.")
@click.option("--dtype", type=click.Choice(["float32", "float64"]), default="float32", show_default=True)
@click.option("--call", type=click.Choice(["training", "infer"]), default="training", show_default=True)
@click.option("--threads", type=int, default=1, show_default=True, help="0: as many as pay off.")
@click.option("--isa", type=click.Choice(["base", "neon", "avx2", "avx512"]), help="Default: that of this processor.")
@click.option("--peak", type=float, help="Flop per cycle and core. Default: the most that the instruction set does.")
@click.option("--bandwidth", type=Numbers(), default=(), metavar="L1,L2,L3,DRAM", help="Bytes per cycle and core.")
@click.option("--caches", type=Numbers(), default=(), metavar="L1,L2,L3", help="KiB.")
@click.option("--clock", type=float, help="GHz: times are then seconds and not cycles.")
@click.option("--json", "as_json", is_flag=True, help="The whole record as JSON.")
def cost(
    cell: str,
    steps: int,
    batch: int,
    inputs: int | None,
    hidden: int | None,
    more: tuple[tuple[str, int], ...],
    dtype: str,
    call: str,
    threads: int,
    isa: str | None,
    peak: float | None,
    bandwidth: list[float],
    caches: list[float],
    clock: float | None,
    as_json: bool,
) -> None:
    """Count what a call costs: flop, bytes, and the time that it cannot be below. Nothing is run or measured.

    CELL is a name from `derive list` or a Python file with a cell of your own.
    """
    import json

    from derive import costs, registry
    from derive.costs import report as cost_report
    from derive.costs.machine import Machine

    given = {"T": steps, "B": batch, "I": inputs, "H": hidden}
    sizes = {name: value for name, value in given.items() if value is not None}
    for name, value in more:
        if sizes.setdefault(name, value) != value:
            raise DeriveError(f"the size {name} is given twice, as {sizes[name]} and as {value}")
    machine = Machine.of(isa, dtype, peak, tuple(bandwidth), tuple(int(kib * 1024) for kib in caches), clock)
    found = costs.cost(registry.cell(cell), sizes, dtype=dtype, call=call, threads=threads or None, machine=machine)
    if as_json:
        click.echo(json.dumps(found.as_dict(), indent=2))  # ASCII
    else:
        cost_report.show(Terminal(), found)


@main.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("-T", "lengths", type=str, default="2,3,5", show_default=True, help="Lengths for which errors are shown.")
@click.option("--zero-state", is_flag=True, help="Start from h(0) = c(0) = 0, which hides some errors.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of the random problems.")
def audit(file: Path, lengths: str, zero_state: bool, seed: int) -> None:
    """Compare hand-written gradient equations with the derived ones; exit 1 if one is wrong.

    FILE is Python in the notation of examples/audit/: it names a cell and lists an author's equations. Each gets a
    verdict of its own, the term that is wrong, the smallest T at which it shows, and the relative error of its value.
    """
    from derive.audit import audit as compare
    from derive.audit import in_file, report

    try:
        wanted = sorted({int(number) for number in lengths.split(",")})
    except ValueError:
        wanted = [0]
    if wanted[0] < 1:
        raise DeriveError(f"-T {lengths}: lengths are numbers from 1 between commas, such as 2,3,5")
    console, right = Terminal(), True
    for derivation in in_file(file):
        with console.status(f"auditing {derivation.name}"):
            found = compare(derivation, wanted, seed, zero_state)
        report.show(console, found)
        right = right and found.ok
    if not right:
        sys.exit(FAILED)


@main.command()
@click.argument("cell", nargs=-1, required=True)
@click.option("-T", "steps", type=click.IntRange(1), default=100, show_default=True, help="Steps of a sequence.")
@click.option("-H", "hidden", type=click.IntRange(1), default=32, show_default=True, help="Units.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of parameters and inputs.")
@click.option("--scale", type=Numbers(), default=(), help="Recurrent scales to compare, such as 0.9,1,1.1.")
@click.option("--keep", type=Numbers(), default=(), help="Biases of the gates that keep a state, such as 0,1,3.")
@click.option("--inputs", type=NotNegative(), default=1.0, show_default=True, help="Standard deviation of the inputs.")
@click.option("-o", "--output", type=OutputFile(), help="Write a picture to this file.")
def flow(
    cell: tuple[str, ...],
    steps: int,
    hidden: int,
    seed: int,
    scale: list[float],
    keep: list[float],
    inputs: float,
    output: Path | None,
) -> None:
    """Show what is left of a gradient after many steps: norms over the lag, and the spectrum of one step.

    CELL is a name from `derive list` or a Python file with a cell of your own; try `derive flow rnn lstm`. Without
    --scale and --keep each cell is started in three ways.
    """
    from derive import registry
    from derive.flow import flow as follow
    from derive.flow import starts
    from derive.flow import view as flow_view
    from derive.terminal import tables as display

    todo = [(registry.cell(name), start) for name in dict.fromkeys(cell) for start in starts(name, scale, keep)]
    found: list[Any] = []
    with display.progress_bar(Terminal(stderr=True)) as bar:
        task = bar.add_task("following", total=len(todo))
        for one, start in todo:
            bar.update(task, description=f"following {one.name}, {start}")
            found.append(follow(one, start, T=steps, H=hidden, seed=seed, inputs=inputs))
            bar.advance(task)
    console = Terminal()
    console.print(flow_view.norms(found))
    console.print(flow_view.spectra(found))
    if output is not None:
        flow_view.plot(found, output)
        console.print(Text(f"Picture: {output}"), soft_wrap=True)


@main.command()
@click.option(
    "-o",
    "--output",
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


main.add_command(dump)
main.add_command(export)
