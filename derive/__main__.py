"""`python -m derive` is the command `derive`."""

from __future__ import annotations

import sys

INTERRUPTED = 130  # as of a process that the signal ended


def main() -> None:
    """Run the command line; an interrupt counts from the first import on."""
    try:
        from derive.cli import main as command

        command()
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)


if __name__ == "__main__":
    main()
