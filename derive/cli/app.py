"""The table of commands, and how a run ends.

A command is imported when it is asked for, and imports the engine when it runs, so that `derive --help` answers at once.
To add one: write it in a module of this folder, give it a line in COMMANDS, and run `python -m derive.cli.reference`.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import click
from rich.panel import Panel
from rich.text import Text

from derive.cli.options import Group
from derive.errors import DeriveError
from derive.terminal import MISUSE, Terminal, Unwritten, run

# Command -> the module of derive/cli/ and the name in it, in the order of `derive --help`.
COMMANDS = {
    "list": "cells.list_",
    "new": "cells.new",
    "build": "build.build",
    "latex": "document.latex",
    "check": "checks.check",
    "audit": "checks.audit",
    "cost": "figures.cost",
    "flow": "figures.flow",
    "dump": "dump.dump",
    "export": "export.export",
    "doctor": "doctor.doctor",
    "cache": "cache.cache",
    "demo": "demo.demo",
}


class Commands(Group):
    """A group of commands that imports each when it is asked for, and shows what cannot be done as one panel."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all commands in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return the command of that name, imported now; None if there is none."""
        if cmd_name not in COMMANDS:
            return None
        module, name = COMMANDS[cmd_name].split(".")
        found: click.Command = getattr(importlib.import_module(f"derive.cli.{module}"), name)
        return found

    def main(self, *args: Any, standalone_mode: bool = True, **options: Any) -> Any:  # type: ignore[override]
        """Run a command; ends the process with its status, however it ends."""
        command: Callable[..., Any] = partial(super().main, *args, standalone_mode=False, **options)
        if not standalone_mode:
            return command()
        sys.exit(run(command))

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; what cannot be done becomes a panel on standard error."""
        try:
            return super().invoke(ctx)
        except (DeriveError, MemoryError) as error:
            words = str(error)
        except OSError as error:
            if not error.filename:  # no file of the user, but what we write to
                raise Unwritten(error) from error
            words = f"cannot use {error.filename}: {error.strerror}"
        panel = Panel(Text(words), title="derive cannot do this", title_align="left", border_style="red")
        Terminal(stderr=True).print(panel)
        ctx.exit(MISUSE)


EXIT_CODES = """\b
Exit codes:
  0    done
  1    a check failed, a file is out of date, or something is broken
  2    the request cannot be carried out; the message says why
  130  ended by Ctrl-C
  141  the reader of the output has gone
"""


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]}, epilog=EXIT_CODES)
@click.version_option(package_name="lstm-derive", prog_name="derive")
def main() -> None:
    """Recurrent cells from their equations: derivation, gradients, fast C.

    CELL is a name from `derive list` or a Python file with a cell of your own (`derive new` writes one).

    Sizes are spelled the same in every command: -T 100 -B 32 -I 64 -H 128, or --size T=100,B=32,I=64,H=128. T are the steps
    of time, B the sequences side by side, I the inputs, H the hidden units.

    --json prints one JSON value and nothing else on standard output. Numbers that JSON lacks are the strings "NaN",
    "Infinity" and "-Infinity".
    """
