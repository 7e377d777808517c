"""The report on a module that failed its examination: all that is needed to see the failure again."""

from __future__ import annotations

import json
import pickle
import platform
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import sympy as sp

import derive
from derive.errors import DeriveError
from derive.toolchain import cache, compiler
from derive.toolchain.cache import files
from derive.verify.acceptance.case import Case, tag

SHOWN = 5  # findings in the message; all of them are in the report


class Rejected(DeriveError):
    """A compiled module does not compute what its equations say: a fault of the engine, not of the cell.

    `findings` are sentences, `report` is the folder with the report, None if it could not be written.
    """

    def __init__(self, message: str, findings: Sequence[str], report: Path | None) -> None:
        super().__init__(message)
        self.findings, self.report = list(findings), report

    def __reduce__(self) -> tuple[type[Rejected], tuple[str, list[str], Path | None]]:
        return type(self), (str(self), self.findings, self.report)


def rejected(case: Case, extension: Path, findings: Sequence[str], words: str) -> Rejected:
    """The exception for a module that failed, after its report is written."""
    try:
        report: Path | None = _written(case, extension, findings, words)
        where = f"The report lies in {report}; `python -m derive.verify.acceptance {report}` shows the failure again."
    except (OSError, DeriveError) as error:
        report, where = None, f"The report could not be written: {error}."
    shown = [line for finding in findings[:SHOWN] for line in finding.splitlines()[:1]]
    more = [f"and {len(findings) - SHOWN} more"] if len(findings) > SHOWN else []
    message = (
        f"{case.cell.name}: the compiled module does not compute what the equations say. This is a fault of the engine, "
        f"not of the cell; the module is not handed out.\n"
        + "\n".join(f"  {line}" for line in [*shown, *more])
        + f"\n{where}"
    )
    return Rejected(message, findings, report)


def _written(case: Case, extension: Path, findings: Sequence[str], words: str) -> Path:
    """Write the report into the cache; returns its folder, which is the same for the same failure of the same C."""
    root = cache.trusted(cache.cache_folder())
    reports = root / "reports"
    reports.mkdir(0o700, exist_ok=True)
    manifest = json.loads((case.folder / "manifest.json").read_text(encoding="utf-8"))
    name = f"{case.cell.name[:40]}_{manifest['code']}"
    work = Path(tempfile.mkdtemp(prefix=f".{name}.", dir=reports))
    try:
        for path in sorted(case.folder.iterdir()):
            if path.suffix in (".c", ".h", ".json", ".py") and path.is_file():
                files.write(work / path.name, path.read_bytes())
        program = case.cell.program()
        files.write(work / "case.pickle", pickle.dumps((case.cell, case.loss, dict(case.sizes))))
        files.write(work / "findings.txt", ("\n".join(findings) + "\n").encode())
        files.write(work / "equations.txt", (program.dump() + "\n").encode())
        files.write(work / "output.txt", (words + "\n").encode())
        place = reports / name
        files.write(work / "README.txt", _summary(case, manifest["code"], extension, place).encode())
        files.publish(work, place)
    finally:
        files.remove(work)
    return place


def _summary(case: Case, code: str, extension: Path, place: Path) -> str:
    flags, version = " ".join((*compiler.FLAGS, *compiler.HIDDEN)), compiler.version()
    loss = case.loss.name if case.loss else "squared_error"
    size, digest = compiler.sum_of(extension)
    return f"""A compiled module that does not compute what its equations say.

cell            {case.cell.name}, equations {case.cell.program().digest}, loss {loss}
fixed sizes     {", ".join(f"{n}={s}" for n, s in case.sizes.items()) or "none"}
generated C     {code}
module          {size} bytes, SHA-256 {digest}
examined        {tag()}
derive          {derive.__version__}; Python {platform.python_version()}, SymPy {sp.__version__}, NumPy {np.__version__}
compiler        {version}
flags           {flags}
processor       {platform.machine()}; {compiler.cpu_features()}
system          {platform.platform()}

findings.txt    what differs, a line each
equations.txt   the program
output.txt      what the process wrote; where it crashed
case.pickle     cell, loss and sizes for Python
*.c *.h         the generated C

Again: {sys.executable} -m derive.verify.acceptance {place}
"""
