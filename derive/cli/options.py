"""Kinds of options that commands share: what a value must be is checked, and said, before any work begins."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Any

import click


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


class Sizes(click.ParamType):
    """NAME=VALUE as a pair; which names a cell has is checked with the cell."""

    name = "NAME=VALUE"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, int]:
        """Return name and size; usage error for what is no such pair."""
        if not isinstance(value, str):
            return value
        name, _, number = value.partition("=")
        if not name or not number.isdecimal():
            self.fail(f"{value!r} is not NAME=VALUE with a whole number, such as O=3", param, ctx)
        return name, int(number)


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


def write_file(path: Path, data: bytes) -> None:
    """Write a file that the user named. Raises OSError that says which: the system does not, for a disk that is full."""
    try:
        path.write_bytes(data)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error
