"""`derive cost` and `derive flow`: figures of a cell, counted and computed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from rich.text import Text

from derive.cli.options import NotNegative, Numbers, OutputFile, json_option
from derive.cli.sizes import sizes_options
from derive.terminal import Terminal


@click.command()
@click.argument("cell")
@sizes_options("TBIH", others=True)
@click.option(
    "--dtype",
    type=click.Choice(["float32", "float64"]),
    default="float32",
    show_default=True,
    help="Type of all numbers of the call.",
)
@click.option(
    "--call",
    type=click.Choice(["training", "infer"]),
    default="training",
    show_default=True,
    help="training: loss_and_grad; infer: the outputs alone.",
)
@click.option("--threads", type=int, metavar="N", default=1, show_default=True, help="Threads; 0: as many as pay off.")
@click.option(
    "--isa",
    type=click.Choice(["base", "neon", "avx2", "avx512"]),
    help="Instruction set. Default: that of this processor.",
)
@click.option(
    "--peak", type=float, metavar="X", help="Flop per cycle and core. Default: the most that the instruction set does."
)
@click.option("--bandwidth", type=Numbers(), default=(), metavar="L1,L2,L3,DRAM", help="Bytes per cycle and core.")
@click.option("--caches", type=Numbers(), default=(), metavar="L1,L2,L3", help="Sizes of the caches in KiB.")
@click.option("--clock", type=float, metavar="GHZ", help="Clock in GHz: times are then seconds and not cycles.")
@json_option(
    '"cell", "call", "dtype", "sizes", "machine", "schedule", "phases" (each with its products, bytes and bounds), '
    '"parameters", "tape", "workspace" (bytes), "flop", "cycles", "seconds" (null without --clock)'
)
def cost(
    cell: str,
    sizes: dict[str, int],
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

    CELL is a name from `derive list` or a Python file with a cell of your own. All sizes of the cell must be given.
    """
    from derive import costs, registry
    from derive.costs import report as cost_report
    from derive.costs.machine import Machine
    from derive.terminal.records import write_json

    machine = Machine.of(isa, dtype, peak, tuple(bandwidth), tuple(int(kib * 1024) for kib in caches), clock)
    found = costs.cost(registry.cell(cell), sizes, dtype=dtype, call=call, threads=threads or None, machine=machine)
    if as_json:
        write_json(found.as_dict())
    else:
        cost_report.show(Terminal(), found)


@click.command()
@click.argument("cell", nargs=-1, required=True)
@sizes_options("TH", T=100, H=32)
@click.option(
    "--seed", type=click.IntRange(0), metavar="N", default=0, show_default=True, help="Seed of parameters and inputs."
)
@click.option("--scale", type=Numbers(), default=(), help="Recurrent scales to compare, such as 0.9,1,1.1.")
@click.option("--keep", type=Numbers(), default=(), help="Biases of the gates that keep a state, such as 0,1,3.")
@click.option("--inputs", type=NotNegative(), default=1.0, show_default=True, help="Standard deviation of the inputs.")
@click.option("-o", "--output", metavar="FILE", type=OutputFile(), help="Write a picture to this file.")
@json_option(
    'a list of "cell", "start" ("scale", "keep"), "T", "H", "seed", "samples", "states" (units of each), "lags", "norms" and '
    '"alone" (numbers over the lags, by state), "rate", "singular_values", "eigenvalues" (pairs of real and imaginary part)'
)
def flow(
    cell: tuple[str, ...],
    sizes: dict[str, int],
    seed: int,
    scale: list[float],
    keep: list[float],
    inputs: float,
    output: Path | None,
    as_json: bool,
) -> None:
    """Show what is left of a gradient after many steps: norms over the lag, and the spectrum of one step.

    CELL is a name from `derive list` or a Python file with a cell of your own; try `derive flow rnn lstm`. Without
    --scale and --keep each cell is started in three ways.
    """
    from derive import registry
    from derive.flow import flow as follow
    from derive.flow import record, starts
    from derive.flow import view as flow_view
    from derive.terminal import tables as display
    from derive.terminal.records import write_json

    todo = [(registry.cell(name), start) for name in dict.fromkeys(cell) for start in starts(name, scale, keep)]
    found: list[Any] = []
    with display.progress_bar(Terminal(stderr=True)) as bar:
        task = bar.add_task("following", total=len(todo))
        for one, start in todo:
            bar.update(task, description=f"following {one.name}, {start}")
            found.append(follow(one, start, seed=seed, inputs=inputs, **sizes))
            bar.advance(task)
    if output is not None:
        flow_view.plot(found, output)
    if as_json:
        write_json([record.as_dict(one) for one in found])
        return
    console = Terminal()
    console.print(flow_view.norms(found))
    console.print(flow_view.spectra(found))
    if output is not None:
        console.print(Text(f"Picture: {output}"), soft_wrap=True)
