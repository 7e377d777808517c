"""The process of an examination, as seen from outside: started early, asked once; how it ends is the verdict."""

from __future__ import annotations

import json
import os
import pickle
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import IO, Any

from derive.errors import DeriveError
from derive.verify.acceptance import report
from derive.verify.acceptance.case import Case

LIMIT = 120.0  # seconds for a comparison that takes about one

# The libraries' own threads would only get in each other's way.  MALLOC_PERTURB_ has the GNU C library fill memory with
# huge numbers (0x7f...) before it is handed out, so that a module that reads what it never wrote is found out.
ENVIRONMENT = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "MALLOC_PERTURB_": "128"}
# The path comes first of all: what happens to lie in the folder where the process is started is none of its modules.
START = "import sys; sys.path[:] = sys.argv[1:]; from derive.verify.acceptance.child import main; main()"


class Examiner:
    """A process that compares a module with its equations; a context, at whose end the process is gone."""

    def __init__(self) -> None:
        try:
            self._errors: IO[bytes] = tempfile.TemporaryFile()
            self._process = subprocess.Popen(
                [_python(), *_flags(), "-X", "faulthandler", "-W", "ignore", "-c", START, *_path()],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._errors,
                env={**os.environ, **ENVIRONMENT},
            )
        except OSError as error:
            raise _cannot(f"{_python()!r} cannot be run: {error.strerror or error}") from error

    def __enter__(self) -> Examiner:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()
        self._errors.close()

    def examine(self, case: Case, extension: Path, limit: float = LIMIT) -> None:
        """Compare a module, with `extension` for its compiled half, with its equations; at most once for an examiner.

        Raises Rejected if it differs, crashes, raises or takes longer than `limit` seconds, and DeriveError if the
        comparison could not take place.
        """
        said = (case.cell, case.loss, dict(case.sizes), str(case.folder), str(extension))
        try:
            answers, _ = self._process.communicate(pickle.dumps(said), limit)
        except subprocess.TimeoutExpired:
            verdict = [f"the comparison did not end within {limit:g} seconds"]
        else:
            verdict = self._verdict(answers.decode(errors="replace"), case)
        if verdict:
            raise report.rejected(case, extension, verdict, self._words())

    def _verdict(self, answers: str, case: Case) -> list[str]:
        """What speaks against the module, a sentence each."""
        said: dict[str, Any] = {}
        for line in answers.splitlines():
            said |= json.loads(line)
        status = self._process.returncode
        if "ready" not in said:
            raise _cannot(f"{_python()!r} ended with status {status} before it could begin:\n{self._words()}")
        if "memory" in said:
            fixed = ", ".join(f"{name}={size}" for name, size in case.sizes.items())
            raise _cannot("there is not enough memory for it" + (f" at the fixed sizes {fixed}" if fixed else ""))
        if "surroundings" in said:
            raise DeriveError(said["surroundings"])
        if status < 0:
            return [f"the module crashed: {_signal(-status)}"]
        if "exception" in said:
            last = said["exception"].strip().splitlines()[-1]
            return [f"the comparison was broken off by an exception: {last}", said["exception"].rstrip()]
        if status or "findings" not in said:
            return [f"the module ended the process that examined it, with status {status}"]
        return list(said["findings"])

    def _words(self) -> str:
        """What the process wrote to its standard error."""
        self._errors.seek(0)
        return self._errors.read(100_000).decode(errors="replace").strip()


def _python() -> str:
    """The Python to start: the one that multiprocessing starts, which programs that embed Python may set."""
    from multiprocessing.spawn import get_executable

    found = get_executable()
    return os.fsdecode(found) if found else ""


def _flags() -> list[str]:
    """What this Python was told about its surroundings."""
    flags = {"-I": sys.flags.isolated, "-E": sys.flags.ignore_environment, "-s": sys.flags.no_user_site}
    return [flag for flag, given in flags.items() if given]


def _path() -> list[str]:
    """Where the process shall find modules: where this one does."""
    return [place or os.getcwd() for place in sys.path if isinstance(place, str)]


def _cannot(why: str) -> DeriveError:
    return DeriveError(
        f"a compiled module is compared with its equations in a process of its own, and that could not be done: {why}"
    )


def _signal(number: int) -> str:
    try:
        name = signal.Signals(number).name
    except ValueError:
        name = f"signal {number}"
    known = {"SIGSEGV": "it accessed memory that is not its own", "SIGKILL": "as systems do that run out of memory"}
    return f"{name}, {known[name]}" if name in known else name
