"""A page as PDF, by the TeX that is installed: pdflatex for English, xelatex with ctex for Chinese."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from derive.document.blocks import Page
from derive.document.write_tex import tex
from derive.errors import DeriveError

_ENGINES = {"en": "pdflatex", "zh": "xelatex"}
_PACKAGES = {
    "en": "texlive-latex-recommended texlive-latex-extra texlive-pictures",
    "zh": "texlive-xetex texlive-lang-chinese texlive-fonts-recommended texlive-latex-extra texlive-pictures",
}


def pdf(page: Page) -> bytes:
    """The PDF file.  Raises DeriveError where TeX or one of its packages is missing, naming what to install."""
    engine, packages = _ENGINES[page.lang], _PACKAGES[page.lang]
    if shutil.which(engine) is None:
        raise DeriveError(
            f"{engine} is not installed; on Debian: apt-get install {packages}. Without TeX there are --format html and md"
        )
    # Same page, same bytes: without this TeX writes the time into the file.
    fixed = {"SOURCE_DATE_EPOCH": "0", "FORCE_SOURCE_DATE": "1", **os.environ}
    with tempfile.TemporaryDirectory(prefix="derive-") as folder:
        work = Path(folder)
        (work / "derivation.tex").write_text(tex(page), encoding="utf-8")
        # Three runs: labels, then the widths of tables and the contents, then page numbers that moved by them.
        for _ in range(3):
            command = [engine, "-interaction=nonstopmode", "-halt-on-error", "derivation.tex"]
            done = subprocess.run(command, cwd=work, env=fixed, capture_output=True, check=False)
            if done.returncode:
                raise DeriveError(_reason(done.stdout.decode(errors="replace"), engine, packages))
        return (work / "derivation.pdf").read_bytes()


def _reason(log: str, engine: str, packages: str) -> str:
    """What TeX said, in its first error; a missing file means a missing package."""
    at = log.find("\n!")
    said = log[at + 1 : at + 400].strip() if at >= 0 else log[-400:]
    return f"{engine} failed; it needs the Debian packages {packages}. It said:\n{said}"
