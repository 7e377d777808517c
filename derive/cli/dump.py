"""`derive dump`: what each pass makes of a cell."""

from __future__ import annotations

import click

from derive.cli.options import composed, head_and_loss, json_option
from derive.terminal import write_document
from derive.terminal.records import write_json

EXAMPLES = """\b
derive dump lstm                  the passes, their seconds, what there is to count
derive dump lstm --after adjoint  the equations as derived
derive dump lstm --after schedule --kernel forward
                                  the plan of the C kernel: tiles, buffers, loads and stores
"""


@click.command(epilog=EXAMPLES)
@click.argument("cell")
@click.option(
    "--after",
    metavar="PASS",
    help="The pass after which to look; without it: all passes, with their seconds and what there is to count.",
)
@click.option(
    "--kernel",
    default="",
    metavar="KERNEL",
    help="The kernel to look at, where a pass runs for each: infer, forward, loss, backward, record, recompute.",
)
@head_and_loss
@json_option('a list of "pass", "kernel", "seconds", and what there is to count')
def dump(cell: str, after: str | None, kernel: str, head: str | None, loss: str | None, as_json: bool) -> None:
    """Print what a pass makes of CELL, a cell by name or a file of your own."""
    from derive.backends.c.schedule import plan
    from derive.errors import DeriveError
    from derive.pipeline import model

    made = model(*composed(cell, head, loss))
    plan(made)
    trace = made.trace
    if as_json:
        rows = [{"pass": e.name, "kernel": e.kernel, "seconds": round(e.seconds, 6), **e.counts} for e in trace.entries]
        write_json(rows)
        return
    if after is None:
        if kernel:
            raise DeriveError("--kernel says which kernel to look at after a pass: name one with --after PASS")
        for e in trace.entries:
            said = ", ".join(f"{count} {what}" for what, count in e.counts.items())
            click.echo(f"{e.seconds * 1000:8.1f} ms  {e.name:<16} {e.kernel:<10} {said}".rstrip())
        return
    write_document(trace.after(after, kernel).dump(), declared=False)
