"""`derive check` and `derive audit`: what is right, and what is not."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from derive.cli.options import chosen, composed, head_and_loss, json_option
from derive.cli.sizes import sizes_options
from derive.terminal import FAILED, Terminal


@click.command()
@click.argument("cell", nargs=-1)
@json_option(
    '"ok", and "checks", a list of "cell", "dtype", "gradient", "against" (the reference), "error" and "limit" (numbers), "ok"'
)
@head_and_loss
def check(cell: tuple[str, ...], as_json: bool, head: str | None, loss: str | None) -> None:
    """Compare derived and compiled gradients with independent references; exit 1 if one is off.

    CELL is a name from `derive list` or a Python file with a cell of your own. Without CELL: all cells that ship.
    """
    import derive.check
    from derive.terminal import tables as display
    from derive.terminal.records import write_json

    names = chosen(cell)
    rows: list[Any] = []
    with display.progress_bar(Terminal(stderr=True)) as bar:
        task = bar.add_task("checking", total=len(names))
        for name in names:
            bar.update(task, description=f"checking {name}")
            rows += derive.check.run(*composed(name, head, loss)) if head or loss else derive.check.run(name)
            bar.advance(task)
    failed = [row for row in rows if not row.ok]
    if as_json:
        write_json({"ok": not failed, "checks": [_check(row) for row in rows]})
    else:
        console = Terminal()
        console.print(display.checks(rows))
        if failed:
            console.print(f"{len(failed)} of {len(rows)} checks failed.", style="bold red")
        else:
            console.print(f"All {len(rows)} checks passed.", highlight=False)
    if failed:
        sys.exit(FAILED)


def _check(row: Any) -> dict[str, Any]:
    return {
        "cell": row.cell,
        "dtype": str(row.dtype),
        "gradient": row.gradient,
        "against": row.reference,
        "error": float(row.error),
        "limit": float(row.limit),
        "ok": bool(row.ok),
    }


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@sizes_options("T", several="T", T=[2, 3, 5])
@click.option("--zero-state", is_flag=True, help="Start from h(0) = c(0) = 0, which hides some errors.")
@click.option(
    "--seed", type=click.IntRange(0), metavar="N", default=0, show_default=True, help="Seed of the random problems."
)
@json_option(
    '"ok", and "derivations", a list of "name", "cell", "ok", "obstacle", "unstated", "equations"; of each equation "name", '
    '"claims", "lines", "ok", "verdicts", "first_T" (null: right at every T), "errors" by T, "reads_wrong", "findings"; of '
    'each finding "verdict", "detail", "stands", "belongs"'
)
def audit(file: Path, sizes: dict[str, Any], zero_state: bool, seed: int, as_json: bool) -> None:
    """Compare hand-written gradient equations with the derived ones; exit 1 if one is wrong.

    FILE is Python in the notation of examples/audit/: it names a cell and lists an author's equations. Each gets a
    verdict of its own, the term that is wrong, the smallest T at which it shows, and the relative error of its value.
    """
    from derive.audit import audit as compare
    from derive.audit import in_file, record, report
    from derive.terminal.records import write_json

    console, found = Terminal(), []
    for derivation in in_file(file):
        with Terminal(stderr=True).status(f"auditing {derivation.name}"):
            found.append(compare(derivation, sizes["T"], seed, zero_state))
        if not as_json:
            report.show(console, found[-1])
    right = all(one.ok for one in found)
    if as_json:
        write_json({"ok": right, "derivations": [record.as_dict(one) for one in found]})
    if not right:
        sys.exit(FAILED)
