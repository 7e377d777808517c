"""Running a Python file that a person wrote: what goes wrong in it is said with its line, and is no traceback of ours."""

from __future__ import annotations

import importlib.util
import sys
import traceback
from pathlib import Path
from types import ModuleType

from derive.errors import DeriveError


def run_file(path: Path, wanted: str) -> ModuleType:
    """The module that a file makes.  `wanted` says what it should define, as in "a cell".

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


def _line_of(error: BaseException, path: Path) -> int | None:
    """The line of the file that an error comes from, if it comes from there."""
    if isinstance(error, SyntaxError):
        return error.lineno
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if Path(frame.filename) == path.resolve()]
    return lines[-1] if lines else None
