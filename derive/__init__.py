"""Write a recurrent cell once, as equations; get its derivation, its gradients and fast C.

    from derive.generated import lstm       the compiled cells; imports neither SymPy nor a compiler
    derive.load("lstm")                     the same
    derive.build(my_cell)                   a cell of your own, compiled into a cache

Everything here is imported when it is first used: `import derive` costs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from types import ModuleType

    from derive.compiler import build as build
    from derive.errors import DeriveError as DeriveError

__version__ = "0.1.0"
__all__ = ["DeriveError", "build", "load"]


def load(name: str) -> ModuleType:
    """The compiled module of a generated cell, as `from derive.generated import <name>` gives it.

    Raises DeriveError if there is no such cell, or if it was never compiled.
    """
    import importlib
    import importlib.util

    from derive.errors import DeriveError

    if not name.isidentifier() or importlib.util.find_spec(f"derive.generated.{name}") is None:
        raise DeriveError(f"no generated cell named {name!r}; `derive list` shows what there is, `derive build {name}` makes it")
    try:
        return importlib.import_module(f"derive.generated.{name}")
    except ImportError as error:
        raise DeriveError(f"the cell {name!r} is generated but not compiled: run `derive build {name}` ({error})") from error


def __getattr__(name: str) -> Any:
    if name == "build":
        from derive.compiler import build

        return build
    if name == "DeriveError":
        from derive.errors import DeriveError

        return DeriveError
    raise AttributeError(f"module 'derive' has no attribute {name!r}")
