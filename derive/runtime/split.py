"""One call on several threads: the batch is cut into parts, and each part is a call of its own.

Sequences do not know of each other, so the parts run from the first step to the last without waiting for anybody; only
the parameter gradients, which sum over the batch, are added at the end, in the order of the parts.  C is told the whole
batch as the distance between two steps, so that no part of x or out is copied.

When it pays: a part costs a wake-up of some 50 microseconds and the packing of the weights once more.  Each thread
should therefore have work for several times that, taken as WORK operations, and ROWS sequences, which fill a tile of the
kernels.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from math import prod
from typing import Any

import numpy as np

from .arrays import POOL, Array, require_memory
from .errors import KernelError
from .plan import Plan

WORK = 2e7  # operations (2 per multiply-add) that one thread should have: about 200 microseconds
ROWS = 8  # sequences that one thread should have
PASSES = {"infer": 1, "forward": 1, "backward": 2, "loss_and_grad": 3}
SEQUENCES = ("x", "out", "y", "d_out", "d_x")

_pool: ThreadPoolExecutor | None = None


def _forget() -> None:
    """A forked child has none of its parent's threads."""
    global _pool
    _pool = None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)


def cpus() -> int:
    """The processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def count(plan: Plan, op: str, threads: int | None) -> int:
    """On how many threads a call runs: as many as were asked for, or as many as pay off; never more than sequences.

    The work is estimated as two operations for each parameter, step and sequence, once forward and twice backward.
    """
    if threads is not None:
        return max(1, min(int(threads), plan.batch))
    if plan.batch < 2 * ROWS:
        return 1
    work = 2.0 * PASSES[op] * plan.steps * plan.batch * sum(map(prod, plan.param_shapes))
    return max(1, min(cpus(), plan.batch // ROWS, int(work / WORK)))


class Split:
    """The calls of `parts` threads for one set of shapes."""

    def __init__(self, plan: Plan, parts: int) -> None:
        self.plan = plan
        bounds = [plan.batch * part // parts for part in range(parts + 1)]
        self.firsts = bounds[:-1]
        where = plan.kernels.spec.name
        self.plans = [
            Plan(where, plan.kernels, (plan.steps, stop - start, plan.x_shape[-1]), plan.dims)
            for start, stop in pairwise(bounds)
        ]

    def run(self, op: str, fields: Sequence[str], arrays: Sequence[Array]) -> float:
        """Runs all parts and adds up the gradients; returns the loss (0.0 where `op` has none)."""
        plan, kernels = self.plan, self.plan.kernels
        named = dict(zip(fields, arrays, strict=True))
        if op == "loss_and_grad":
            named |= self._scratch()
        sums = {f"d_{name}" for name in kernels.spec.params}
        extra = [{n: np.empty_like(a) for n, a in named.items() if n in sums} for _ in self.plans[1:]]
        jobs = [self._job(op, part, {**named, **own}) for part, own in enumerate([{}, *extra])]
        global _pool
        if _pool is None:
            _pool = ThreadPoolExecutor(max_workers=max(cpus(), 2), thread_name_prefix="derive")
        # More parts than workers queue up; the caller's own thread takes the first.
        waiting = [_pool.submit(kernels.functions[op], args) for args, *_ in jobs[1:]]
        codes = [kernels.functions[op](jobs[0][0])]
        codes += [job.result() for job in waiting]
        for code in codes:
            if code:
                raise KernelError(f"{kernels.spec.name}.{op}: error {code} for {plan}: {kernels.message(code)}")
        for own in extra:
            for name, part in own.items():
                named[name] += part
        for _, _, kept in jobs:
            POOL.give(kept[0])
        if op == "loss_and_grad":
            for name in ("out", "d_out", "tape"):
                POOL.give(named[name].reshape(-1).view(np.uint8))
        return float(sum(loss[0] for _, loss, _ in jobs)) if op == "loss_and_grad" else 0.0

    def _scratch(self) -> dict[str, Array]:
        """What lies between forward and backward of `loss_and_grad`, for the whole batch."""
        plan, kernels = self.plan, self.plan.kernels
        require_memory(plan.sizes.tape, f"{kernels.spec.name}.loss_and_grad", f"working memory for {plan}")
        nbytes = prod(plan.out_shape) * plan.dtype.itemsize
        outs = {name: POOL.take(nbytes).view(plan.dtype).reshape(plan.out_shape) for name in ("out", "d_out")}
        finals = {n: np.empty(s, plan.dtype) for n, s in zip(kernels.results[1:], plan.state_shapes, strict=True)}
        zeros = dict(zip(kernels.seeds[1:], plan.zeros, strict=True))
        return {**outs, **finals, **zeros, "tape": POOL.take(plan.sizes.tape)}

    def _job(self, op: str, part: int, named: dict[str, Array]) -> tuple[Any, Any, list[Any]]:
        """The struct of one part, its loss, and what must stay alive until it has run."""
        plan, own, kernels = self.plan, self.plans[part], self.plan.kernels
        first, ffi = self.firsts[part], kernels.ffi
        args = ffi.new(kernels.args_type)
        own.fill(args)
        args.batch = plan.batch
        need = getattr(own.sizes, op)
        require_memory(need, f"{kernels.spec.name}.{op}", f"working memory for {own}")
        workspace = POOL.take(need)
        loss = ffi.new(kernels.loss_type)
        kept: list[Any] = [workspace, named]
        for name, array in named.items():
            if name == "tape":
                pointer = ffi.cast(kernels.loss_type, kernels.from_buffer(array))
                width = plan.sizes.tape // (plan.steps * plan.batch * plan.dtype.itemsize)
                offset = first * plan.steps * width
            else:
                pointer = kernels.from_buffer(kernels.array_type, array)
                rowwise = name in SEQUENCES or name.removeprefix("d_").endswith(("_0", "_T"))
                offset = first * array.shape[-1] if rowwise else 0
            kept.append(pointer)
            setattr(args, name, pointer + offset)
        args.workspace = kernels.from_buffer(workspace)
        args.workspace_size = need
        args.loss = loss
        return args, loss, kept
