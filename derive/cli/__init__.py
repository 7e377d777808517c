"""The command line: `derive COMMAND`, the same as `python -m derive COMMAND`.

app.py has the table of commands and what a run ends with; every other module is a family of commands, imported when one of
them is asked for.  options.py has the kinds of options that commands share, reference.py writes docs/commands.md.
"""

from derive.cli.app import main

__all__ = ["main"]
