"""Importing a package that lies outside of `derive.generated`: one in the cache, or one that is being examined.

Nothing here needs SymPy: another process that is sent a module of `derive.build` only loads it.
"""

from __future__ import annotations

import importlib.util
import os
import sys
import threading
from importlib.machinery import ExtensionFileLoader
from pathlib import Path
from types import ModuleType
from typing import Any

from derive.errors import NotCompiledError
from derive.toolchain.cache import entry

_lock = threading.Lock()
_loaded: dict[str, ModuleType] = {}  # by the name of the entry; whole modules only


def loaded(name: str) -> ModuleType | None:
    """The module of an entry of the cache, if this process has it."""
    with _lock:
        return _loaded.get(name)


def cached(folder: str, key: str) -> ModuleType:
    """The module of an entry of the cache, the same one for all who ask; no thread sees it before it is whole.

    Pickles of such a module, and of what belongs to it, call this in another process.  Raises NotCompiledError where the entry
    is not there any more, or cannot be loaded; DeriveError for one that another user could have put there.
    """
    place = Path(folder)
    with _lock:
        module: Any = _loaded.get(place.name)
        if module is None:
            stamp = entry.read(place, key)
            if stamp is None:
                raise NotCompiledError(f"{place.name}: it is not in the cache any more ({place}); build the cell again")
            module = load(place, f"derive._built.{place.name}", place / stamp.module)
            entry.note_use(place)
            module.__reference__ = (cached, (str(place), key))
            _loaded[place.name] = module
    return module


def load(folder: Path, package: str, extension: Path) -> ModuleType:
    """Import the generated package in `folder` as `package`, with `extension` for its `_kernels`.

    Its Python is compiled from the source that lies there, without a bytecode cache, which no stamp would know.  Raises
    ImportError where the extension module cannot be loaded; then nothing of it stays in sys.modules.
    """
    file = folder / "__init__.py"
    spec = importlib.util.spec_from_file_location(package, file, submodule_search_locations=[str(folder)])
    assert spec
    native = _extension(extension)
    module: Any = importlib.util.module_from_spec(spec)
    module._kernels = native
    sys.modules[package], sys.modules[f"{package}._kernels"] = module, native
    try:
        exec(compile(file.read_bytes(), str(file), "exec"), module.__dict__)
    except BaseException:
        del sys.modules[package], sys.modules[f"{package}._kernels"]
        raise
    return module


def _extension(file: Path) -> Any:
    """The extension module in a file, which may have an ending of any kind while it is no more than a candidate."""
    # The function that Python looks for in it is named like the file up to the first point: PyInit__kernels_...
    name = file.name.lstrip(".").split(".")[0]
    loader = ExtensionFileLoader(name, str(file))
    spec = importlib.util.spec_from_loader(name, loader, origin=str(file))
    assert spec
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module


def _in_forked_child() -> None:
    """The lock was that of the parent's threads."""
    global _lock
    _lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_forked_child)
