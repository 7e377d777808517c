"""init_params: initial values of a cell's parameters."""

from __future__ import annotations

from collections.abc import Callable
from inspect import Parameter
from math import prod
from typing import Any

import numpy as np

from ..core.blocks import require_memory
from ..core.errors import ArgumentError, ArgumentTypeError
from ..core.spec import Spec, show
from .arrays import Array
from .inputs import check_dtype
from .named import named_function


def initializer(spec: Spec) -> Callable[..., dict[str, Array]]:
    """The init_params of a cell, with the cell's own signature and shapes in its help."""
    where = f"{spec.name}.init_params"
    scale_dim = "H" if "H" in spec.dims else next(iter(spec.states.values()))
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
        bound = 1.0 / dims[scale_dim] ** 0.5

        def value(rule: str, shape: tuple[int, ...]) -> Array:
            match rule:
                case "uniform":
                    return rng.uniform(-bound, bound, shape).astype(dtype)
                case "ones":
                    return np.ones(shape, dtype)
                case "zeros":
                    return np.zeros(shape, dtype)
            raise ArgumentError(f"{where}: unknown rule {rule!r}; the rules are uniform, ones, zeros")

        return {name: value(spec.init[name], shape) for name, shape in shapes.items()}

    lines = "\n".join(f"    {name} {show(shape)}: {spec.init[name]}" for name, shape in spec.params.items())
    doc = f"""Initial parameters of the {spec.name}, as a new dict of NumPy arrays.

{lines}

    uniform is U(-1/sqrt({scale_dim}), 1/sqrt({scale_dim})), as in PyTorch. The same seed gives the same numbers in
    float32 and float64, up to rounding; seed=None gives others each time. dtype is np.float32 or np.float64.

    Raises TypeError or ValueError for a size that is not an integer of at least 1, TypeError for another dtype,
    MemoryError for what cannot fit.
    """
    return named_function(spec, "init_params", options, dict[str, np.ndarray], init_params, doc)
