"""Functions whose arguments are named by the cell: those of sizes, and those that take further inputs by keyword."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from inspect import Parameter, Signature, signature
from types import FunctionType
from typing import Any

from ..core.errors import ArgumentTypeError
from ..core.spec import Spec
from .inputs import check_size


def named_function(
    spec: Spec, name: str, options: Sequence[Parameter], result: Any, body: Callable[..., Any], doc: str
) -> Callable[..., Any]:
    """A function of the sizes of a cell and of `options`, to be bound to it, with a signature and a help of its own.

    body(dims, **options) computes it: dims are the sizes by dimension, checked to be integers of at least 1.
    The function raises TypeError for arguments that do not fit the signature, and what `check_size` and `body` raise.
    """
    where = f"{spec.name}.{name}"
    sizes = [Parameter(keyword, Parameter.POSITIONAL_OR_KEYWORD, annotation=int) for keyword in spec.dims.values()]
    signature = Signature([*sizes, *options], return_annotation=result)
    owner = Parameter("self", Parameter.POSITIONAL_ONLY)

    def function(self: object, /, *args: Any, **kwargs: Any) -> Any:
        try:
            given = signature.bind(*args, **kwargs)
        except TypeError as error:
            raise ArgumentTypeError(f"{where}: {error}; it takes {', '.join(signature.parameters)}") from None
        given.apply_defaults()
        values = given.arguments
        dims = {dim: check_size(where, keyword, values.pop(keyword)) for dim, keyword in spec.dims.items()}
        return body(dims, **values)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = doc
    function.__signature__ = signature.replace(parameters=[owner, *signature.parameters.values()])  # type: ignore[attr-defined]
    return function


def taking_inputs(spec: Spec, function: Any, more: Sequence[str] = ()) -> Any:
    """A copy of a function `f(self, x, ..., **inputs)` whose signature names the further inputs of a cell, and `more`."""
    own = FunctionType(function.__code__, function.__globals__, function.__name__, function.__defaults__)
    own.__kwdefaults__, own.__annotations__ = function.__kwdefaults__, function.__annotations__
    own.__doc__, own.__qualname__, own.__module__ = function.__doc__, function.__qualname__, function.__module__
    said = signature(function)
    *parameters, others = said.parameters.values()
    _, *names = spec.inputs
    named = [Parameter(name, Parameter.KEYWORD_ONLY, annotation=others.annotation) for name in (*names, *more)]
    own.__signature__ = said.replace(parameters=[*parameters, *named])  # type: ignore[attr-defined]
    return own
