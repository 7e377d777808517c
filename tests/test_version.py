"""The version stands in derive/__init__.py alone; everything that shows one reads it there."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

import derive

ROOT = Path(__file__).resolve().parent.parent


def test_the_package_is_built_with_the_version_of_its_face():
    """As pip does: setuptools reads pyproject.toml and finds the line, without importing the package or what it needs."""
    pytest.importorskip("setuptools", "77")
    ask = "import sys, runpy; sys.argv = ['setup.py', '--version']; runpy.run_path('setup.py', run_name='__main__')"
    closed = "import sys; sys.modules.update(numpy=None, sympy=None, derive=None); "
    done = subprocess.run([sys.executable, "-c", closed + ask], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[-1] == derive.__version__


def test_no_other_file_has_a_version_of_its_own():
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert not re.search(r'^version = "', text, re.MULTILINE)
    assert re.search(r'^dynamic = \["version"\]', text, re.MULTILINE)


def test_the_changelog_begins_with_what_is_unreleased_and_then_this_version():
    headings = re.findall(r"^## \[(.+?)\]", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert headings[:2] == ["Unreleased", derive.__version__]


def test_importing_the_face_imports_nothing_else():
    """The version can be asked for where neither NumPy nor SymPy is installed."""
    ask = "import sys; before = set(sys.modules); import derive; print(*sorted(m for m in set(sys.modules) - before))"
    done = subprocess.run([sys.executable, "-c", ask], cwd=ROOT, capture_output=True, text=True, check=True)
    brought = {name.split(".")[0] for name in done.stdout.split()}
    assert brought - set(sys.stdlib_module_names) == {"derive"}
