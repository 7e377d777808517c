"""What runs in the process of an examination: imports first, then it waits for a case, then it compares.

Standard input brings the case as a pickle, standard output carries the answer as lines of JSON; whatever the module
and the libraries print goes to standard error.
"""

from __future__ import annotations

import json
import os
import pickle
import sys
import traceback
from pathlib import Path
from typing import Any

from derive import verify
from derive.toolchain.loading import load


def main() -> None:
    """Answer one case.  A crash of the module is the end of this process, and seen by the one that started it."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    _no_core_file()
    _say(answers, "ready", True)
    given = sys.stdin.buffer.read()
    if not given:  # the compiler failed, or the process that asked is gone
        return
    try:
        cell, loss, sizes, folder, extension = pickle.loads(given)
        try:
            module = load(Path(folder), "derive._examined", Path(extension))
        except ValueError as error:  # DERIVE_ISA names none that this processor has
            _say(answers, "surroundings", str(error))
            return
        found = [str(finding) for finding in verify.validate(module, cell, loss, sizes)]
    except MemoryError:
        _say(answers, "memory", True)
    except BaseException:
        _say(answers, "exception", traceback.format_exc())
    else:
        _say(answers, "findings", found)


def _say(answers: Any, kind: str, what: Any) -> None:
    answers.write(json.dumps({kind: what}) + "\n")
    answers.flush()


def _no_core_file() -> None:
    """A crash that is expected and reported needs no core file in the folder of the process that asked."""
    try:
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    except (ImportError, OSError, ValueError):
        pass
