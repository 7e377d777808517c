"""`derive build`: generated/ from the equations."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click
from rich.text import Text

from derive.cli.options import chosen, json_option
from derive.terminal import FAILED, Terminal


@click.command()
@click.argument("cell", nargs=-1)
@click.option("--check", is_flag=True, help="Compare only; exit 1 and print a diff if a file would change.")
@json_option(
    '"ok"; "changed", a list of "path", "kind" (new, changed, removed), "diff"; "files" and "compiled", counts'
)
def build(cell: tuple[str, ...], check: bool, as_json: bool) -> None:
    """Regenerate generated/ from the equations and compile it. Without CELL: all of it.

    CELL is a name from `derive list`. A cell of your own is built in Python, by derive.build(cell).
    """
    from derive import document
    from derive.building import compile_generated
    from derive.generation import regenerate
    from derive.terminal import tables as display
    from derive.terminal.records import write_json

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
    if as_json:
        changed = [{"path": change.path, "kind": change.kind, "diff": change.diff} for change in different]
        ok = not (check and different)
        write_json({"ok": ok, "changed": changed, "files": len(found), "compiled": len(folders)})
    else:
        _show(different, found, check, len(folders))
    if check and different:
        sys.exit(FAILED)


def _show(different: list[Any], found: list[Any], check: bool, compiled: int) -> None:
    """Print what changed or, with `check`, would change."""
    from derive.terminal import tables as display

    console = Terminal()
    if not check:
        for change in different:
            console.print(Text(f"{change.kind:8}{change.path}"), soft_wrap=True)
        console.print(f"{len(different)} of {len(found)} files written.", highlight=False)
        console.print(f"{compiled} modules compiled.", highlight=False)
    elif different:
        display.changes(console, different)
        console.print(f"{len(different)} of {len(found)} files would change: run `derive build`.", style="bold red")
    else:
        console.print(f"{len(found)} files are what the equations give.", highlight=False)


def generated_folders(names: list[str]) -> list[Path]:
    """Return the folders of the generated packages of `names`."""
    import derive.generated

    roots = [Path(place) for place in derive.generated.__path__]
    return [root / name for root in roots for name in names if (root / name / "manifest.json").is_file()]
