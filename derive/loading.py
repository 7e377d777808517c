"""Importing a package that lies outside of `derive.generated`: one in the cache, or one that is being examined."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any


def load(folder: Path, package: str, extension: Path) -> ModuleType:
    """Import the generated package in `folder` as `package`, with `extension` for its `_kernels`.

    Its Python is compiled from the source that lies there, without a bytecode cache, which no stamp would know.  Raises
    ImportError where the extension module cannot be loaded; then nothing of it stays in sys.modules.
    """
    file = folder / "__init__.py"
    spec = importlib.util.spec_from_file_location(package, file, submodule_search_locations=[str(folder)])
    # The function that Python looks for in the extension is named like it up to the first point: PyInit__kernels_...
    found = importlib.util.spec_from_file_location(extension.name.lstrip(".").split(".")[0], extension)
    assert spec and found and found.loader
    native: Any = importlib.util.module_from_spec(found)
    found.loader.exec_module(native)
    module: Any = importlib.util.module_from_spec(spec)
    module._kernels = native
    sys.modules[package], sys.modules[f"{package}._kernels"] = module, native
    try:
        exec(compile(file.read_bytes(), str(file), "exec"), module.__dict__)
    except BaseException:
        del sys.modules[package], sys.modules[f"{package}._kernels"]
        raise
    return module
