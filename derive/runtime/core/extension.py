"""The compiled half of a generated module: found, and made from the C that lies beside it."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from .errors import NotCompiledError
from .spec import Spec

CALLS = ("sizes", "infer", "forward", "backward", "loss_and_grad")
# Members of the struct of arguments that the runtime sets, beside those that are named after the cell's own tensors.
CONTROLS = ("tape_every", "rows", "packed", "accumulate", "batch", "workspace_size", "part", "parts", "meeting", "isa")


def compiled(package: str) -> Any:
    """The extension module `_kernels` of a generated package. Raises NotCompiledError if there is none that can be loaded."""
    try:
        return import_module(f"{package}._kernels")
    except ImportError as error:
        name = package.rpartition(".")[2]
        if error.name == f"{package}._kernels" and isinstance(error, ModuleNotFoundError):
            found = "it has no compiled module `_kernels` for this Python"
        else:
            found = f"its compiled module `_kernels` cannot be loaded ({error})"
        raise NotCompiledError(f"{package}: {found}; run `derive build {name}`", name=package) from error


def check_compiled(spec: Spec, module: Any) -> None:
    """Raise NotCompiledError if a compiled module is not that of the specification, but one of an earlier generation.

    Nothing is read from files: what cffi knows of the module is compared with what the runtime uses of it.
    """
    lib, name = module.lib, spec.name
    functions = [f"{name}_{what}" for what in ("isa", "parts", "error")]
    functions += [f"{name}_{real}_{call}" for real in ("f32", "f64") for call in CALLS]
    missing = [function for function in functions if not hasattr(lib, function)]
    for real in () if missing else ("f32", "f64"):
        members = {member for member, _ in module.ffi.typeof(f"{name}_{real}_args").fields}
        own = ("T", "B", *spec.dims, *spec.arguments)
        missing += [f"{name}_{real}_args.{member}" for member in (*own, *CONTROLS) if member not in members]
    if missing:
        raise _stale(spec, module, f"lacks {missing[0]}" + (f" and {len(missing) - 1} more" if missing[1:] else ""))
    code = module.ffi.string(lib.derive_code()).decode() if hasattr(lib, "derive_code") else "none"
    if code != spec.code:
        raise _stale(spec, module, f"has the digest {code}, and the C beside the Python {spec.code}")


def _stale(spec: Spec, module: Any, found: str) -> NotCompiledError:
    path = getattr(module, "__file__", None)
    return NotCompiledError(
        f"{spec.name}: its compiled module {found}: it was made from other C than lies beside it now; "
        f"run `derive build {spec.name}` ({path})",
        name=module.__name__,
        path=path,
    )
