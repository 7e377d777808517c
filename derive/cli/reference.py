"""docs/commands.md: every command with its arguments and options, written from the definitions of the commands.

`python -m derive.cli.reference` writes the page; a test compares it.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from pathlib import Path

import click

from derive.cli.app import main

HEAD = """\
# Commands

`python -m derive` is the same as `derive`. This page is written by `python -m derive.cli.reference` from the definitions of the
commands; `derive COMMAND --help`, or `-h`, says the same.
"""


def walk(command: click.Command = main, names: tuple[str, ...] = ("derive",)) -> Iterator[tuple[str, click.Command]]:
    """Every command with its whole name, groups before what is in them."""
    yield " ".join(names), command
    if isinstance(command, click.Group):
        context = click.Context(command, info_name=names[-1])
        for name in command.list_commands(context):
            found = command.get_command(context, name)
            if found is not None:
                yield from walk(found, (*names, name))


def reference() -> str:
    """The page, in Markdown."""
    return "\n".join([HEAD, *("\n".join(_section(name, command)) for name, command in walk())])


def _section(name: str, command: click.Command) -> Iterator[str]:
    context = click.Context(command, info_name=name)
    if name != "derive":
        yield f"## {name}\n"
        usage = " ".join(command.collect_usage_pieces(context))
        yield f"```\n{name} {usage}\n```\n"
    yield from _paragraphs(inspect.cleandoc(command.help or ""))
    yield from _paragraphs((command.epilog or "").rstrip())
    rows = [record for parameter in command.get_params(context) if (record := parameter.get_help_record(context))]
    options = [(names, words) for names, words in rows if names.startswith("-") and "--help" not in names]
    if options:
        yield "| option | |\n| --- | --- |"
        for names, words in options:
            yield f"| `{_cell(names)}` | {_cell(words)} |"
        yield ""


def _paragraphs(text: str) -> Iterator[str]:
    """The help as Markdown: what click leaves as it is stands in a block of code."""
    for paragraph in filter(None, text.split("\n\n")):
        if paragraph.startswith("\b"):
            yield f"```\n{paragraph[1:].strip(chr(10))}\n```\n"
        else:
            yield f"{paragraph}\n"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


if __name__ == "__main__":
    page = Path(__file__).resolve().parents[2] / "docs" / "commands.md"
    page.write_text(reference(), encoding="utf-8")
