"""`derive doctor`: whether the installation works, and what to do where it does not."""

from __future__ import annotations

import sys
from dataclasses import asdict

import click

from derive.cli.options import json_option
from derive.terminal import FAILED, Terminal


@click.command()
@json_option(
    '"ok", and "findings", a list of "part", "name", "state" (ok, note, broken), "found" (words), "advice", "value" (a number, a '
    "string, a list, or null)"
)
def doctor(as_json: bool) -> None:
    """Look at versions, compiler, processor, compiled cells, cache, environment and terminal; exit 1 if something is broken.

    Each finding that is not in order says what to do. Nothing is changed.
    """
    from derive import doctor as examination
    from derive.terminal import tables as display
    from derive.terminal.records import write_json

    parts = list(examination.PARTS)
    with display.progress_bar(Terminal(stderr=True)) as bar:
        task = bar.add_task("looking", total=len(parts))
        found = examination.examine(
            lambda part: bar.update(task, description=f"looking at {part}", completed=parts.index(part))
        )
    broken = [one for one in found if one.state == examination.BROKEN]
    if as_json:
        write_json({"ok": not broken, "findings": [asdict(one) for one in found]})
    else:
        console = Terminal()
        display.findings(console, found)
        if broken:
            console.print(f"Broken: {len(broken)} of {len(found)}.", style="bold red")
        else:
            console.print("Nothing is broken.", highlight=False)
    if broken:
        sys.exit(FAILED)
