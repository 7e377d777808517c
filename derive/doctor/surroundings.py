"""The environment variables that matter, and what the terminal can show."""

from __future__ import annotations

import locale
import os
import shutil
import sys
from collections.abc import Iterator

from derive.doctor.finding import NOTE, OK, Finding

# Variable -> what it does. A test looks for those that the code reads.
VARIABLES = {
    "DERIVE_ISA": "the instruction set that cells use",
    "DERIVE_CACHE": "the folder of the cache",
    "XDG_CACHE_HOME": "the folder in which the cache is, if it is absolute",
    "HOME": "the folder in which .cache is",
    "CC": "the compiler",
    "CFLAGS": "flags when the package is installed; `derive build` does not read them",
    "CPPFLAGS": "flags when the package is installed; `derive build` does not read them",
    "LDFLAGS": "flags when the package is installed; `derive build` does not read them",
    "TMPDIR": "the folder in which is compiled",
    "COLUMNS": "the width of tables",
    "LINES": "the height of the terminal",
    "NO_COLOR": "no colours",
    "PYTHONIOENCODING": "the encoding of what is printed",
}
ONLY_AT_INSTALLATION = ("CFLAGS", "CPPFLAGS", "LDFLAGS")


def environment() -> Iterator[Finding]:
    """The variables that are set; of the others nothing is said."""
    for name, use in VARIABLES.items():
        value = os.environ.get(name)
        if value is None:
            continue
        if name in ONLY_AT_INSTALLATION:
            advice = f"cells of your own are compiled without; unset {name}, or pass flags as in CC='gcc -g'"
            yield Finding("environment", name, NOTE, f"{value}  ({use})", advice, value)
        elif name == "XDG_CACHE_HOME" and not os.path.isabs(value):
            yield Finding("environment", name, NOTE, f"{value}  (not absolute: ignored)", "give the full path", value)
        else:
            yield Finding("environment", name, OK, f"{value}  ({use})", value=value)


def terminal() -> Iterator[Finding]:
    """Encoding and width of the standard output."""
    encoding = getattr(sys.stdout, "encoding", None) or locale.getpreferredencoding(False)
    try:
        "σ∂Σ─".encode(encoding)
        yield Finding("terminal", "encoding", OK, encoding, value=encoding)
    except (UnicodeEncodeError, LookupError):
        found = f"{encoding}: symbols that it has not are written in ASCII"
        yield Finding("terminal", "encoding", NOTE, found, "set PYTHONIOENCODING=utf-8 if the terminal can", encoding)
    if sys.stdout.isatty():
        width = shutil.get_terminal_size().columns
        yield Finding("terminal", "width", OK, f"{width} columns", value=width)
    else:
        yield Finding("terminal", "width", OK, "no terminal: the output goes to a file or a pipe")
