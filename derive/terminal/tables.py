"""How results look in the terminal: equations, tables of checks, changes of files. For the commands and the demo."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text


def progress_bar(console: Console) -> Progress:
    """Return the progress bar that all long work shows; it disappears when the work is done."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)


def equations(console: Console, cell: Any) -> None:
    """Print a cell's or a loss's name, where it comes from, and its equations. Long lines are left to the terminal."""
    source = (cell.doc or "").strip().splitlines()
    title = Text.assemble((cell.name, "bold cyan"), "  ", (source[0] if source else "", "dim"))
    console.print(title, soft_wrap=True)
    for equation in cell.program().equations:
        console.print(Text(f"  {equation}"), soft_wrap=True)
    console.print()


def members(console: Console, found: Iterable[Any]) -> None:
    """Print cells or losses in one line each: name, states, count of parameters, title. Long lines are left to the terminal."""
    found = list(found)
    rows = [(one.name, " ".join(one.states), one.count.replace("**2", "²").replace("*", "·")) for one in found]
    widths = [max(map(len, column), default=0) for column in zip(*rows, strict=True)]
    for row, one in zip(rows, found, strict=True):
        name, states, count = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        console.print(Text.assemble((name, "bold cyan"), f"  {states}  {count}  ", (one.title, "dim")), soft_wrap=True)


def checks(rows: Iterable[Any]) -> Table:
    """Return the table of numerical checks: one row per gradient and reference."""
    table = Table(header_style="bold", row_styles=["", "dim"])
    for name in ("cell", "dtype", "gradient", "against"):
        table.add_column(name)
    for name in ("error", "limit"):
        table.add_column(name, justify="right")
    table.add_column("")
    for row in rows:
        verdict = Text("ok", "green") if row.ok else Text("FAILED", "bold red")
        where = (row.cell, str(row.dtype), row.gradient, row.reference)
        table.add_row(*map(Text, where), f"{row.error:.1e}", f"{row.limit:.0e}", verdict, style="" if row.ok else "red")
    return table


def entries(found: Iterable[Any]) -> Table:
    """Return the table of what the cache holds: name, kind, what it was made for, size, last use."""
    table = Table(header_style="bold")
    for name in ("entry", "kind", "types", "loss, sizes"):
        table.add_column(name, no_wrap=name == "entry")
    table.add_column("size", justify="right", no_wrap=True)
    table.add_column("last use", no_wrap=True)
    table.add_column("state")
    for one in found:
        sizes = [f"{name}={value}" for name, value in one.about.get("sizes", {}).items()]
        made = ", ".join([*filter(None, [one.about.get("loss", "")]), *sizes])
        used = datetime.fromtimestamp(one.used).strftime("%Y-%m-%d %H:%M")
        table.add_row(*map(Text, (one.name, one.kind, ", ".join(one.types), made, size(one.size), used, one.state)))
    return table


def findings(console: Console, found: Iterable[Any]) -> None:
    """Print what `derive doctor` found, part by part: state, name, finding, and below it what to do."""
    found = list(found)
    colours = {"ok": "green", "note": "yellow", "broken": "bold red"}
    width = max((len(one.name) for one in found), default=0)
    part = ""
    for one in found:
        if one.part != part:
            part = one.part
            console.print(Text(part, "bold"))
        state = (f"{one.state:6}", colours.get(one.state, ""))
        console.print(Text.assemble("  ", state, f"  {one.name:{width}}  {one.found}"), soft_wrap=True)
        if one.advice:
            console.print(Text(f"          {one.advice}", "yellow"), soft_wrap=True)


def size(count: float) -> str:
    """Bytes as a person reads them, with three digits."""
    for unit in ("B", "KiB", "MiB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1024
    return f"{count:.3g} GiB"


def changes(console: Console, found: Iterable[Any]) -> None:
    """Print which generated files changed, and how."""
    colours = {"+": "green", "-": "red", "@": "cyan"}
    for change in found:
        if change.kind == "same":
            continue
        console.print(Text.assemble((f"{change.kind:8}", "bold yellow"), str(change.path)))
        for line in change.diff.splitlines():
            console.print(Text(line, colours.get(line[:1], "")), soft_wrap=True)


def errors(rows: Iterable[tuple[str, float, float]]) -> Table:
    """Return the table of forecast errors (name, validation, held-out); the smallest held-out one is bold."""
    rows = list(rows)
    smallest = min(held_out for _, _, held_out in rows)
    table = Table(header_style="bold")
    table.add_column("one year ahead")
    table.add_column("validation RMSE", justify="right")
    table.add_column("held-out RMSE", justify="right")
    for name, validation, held_out in rows:
        table.add_row(name, f"{validation:.2f}", f"{held_out:.2f}", style="bold" if held_out == smallest else "")
    return table
