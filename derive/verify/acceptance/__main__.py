"""`python -m derive.verify.acceptance REPORT`: build the cell of a report once more, and examine it once more."""

from __future__ import annotations

import pickle
import sys
from pathlib import Path

from derive.errors import DeriveError


def main(words: list[str]) -> int:
    """The exit status: 0 if the module passes now, 1 if it is rejected again, 2 if there is no such report."""
    from derive.building import build
    from derive.verify.acceptance import Rejected

    try:
        (folder,) = words
        cell, loss, sizes = pickle.loads((Path(folder) / "case.pickle").read_bytes())
    except (ValueError, OSError) as error:
        print(
            f"usage: python -m derive.verify.acceptance REPORT, a folder that a rejected module left ({error})",
            file=sys.stderr,
        )
        return 2
    try:
        module = build(cell, loss, sizes)
    except Rejected as rejected:
        print(rejected, *rejected.findings, sep="\n")
        return 1
    except DeriveError as error:
        print(error, file=sys.stderr)
        return 2
    print(f"{cell.name}: the module passes now ({module.__file__})")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
