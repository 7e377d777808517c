"""init_params: initial values of a cell's parameters."""

from __future__ import annotations

from collections.abc import Callable
from inspect import Parameter
from math import prod
from typing import Any

import numpy as np

from ..core.blocks import require_memory
from ..core.errors import ArgumentError, ArgumentTypeError
from ..core.spec import Extent, Spec, show
from .arrays import Array
from .inputs import check_dtype
from .named import named_function

RULES = ("uniform", "normal", "glorot", "orthogonal", "ones", "zeros")


def _orthogonal(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """A matrix whose rows, or whose columns if it has fewer of these, are orthonormal: Saxe et al. 2014."""
    rows, columns = prod(shape[:1]), prod(shape[1:])
    q, r = np.linalg.qr(rng.normal(size=(max(rows, columns), min(rows, columns))))
    q *= np.sign(np.diag(r))  # uniform over all such matrices
    return (q if rows >= columns else q.T).reshape(shape)


def _said(spec: Spec, name: str) -> str:
    rule = spec.init[name]
    if not isinstance(rule, (list, tuple)):
        return str(rule)
    return ", ".join(f"{gate}: {own}" for gate, own in zip(spec.gates, rule, strict=True))


def initializer(spec: Spec) -> Callable[..., dict[str, Array]]:
    """The init_params of a cell, with the cell's own signature and shapes in its help."""
    where = f"{spec.name}.init_params"
    scale = (Extent(1, "H"),) if "H" in spec.dims else spec.arguments[spec.output].row
    options = [
        Parameter("dtype", Parameter.POSITIONAL_OR_KEYWORD, default=np.float32),
        Parameter("seed", Parameter.POSITIONAL_OR_KEYWORD, default=0),
    ]

    def init_params(dims: dict[str, int], dtype: Any, seed: Any) -> dict[str, Array]:
        dtype = check_dtype(where, dtype)
        try:
            rng = np.random.default_rng(seed)
        except (TypeError, ValueError) as error:
            kind = ArgumentTypeError if isinstance(error, TypeError) else ArgumentError
            raise kind(f"{where}: seed must be an integer of at least 0, or None: {error}") from None
        shapes = {name: tuple(axis.size(dims) for axis in shape) for name, shape in spec.params.items()}
        # Values are drawn in float64, so that a seed means the same numbers in both dtypes.
        draw = 8 * max(map(prod, shapes.values()), default=0)
        require_memory(sum(map(prod, shapes.values())) * dtype.itemsize + draw, where, "the set of parameters")
        bound = 1.0 / prod(axis.size(dims) for axis in scale) ** 0.5

        def value(rule: Any, shape: tuple[int, ...]) -> Array:
            if isinstance(rule, (list, tuple)):  # one for each gate
                own = (shape[0] // len(rule), *shape[1:])
                return np.concatenate([value(r, own) for r in rule])
            if not isinstance(rule, str):
                return np.full(shape, rule, dtype)
            match rule:
                case "normal":
                    return rng.normal(0, bound, shape).astype(dtype)
                case "glorot":
                    ends = (6 / (prod(shape[:1]) + prod(shape[1:]))) ** 0.5
                    return rng.uniform(-ends, ends, shape).astype(dtype)
                case "orthogonal":
                    return _orthogonal(rng, shape).astype(dtype)
                case "uniform":
                    return rng.uniform(-bound, bound, shape).astype(dtype)
                case "ones":
                    return np.ones(shape, dtype)
                case "zeros":
                    return np.zeros(shape, dtype)
            raise ArgumentError(f"{where}: unknown rule {rule!r}; the rules are {', '.join(RULES)}, or a number")

        return {name: value(spec.init[name], shape) for name, shape in shapes.items()}

    lines = "\n".join(f"    {name} {show(shape)}: {_said(spec, name)}" for name, shape in spec.params.items())
    bound = f"1/sqrt({'*'.join(map(str, scale))})" if scale else "1"
    doc = f"""Initial parameters of the {spec.name}, as a new dict of NumPy arrays.

{lines}

    uniform is U(-{bound}, {bound}), as in PyTorch; normal has the standard deviation
    {bound}, glorot is uniform within sqrt(6/(rows + columns)), and the rows or columns of an orthogonal matrix are.
    The same seed gives the same numbers in float32 and float64, up to rounding; seed=None gives others each time. dtype is
    np.float32 or np.float64.

    Raises TypeError or ValueError for a size that is not an integer of at least 1, TypeError for another dtype,
    MemoryError for what cannot fit.
    """
    return named_function(spec, "init_params", options, dict[str, np.ndarray], init_params, doc)
