"""`derive list` and `derive new`: the cells that there are, and one more."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from rich.text import Text

from derive.cli.options import OutputFile, json_option, write_file
from derive.errors import DeriveError
from derive.terminal import Terminal


@click.command("list")
@click.argument("cell", nargs=-1)
@json_option(
    '"cells", "zoo" and "losses", lists of "name", "title", "states", "gates", "sizes", "parameters" (name in the equations -> '
    'sizes of its axes), "count" (of their numbers), "equations" ("id" and "text" of each)'
)
def list_(cell: tuple[str, ...], as_json: bool) -> None:
    """Print every cell and every loss in one line: name, states, count of parameters, title. With CELL: its equations.

    CELL is the name of a cell or of a loss, or a Python file with a cell of your own.
    """
    from derive import registry
    from derive.registry import summary
    from derive.terminal import tables as display
    from derive.terminal.records import write_json

    known = registry.losses()
    if cell:
        named = dict.fromkeys(known[n] if n in known and not registry.is_cell(n) else registry.cell(n) for n in cell)
        losses: list[Any] = [one for one in named if one in known.values()]
        zoo: list[Any] = [one for one in named if registry.is_in_zoo(one.name) and one is registry.cell(one.name)]
        cells: list[Any] = [one for one in named if one not in losses and one not in zoo]
    else:
        cells, zoo, losses = list(registry.shipped().values()), list(registry.zoo().values()), list(known.values())
    if as_json:
        families = {"cells": cells, "zoo": zoo, "losses": losses}
        write_json({title: [*map(summary.as_dict, family)] for title, family in families.items()})
        return
    console = Terminal()
    if cell:
        for member in named:
            display.equations(console, member)
        return
    shown = {"Cells that ship": cells}
    for name, title in registry.families().items():
        shown[f"Zoo, {name}: {title[:1].lower()}{title[1:].rstrip('.')}"] = list(registry.zoo(name).values())
    for title, family in {**shown, "Losses and readouts": losses}.items():
        console.rule(Text(title, "bold"), align="left")
        display.members(console, [summary.summary(member) for member in family])
    console.print()
    console.print("`derive list CELL` prints the equations of one.", highlight=False)


@click.command()
@click.argument("name")
@click.option("-o", "--output", metavar="FILE", type=OutputFile(), help="The file to write. Default: NAME.py here.")
def new(name: str, output: Path | None) -> None:
    """Write a Python file with a cell of your own, called NAME: a small gated cell that builds as it is.

    Change its lines; comments in it say what may be changed, and how to check, print and build it. A file that is there is
    not overwritten.
    """
    from derive.registry.skeleton import skeleton

    name, text = skeleton(name)
    target = OutputFile().convert(f"{name}.py", None, None) if output is None else output
    if target.suffix != ".py":
        raise DeriveError(f"-o {target}: a cell is a Python file; give it a name that ends in .py")
    if target.exists():
        raise DeriveError(
            f"{target} is there already, and is not overwritten; choose another with -o FILE, or remove it"
        )
    write_file(target, text.encode(), exclusive=True)
    console = Terminal()
    console.print(Text(f"{target} has the cell {name}. Change it; then"), soft_wrap=True)
    for words in (f"derive list {target}", f"derive check {target}", f"derive latex {target} --format text"):
        console.print(Text(f"  {words}"), soft_wrap=True)
