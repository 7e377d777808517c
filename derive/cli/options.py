"""Kinds of options that commands share: what a value must be is checked, and said, before any work begins."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from derive.terminal import WIDE

Function = Callable[..., Any]


class Group(click.Group):
    """A group whose help has the first sentence of each command, however long it is."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the table of commands."""
        found = [(name, self.get_command(ctx, name)) for name in self.list_commands(ctx)]
        rows = [(name, command.get_short_help_str(limit=WIDE)) for name, command in found if command is not None]
        with formatter.section("Commands"):
            formatter.write_dl(rows)


class Numbers(click.ParamType):
    """Finite numbers between commas, such as 0,1,3, as a list."""

    name = "NUMBERS"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> list[float]:
        """Return the numbers; usage error for what is none."""
        if not isinstance(value, str):
            return list(value)
        try:
            found = [float(number) for number in value.split(",")]
        except ValueError:
            found = [math.nan]
        if not all(map(math.isfinite, found)):
            self.fail(f"{value!r} is no list of numbers with commas between them, such as 0,1,3", param, ctx)
        return found


class NotNegative(click.ParamType):
    """One finite number of at least 0."""

    name = "NUMBER"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the number; usage error for what is none."""
        try:
            found = float(value)
        except ValueError:
            found = math.nan
        if not 0 <= found < math.inf:
            self.fail(f"{value!r} is no finite number of at least 0", param, ctx)
        return found


class OutputFile(click.Path):
    """A file that can be written: its folder is there."""

    def __init__(self) -> None:
        super().__init__(dir_okay=False, path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        """Return the path; usage error for a folder, a file in no folder, or one in a folder that is closed to us."""
        path = Path(value)
        if not str(value).strip():
            self.fail("the name of a file is expected, found none", param, ctx)
        if not path.parent.is_dir():
            self.fail(f"cannot write {path}: there is no folder {path.parent}; make it first", param, ctx)
        if not os.access(path if path.exists() else path.parent, os.W_OK):
            self.fail(f"cannot write {path}: permission denied; choose another place", param, ctx)
        return super().convert(value, param, ctx)  # type: ignore[return-value]


def write_file(path: Path, data: bytes, exclusive: bool = False) -> None:
    """Write a file that the user named; with `exclusive`, only one that is not there yet.

    Raises OSError that says which file: the system does not, for a disk that is full.
    """
    try:
        if exclusive:
            path.touch(exist_ok=False)
        path.write_bytes(data)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error


def chosen(names: tuple[str, ...]) -> list[str]:
    """Return the cells that were named, or all that ship; a name that is none is an error that lists those that are."""
    from derive import registry

    for name in names:
        registry.cell(name)
    return list(dict.fromkeys(names)) or list(registry.shipped())


def head_and_loss(function: Function) -> Function:
    """Add the options --head and --loss of a command that takes a cell."""
    function = click.option(
        "--loss",
        metavar="LOSS",
        help="The loss, by name or file, with +weighted, +mean behind it. [default: squared_error]",
    )(function)
    return click.option("--head", metavar="HEAD", help="A head on top of the cell, by name or file.")(function)


def composed(cell: str, head: str | None, loss: str | None) -> tuple[Any, Any]:
    """Return the cell of that name, under a head if there is one, and the loss; None for the usual one."""
    from derive import registry

    return registry.with_head(registry.cell(cell), head), registry.loss(loss) if loss else None


def json_option(keys: str) -> Callable[[Function], Function]:
    """Return the option --json of a command; `keys` says in its help what the JSON value holds."""
    return click.option("--json", "as_json", is_flag=True, help=f"Print JSON: {keys}.")
