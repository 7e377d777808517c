"""Truncated backpropagation through time: a long series in stretches, with the state handed on and gradients not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from ..core.errors import ArgumentError, ArgumentTypeError
from ..core.spec import Spec
from .arrays import Array
from .layers import Layers, cell_of

State = tuple[Array, ...]


def truncated(
    module: Any,
    x: Array,
    y: Array,
    params: Mapping[str, Array],
    steps: int,
    state: Sequence[Array | None] | Array | None = None,
    **more: Any,
) -> Iterator[tuple[float, dict[str, Array], State]]:
    """Truncated backpropagation through time: (loss, grads, state) of one stretch of `steps` after the other.

    `module` is a compiled module or Layers in one direction; `state` is that before the stretch.  It goes on from stretch to
    stretch and gradients do not, as Williams & Peng (1990) have it for k1 = k2.  `params` may be changed between two
    stretches, in place.  `more` are further arguments of loss_and_grad: inputs, targets and masks are cut as x is.

    Raises ValueError and TypeError for arguments that do not fit, before the first stretch.
    """
    where = "derive.truncated"
    if isinstance(steps, bool) or not isinstance(steps, (int, np.integer)) or steps < 1:
        raise ArgumentError(f"{where}: steps must be an integer of at least 1, found {steps!r}")
    layers = module if isinstance(module, Layers) else None
    if layers is not None and layers.bidirectional:
        raise ArgumentError(
            f"{where}: a second direction begins at the end of the series; layers must be in one direction"
        )
    if "lengths" in more:
        raise ArgumentError(
            f"{where}: a series has one length; cut sequences of different length before, or weigh their steps"
        )
    cell = layers.last if layers is not None else cell_of(module)
    for name, array in (("x", x), ("y", y)):
        if not isinstance(array, np.ndarray):
            raise ArgumentTypeError(f"{where}: {name} must be a NumPy array, found {type(array).__name__}")
    axis = 1 if layers is not None and layers.batch_first else 0
    return _stretches(module, cell._spec, x, y, params, int(steps), state, more, axis)


def _stretches(
    module: Any,
    spec: Spec,
    x: Array,
    y: Array,
    params: Mapping[str, Array],
    steps: int,
    state: Any,
    more: Mapping[str, Any],
    axis: int,
) -> Iterator[tuple[float, dict[str, Array], State]]:
    timed = {name for name, argument in spec.arguments.items() if any(extent.dim == "T" for extent in argument.shape)}
    inputs = {name for name in spec.inputs if name in more}
    for first in range(0, x.shape[axis], steps):
        part = (slice(None),) * axis + (slice(first, first + steps),)
        given = {name: value[part] if name in timed else value for name, value in more.items()}
        if "masks" in more:
            given["masks"] = [mask[part] for mask in more["masks"]]
        loss, grads = module.loss_and_grad(x[part], y[part], params, state, **given)
        yield loss, grads, state
        ahead = {name: given[name] for name in (*inputs, *({"threads", "masks"} & {*given}))}
        _, state = module.infer(x[part], params, state, **ahead)
