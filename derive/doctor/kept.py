"""What is kept: the compiled cells of generated/, and the cache of cells of one's own."""

from __future__ import annotations

import importlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

import derive
from derive.doctor.finding import BROKEN, NOTE, OK, Finding
from derive.errors import DeriveError

MODULE = "_kernels"


def cells() -> Iterator[Finding]:
    """Each cell of derive/cells/ and each folder of generated/: compiled, outdated, stale or missing."""
    names = {path.stem for path in (Path(derive.__file__).parent / "cells").glob("*.py")} - {"__init__"}
    folders: dict[str, Path] = {}
    for root in _generated():
        folders |= {path.parent.name: path.parent for path in sorted(root.glob("*/manifest.json"))}
    for name in sorted(names | set(folders)):
        state, words, value = _cell(name, folders.get(name))
        advice = "" if value == "compiled" else "see DERIVE_ISA" if value == "unknown" else f"run `derive build {name}`"
        yield Finding("cells", name, state, words, advice, value)


def _generated() -> list[Path]:
    try:
        found = importlib.import_module("derive.generated")
    except ImportError:
        return []
    return [Path(place) for place in found.__path__]


def _cell(name: str, folder: Path | None) -> tuple[str, str, str]:
    """State, words and value of a cell: whether its module is there, loads, and is that of the C that lies beside it."""
    from derive.toolchain import compiler

    if folder is None:
        return BROKEN, "missing: there is no C of it in generated/", "missing"
    if not compiler.extension(folder, MODULE).is_file():
        return BROKEN, "missing: its C is there and is not compiled for this Python", "missing"
    try:
        importlib.import_module(f"derive.generated.{name}")
    except ImportError as error:
        return BROKEN, f"stale: {error}", "stale"
    except ValueError as error:  # it chooses an instruction set when it is loaded
        return NOTE, f"not looked at: {error}", "unknown"
    try:
        current = compiler.is_current(folder, MODULE, compiler.made_from(folder))
    except (OSError, ValueError, DeriveError):
        current = False
    if current or not (folder / f"{MODULE}.stamp").is_file():  # a wheel has no stamps: its modules are those of its C
        return OK, "compiled", "compiled"
    return (
        NOTE,
        "outdated: it works, and was compiled by another compiler, with other flags or for another processor",
        "outdated",
    )


def cache() -> Iterator[Finding]:
    """Where the cache is, whether it can be used, and what it holds; it is not made."""
    from derive.toolchain import cache as folders
    from derive.toolchain.cache.contents import contents

    elsewhere = "let DERIVE_CACHE name another folder"
    try:
        folder = folders.cache_folder()
    except DeriveError as error:
        yield Finding("cache", "folder", BROKEN, str(error), elsewhere)
        return
    try:
        root = folders.existing(folder)
    except (DeriveError, OSError) as error:
        yield Finding("cache", "folder", BROKEN, str(error), f"{elsewhere}, or see the message", str(folder))
        return
    yield Finding("cache", "folder", OK, f"{folder}{'' if root else ', not made yet'}", value=str(folder))
    nearest = root or next(place for place in folder.parents if place.exists())
    try:
        with tempfile.TemporaryFile(dir=nearest):
            yield Finding("cache", "writable", OK, "yes", value=True)
    except OSError as error:
        advice = f"make {nearest} writable, or {elsewhere}; without one, derive.build cannot compile cells of your own"
        found = f"no: {nearest} cannot be written to ({error.strerror})"
        yield Finding("cache", "writable", BROKEN, found, advice, False)
    if root is None:
        return
    yield Finding("cache", "trusted", OK, "yes: only you can write to it", value=True)
    entries = contents(root)
    total = sum(one.size for one in entries)
    yield Finding("cache", "entries", OK, str(len(entries)), value=len(entries))
    yield Finding("cache", "size", OK, f"{total} bytes", value=total)
    odd = [one.name for one in entries if one.state]
    if odd:
        advice = "`derive cache ls` says what is odd about them; `derive cache clear` removes what is yours"
        yield Finding("cache", "odd entries", NOTE, ", ".join(odd), advice, odd)
