"""Derivations in a Python file of somebody's own."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

from derive.audit.written import Derivation
from derive.errors import DeriveError


def in_file(path: Path) -> list[Derivation]:
    """The derivations that a Python file defines, in order.  DeriveError for a file without one, or that cannot run."""
    if not path.is_file():
        raise DeriveError(f"no file {path}")
    spec = importlib.util.spec_from_file_location(f"derive._audited.{path.stem}", path)
    if spec is None or spec.loader is None:
        raise DeriveError(f"{path} is no Python file; derivations are written in one, as in examples/audit/")
    module = importlib.util.module_from_spec(spec)
    sys.modules[module.__name__] = module
    try:
        spec.loader.exec_module(module)
    except DeriveError:
        raise
    except Exception as error:
        line = getattr(error, "lineno", None) if isinstance(error, SyntaxError) else _line_of(error, path)
        place = f"{path}, line {line}" if line else str(path)
        raise DeriveError(f"{place}: {type(error).__name__}: {error}") from error
    finally:
        del sys.modules[module.__name__]
    found = [x for x in vars(module).values() if isinstance(x, Derivation)]
    if not found:
        raise DeriveError(
            f'{path} defines no derivation; put @derivation("lstm") above a function whose body is the equations'
        )
    return found


def _line_of(error: BaseException, path: Path) -> int | None:
    line, trace = None, error.__traceback__
    while trace is not None:
        if Path(trace.tb_frame.f_code.co_filename) == path:
            line = trace.tb_lineno
        trace = trace.tb_next
    return line
