"""`derive build`: generated/ from the equations, and what does not ship into the cache."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click
from rich.text import Text

from derive.cli.options import chosen, json_option
from derive.errors import DeriveError
from derive.terminal import FAILED, Terminal


@click.command()
@click.argument("cell", nargs=-1)
@click.option("--check", is_flag=True, help="Compare only; exit 1 and print a diff if a file would change.")
@json_option(
    '"ok"; "changed", a list of "path", "kind" (new, changed, removed), "diff"; "files" and "compiled", counts; "cached", '
    "cells that do not ship -> the folder of each"
)
def build(cell: tuple[str, ...], check: bool, as_json: bool) -> None:
    """Regenerate generated/ from the equations and compile it. Without CELL: all cells that ship.

    CELL is a name from `derive list` or a Python file with a cell of your own. One that does not ship is compiled into the
    cache, where derive.build and derive.load find it.
    """
    from derive import registry
    from derive.building import build as into_cache
    from derive.terminal import tables as display
    from derive.terminal.records import write_json

    given = chosen(cell)
    names = [name for name in given if registry.is_shipped(name)]
    own = [name for name in given if name not in names]
    if check and own:
        raise DeriveError(
            f"{own[0]} does not ship: nothing of it is in generated/ that could be compared; `derive check {own[0]}` compares "
            f"its gradients"
        )
    cached: dict[str, str] = {}
    with display.progress_bar(Terminal(stderr=True)) as bar:
        task = bar.add_task("building", total=len(own))
        for name in own:
            bar.update(task, description=f"building {name}")
            cached[name] = into_cache(registry.cell(name)).__path__[0]
            bar.advance(task)
    if names:
        _regenerate(names, check, as_json, cached)
    elif as_json:
        write_json({"ok": True, "changed": [], "files": 0, "compiled": 0, "cached": cached})
    else:
        _show_cached(cached)


def _regenerate(names: list[str], check: bool, as_json: bool, cached: dict[str, str]) -> None:
    """Write and compile what ships, or compare it."""
    from derive import document
    from derive.building import compile_generated
    from derive.generation import regenerate
    from derive.terminal import tables as display
    from derive.terminal.records import write_json

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
        write_json({"ok": ok, "changed": changed, "files": len(found), "compiled": len(folders), "cached": cached})
    else:
        _show(different, found, check, len(folders))
        _show_cached(cached)
    if check and different:
        sys.exit(FAILED)


def _show_cached(cached: dict[str, str]) -> None:
    """Print where the modules of cells lie that do not ship."""
    console = Terminal()
    for name, folder in cached.items():
        console.print(Text(f"{name}: compiled and accepted, in {folder}"), soft_wrap=True)


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
