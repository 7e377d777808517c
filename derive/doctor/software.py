"""Versions of Python, of the package and of what it needs."""

from __future__ import annotations

import importlib
import importlib.util
import platform
import re
import sys
from collections.abc import Iterator
from importlib import metadata

import derive
from derive.doctor.finding import BROKEN, NOTE, OK, Finding

PART = "versions"
PACKAGE = "lstm-derive"
OLDEST = (3, 10)  # of Python; pyproject.toml says so too, and a test compares
NEEDED = ("sympy", "numpy", "jinja2", "cffi", "click", "rich")
OPTIONAL = {"matplotlib": "`derive demo` and `derive flow -o` draw pictures with it: pip install 'lstm-derive[demo]'"}


def versions() -> Iterator[Finding]:
    """Python, the package, every library that it needs, and those that it can do without."""
    found = platform.python_version()
    if sys.version_info[:2] >= OLDEST:
        yield Finding(PART, "python", OK, f"{found} ({sys.executable})", value=found)
    else:
        wanted = ".".join(map(str, OLDEST))
        yield Finding(PART, "python", BROKEN, f"{found}; {wanted} or newer is needed", "install a newer Python", found)
    yield _package()
    least = _least()
    for name in NEEDED:
        yield _library(name, least.get(name, ""))
    for name, use in OPTIONAL.items():
        if importlib.util.find_spec(name) is None:
            yield Finding(PART, name, NOTE, "not installed, not needed", use)
        else:
            yield Finding(PART, name, OK, _version(name), value=_version(name))


def _package() -> Finding:
    installed = _version(PACKAGE)
    if installed == derive.__version__:
        return Finding(PART, PACKAGE, OK, installed, value=installed)
    found = f"{derive.__version__} runs, {installed or 'none'} is installed"
    return Finding(
        PART, PACKAGE, NOTE, found, "install the one that runs: pip install -e . in its folder", derive.__version__
    )


def _library(name: str, least: str) -> Finding:
    """A library that is needed: whether it can be imported, and is new enough."""
    install = f"pip install '{name}>={least}'" if least else f"pip install {name}"
    try:
        importlib.import_module(name)
    except Exception as error:  # a library that is damaged may raise anything
        return Finding(PART, name, BROKEN, f"cannot be imported: {type(error).__name__}: {error}", install)
    version = _version(name)
    if _numbers(version) < _numbers(least):
        return Finding(PART, name, BROKEN, f"{version}; {least} or newer is needed", install, version)
    return Finding(PART, name, OK, version, value=version)


def _least() -> dict[str, str]:
    """The oldest version of each library that the package asks for, as its installation has it."""
    try:
        wanted = metadata.requires(PACKAGE) or []
    except metadata.PackageNotFoundError:
        wanted = []
    found = (re.match(r"([\w.-]+)\s*>=\s*([\d.]+)", line) for line in wanted if "extra ==" not in line)
    return {match[1].lower(): match[2] for match in found if match}


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""


def _numbers(version: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", version)[:3]]
