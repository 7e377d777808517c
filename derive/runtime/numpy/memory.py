"""How many bytes a call needs, before anything is allocated."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from inspect import Parameter
from math import prod
from typing import Any, NamedTuple

import numpy as np

from ..core.errors import ArgumentError
from ..core.problem import Kernels
from ..core.runner import shares
from ..core.spec import Spec
from ..core.split import PASSES, choose
from .inputs import check_dtype, check_size, check_tape, check_threads
from .named import named_function


class Memory(NamedTuple):
    """Bytes that a call needs beyond its arguments.

    `tape`: kept from forward to backward. `workspace`: scratch, free again after the call. `out`: the arrays that it
    returns. `total`: their sum.
    """

    tape: int
    workspace: int
    out: int
    total: int


def estimator(spec: Spec, kernels: Mapping[np.dtype[Any], Kernels]) -> Callable[..., Memory]:
    """The `memory` of a cell, with the cell's own signature."""
    where = f"{spec.name}.memory"
    either, only = Parameter.POSITIONAL_OR_KEYWORD, Parameter.KEYWORD_ONLY
    options = [
        Parameter("steps", either, annotation=int),
        Parameter("batch", either, default=None),
        Parameter("dtype", either, default=np.float32),
        Parameter("op", only, default="loss_and_grad"),
        Parameter("tape", only, default=None),
        Parameter("threads", only, default=None),
    ]

    def memory(
        dims: dict[str, int], steps: Any, batch: Any, dtype: Any, op: Any, tape: Any, threads: int | None
    ) -> Memory:
        steps = check_size(where, "steps", steps)
        batch = 1 if batch is None else check_size(where, "batch", batch, 0)
        found = kernels[check_dtype(where, dtype).newbyteorder("=")]
        if op not in PASSES:
            raise ArgumentError(f"{where}: op must be one of {', '.join(PASSES)}, found {op!r}")
        every = check_tape(where, tape, steps, found.everything)
        check_threads(where, threads)
        return _memory(where, found, op, steps, batch, dims, every, threads)

    doc = f"""How many bytes a call of the {spec.name} needs beyond its arguments. Nothing is allocated or computed.

    {", ".join((*spec.dims.values(), "steps", "batch"))}: sizes; batch None means 1. dtype: np.float32 or np.float64.
    op: "infer", "forward", "backward" or "loss_and_grad". tape: as for forward. threads: as for infer.

    Returns a Memory(tape, workspace, out, total): the tape, scratch memory during the call, the arrays that it returns,
    and their sum. Copies of arguments that are not contiguous, or not sorted by length, come on top.

    Raises TypeError or ValueError for bad arguments, MemoryError for sizes that no machine can address.
    """
    return named_function(spec, "memory", options, Memory, memory, doc)


def _memory(
    where: str, kernels: Kernels, op: str, steps: int, batch: int, dims: dict[str, int], every: int, threads: int | None
) -> Memory:
    spec, itemsize = kernels.spec, kernels.itemsize
    weights = sum(prod(axis.size(dims) for axis in shape) for shape in spec.params.values())
    states = sum(batch * prod(axis.size(dims) for axis in row) for row in spec.states.values())
    can = {"units": kernels.units, "whole": kernels.whole}
    split = choose(op, steps, batch, weights, itemsize=itemsize, threads=threads, **can)
    tape = workspace = 0
    for count in shares(batch, split) if batch else ():  # without sequences C is not asked
        args = kernels.struct(steps, count, dims, every, split.parts if split.kind == "units" else 1)
        args.batch = batch
        sizes = kernels.sizes(args, where, f"T={steps}, B={batch}")
        tape += 0 if op == "infer" else sizes.tape
        workspace += getattr(sizes, op)
    out = steps * batch * prod(axis.size(dims) for axis in spec.arguments[spec.output].row)
    gradients = op in ("backward", "loss_and_grad")
    if gradients and split.kind == "batch":
        workspace += (split.parts - 1) * weights * itemsize
    if op == "loss_and_grad" and batch:
        workspace += (2 * out + states) * itemsize
    inputs = steps * batch * sum(prod(axis.size(dims) for axis in row) for row in spec.inputs.values())
    results = inputs + weights + states if gradients else out + states
    return Memory(tape, workspace, results * itemsize, tape + workspace + results * itemsize)
