"""Running a Python file that a person wrote: what goes wrong in it is said with its line, and is no traceback of ours."""

from __future__ import annotations

import importlib.util
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType
from typing import Any

from derive.errors import DeriveError


def run_file(path: Path, wanted: str) -> ModuleType:
    """The module that a file makes.  `wanted` says what it should define, as in "a cell".

    While it runs it can import the files beside it, as if it were run by Python itself.  They are imported anew for each
    file: two folders may both have a `common.py`.

    Raises DeriveError for a path that is no Python file, and for a file that cannot run, with the line that failed.
    """
    if path.is_dir():
        raise DeriveError(f"{path} is a folder; expected a Python file that defines {wanted}")
    if not path.is_file():
        raise DeriveError(f"no file {path} in {Path.cwd()}; expected a Python file that defines {wanted}")
    spec = importlib.util.spec_from_file_location(f"derive._file.{path.stem}", path.resolve())
    if spec is None or spec.loader is None:
        raise DeriveError(f"{path} is no Python file; expected one that defines {wanted}, with a name that ends in .py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[module.__name__] = module  # while it runs: a cell looks there for the documentation of its file
    try:
        with _neighbours(path.resolve().parent):
            spec.loader.exec_module(module)
    except DeriveError:
        raise
    except (Exception, SystemExit) as error:
        line = _line_of(error, path)
        place = f"{path}, line {line}" if line else str(path)
        what = error.msg if isinstance(error, SyntaxError) else error
        raise DeriveError(f"{place}: {type(error).__name__}: {what}") from error
    finally:
        del sys.modules[module.__name__]
    return module


class _Beside:
    """A finder of imports that knows the Python files and packages of one folder, and goes before all others.

    It leaves names of Python's own modules alone, and `derive`: the engine may be in need of them at any moment.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        found = {path.stem for path in folder.glob("*.py")} | {path.parent.name for path in folder.glob("*/*.py")}
        self.names = found - sys.stdlib_module_names - {"derive"}

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        return PathFinder.find_spec(name, [str(self.folder)]) if path is None and name in self.names else None


@contextmanager
def _neighbours(folder: Path) -> Iterator[None]:
    """Let imports find the files of a folder first; afterwards everything is as it was, sys.modules included.

    A module of the same name that another folder's file made steps aside meanwhile; one that is installed does not.
    """
    beside = _Beside(folder)
    theirs = [(n, m) for n, m in list(sys.modules.items()) if n.split(".")[0] in beside.names]
    aside = {n: m for n, m in theirs if _stands_alone(m, folder)}
    before = {n for n, _ in theirs} - set(aside)
    for name in aside:
        del sys.modules[name]
    sys.meta_path.insert(0, beside)  # type: ignore[arg-type]
    try:
        yield
    finally:
        sys.meta_path.remove(beside)  # type: ignore[arg-type]
        for name in [n for n in sys.modules if n.split(".")[0] in beside.names and n not in before]:
            del sys.modules[name]
        sys.modules.update(aside)


def _stands_alone(module: object, folder: Path) -> bool:
    """Whether a module is a file of some other folder: not built in, not installed."""
    place = Path(getattr(module, "__file__", None) or folder / "none").resolve()
    return folder not in place.parents and not {"site-packages", "dist-packages"} & set(place.parts)


def _line_of(error: BaseException, path: Path) -> int | None:
    """The line of the file that an error comes from, if it comes from there."""
    if isinstance(error, SyntaxError):
        return error.lineno
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if Path(frame.filename) == path.resolve()]
    return lines[-1] if lines else None
