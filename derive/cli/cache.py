"""`derive cache`: what the cache of compiled cells holds, and getting rid of it."""

from __future__ import annotations

import sys
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import click
from rich.text import Text

from derive.cli.options import Group, NotNegative, json_option
from derive.errors import DeriveError
from derive.terminal import Terminal

DAY = 86400.0


@click.group(cls=Group)
def cache() -> None:
    """List or clear the cache, the folder where cells of your own are kept compiled.

    It is $DERIVE_CACHE, else lstm-derive in $XDG_CACHE_HOME or in ~/.cache. What is cleared is compiled again when it is
    asked for.
    """


@cache.command("ls")
@json_option(
    '"folder", "bytes", and "entries", a list of "name", "kind" (module, leftover, report), "cell", "types", "loss", "sizes", '
    '"flags", "compiler", "bytes", "last_use" (ISO 8601, UTC), "state" ("" where nothing is wrong)'
)
def ls(as_json: bool) -> None:
    """List what the cache holds, what was used last at first."""
    from derive.terminal import tables as display
    from derive.terminal.records import write_json
    from derive.toolchain.cache.contents import contents

    folder, root = _folder()
    found = contents(root) if root else []
    total = sum(one.size for one in found)
    if as_json:
        write_json({"folder": str(folder), "bytes": total, "entries": [_as_dict(one) for one in found]})
        return
    console = Terminal()
    if not found:
        words = "is empty" if root else "is not there: nothing was built yet"
        console.print(Text(f"The cache, {folder}, {words}."), soft_wrap=True)
        return
    console.print(display.entries(found))
    console.print(Text(f"{_counted(len(found))}, {display.size(total)}, in {folder}"), soft_wrap=True)


@cache.command("clear")
@click.option(
    "--older-than",
    "days",
    metavar="DAYS",
    type=NotNegative(),
    help="Only what was not used in so many days. Default: all.",
)
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option('"folder", "bytes" (freed), "removed" (as the entries of `ls`), "kept", a list of "name" and "why"')
def clear(days: float | None, yes: bool, as_json: bool) -> None:
    """Remove compiled cells from the cache, and what killed builders left; says how many bytes that frees.

    What is being built stays, and so do reports on modules that were refused. A folder that other users could write to
    is not touched.
    """
    import time

    from derive.terminal import tables as display
    from derive.terminal.records import write_json
    from derive.toolchain.cache import contents as shelf

    folder, root = _folder()
    before = None if days is None else time.time() - days * DAY
    todo = [one for one in shelf.contents(root) if one.kind != shelf.REPORT] if root else []
    todo = [one for one in todo if before is None or one.used < before]
    total = display.size(sum(one.size for one in todo))
    if todo and not yes:
        if not can_ask():
            raise DeriveError(
                f"this removes {_counted(len(todo))}, {total}, from {folder}; without a terminal, add --yes"
            )
        if not click.confirm(f"Remove {_counted(len(todo))}, {total}, from {folder}?", err=True):
            todo = []
    done = shelf.clear(root, before) if root and todo else shelf.Cleared((), ())
    if as_json:
        removed = [_as_dict(one) for one in done.removed]
        kept = [{"name": one.name, "why": why} for one, why in done.kept]
        write_json({"folder": str(folder), "bytes": done.size, "removed": removed, "kept": kept})
        return
    console = Terminal()
    for one, why in done.kept:
        console.print(Text(f"{one.name} stays: {why}"), soft_wrap=True)
    words = f"{_counted(len(done.removed))} removed, {done.size} bytes ({display.size(done.size)}) freed, in {folder}"
    console.print(Text(words), soft_wrap=True)


def can_ask() -> bool:
    """Whether a person is there to answer."""
    return sys.stdin is not None and sys.stdin.isatty()


def _counted(count: int) -> str:
    return f"{count} {'entry' if count == 1 else 'entries'}"


def _folder() -> tuple[Path, Path | None]:
    """Where the cache is, and the folder, resolved and trusted, if it is there."""
    from derive.toolchain.cache import cache_folder, existing

    folder = cache_folder()
    return folder, existing(folder)


def _as_dict(one: Any) -> dict[str, Any]:
    about = {
        name: one.about.get(name, empty)
        for name, empty in (("loss", ""), ("sizes", {}), ("flags", []), ("compiler", ""))
    }
    used = datetime.fromtimestamp(one.used, timezone.utc).isoformat(timespec="seconds")
    own = {"name": one.name, "kind": one.kind, "cell": one.cell, "types": list(one.types)}
    return {**own, **about, "bytes": one.size, "last_use": used, "state": one.state}
