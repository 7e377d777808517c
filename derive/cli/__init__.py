"""The command line: `derive COMMAND`, the same as `python -m derive COMMAND`."""

from derive.cli.commands import main

__all__ = ["main"]
