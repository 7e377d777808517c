"""How sizes are spelled in every command: -T 100 -B 32, or --size T=100,B=32."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import click

from derive.cli.options import Function
from derive.errors import DeriveError

# What the sizes are that have a letter of their own; any other has --size NAME=VALUE.
LETTERS = {"T": "Steps of time", "B": "Sequences side by side", "I": "Inputs", "H": "Hidden units"}
EXAMPLE = {"T": 100, "B": 32, "I": 64, "H": 128}
DIGITS = 18  # of a size at most


class Lengths(click.ParamType):
    """Whole numbers from 1 on between commas, such as 2,3,5, as a sorted list."""

    name = "N,N,.."

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> list[int]:
        """Return the numbers; usage error for what is none."""
        if not isinstance(value, str):
            return list(value)
        words = value.split(",")
        if not all(map(_is_size, words)):
            self.fail(f"{value!r}: lengths are numbers from 1 on with commas between, such as 2,3,5", param, ctx)
        return sorted({int(word) for word in words})


class Sizes(click.ParamType):
    """NAME=VALUE, or several with commas between, as pairs; which names a cell has is checked with the cell.

    A name in `several` may have several values, as in T=2,3,5; its value is a sorted list.
    """

    name = "NAME=VALUE"

    def __init__(self, several: str = "") -> None:
        self.several = several

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> list[tuple[str, Any]]:
        """Return names and sizes; usage error for what is no such pair."""
        if not isinstance(value, str):
            return list(value)
        found: list[tuple[str, Any]] = []
        for word in value.split(","):
            name, equals, number = word.partition("=")
            if not equals and found and found[-1][0] in self.several:
                name, number = found[-1][0], word
            if not name or not _is_size(number):
                self.fail(
                    f"{word!r} is not NAME=VALUE with a whole number from 1 on, such as O=3, or T=100,B=32", param, ctx
                )
            if name not in self.several:
                found.append((name, int(number)))
            elif equals:
                found.append((name, [int(number)]))
            else:
                found[-1] = (name, sorted({*found[-1][1], int(number)}))
        return found


def _is_size(word: str) -> bool:
    return word.isascii() and word.isdecimal() and len(word) <= DIGITS and int(word) >= 1


def sizes_options(
    letters: str, several: str = "", others: bool = False, **defaults: Any
) -> Callable[[Function], Function]:
    """Return the options of sizes, spelled as everywhere: -T N for each letter, and --size NAME=VALUE for any.

    The command gets `sizes`: name -> number, or name -> sorted list for the letters in `several`.  `defaults` are used for
    what is not given; `others` says whether there may be sizes without a letter.  The command raises DeriveError for a
    size that is given twice and not alike, and for one that it has not.
    """

    def decorated(command: Function) -> Function:
        @wraps(command)
        def gathered(*, size: tuple[list[tuple[str, Any]], ...], **values: Any) -> Any:
            given = [(name, values.pop(f"size_{name}")) for name in letters]
            sizes: dict[str, Any] = {}
            for name, value in [
                *(pair for pair in given if pair[1] is not None),
                *(p for pairs in size for p in pairs),
            ]:
                if name not in letters and not others:
                    raise DeriveError(f"the sizes are {', '.join(letters)} here; found {name}={_spelled(value)}")
                if sizes.setdefault(name, value) != value:
                    raise DeriveError(
                        f"the size {name} is given twice, as {_spelled(sizes[name])} and as {_spelled(value)}"
                    )
            return command(sizes={**defaults, **sizes}, **values)

        found: Function = gathered
        example = ",".join(
            f"{n}={_spelled(defaults[n]) if n in several else v}" for n, v in EXAMPLE.items() if n in letters
        )
        more = f"Sizes by name, as in --size {example}; {'any size, ' if others else ''}repeatable."
        found = click.option("--size", multiple=True, type=Sizes(several), help=more)(found)
        for name in reversed(letters):
            default = f"  [default: {_spelled(defaults[name])}]" if name in defaults else ""
            kind = Lengths() if name in several else click.IntRange(1)
            said = f"{LETTERS[name]}{', one or several' if name in several else ''}.{default}"
            found = click.option(f"-{name}", f"size_{name}", type=kind, metavar=_metavar(name in several), help=said)(
                found
            )
        return found

    return decorated


def _metavar(several: bool) -> str:
    return "N,N,.." if several else "N"


def _spelled(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)
