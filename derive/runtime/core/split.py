"""How a call is spread over threads: by sequences, by units, or not at all. A model of time; it needs no compiled cell.

By "batch": sequences do not know of each other, so each thread takes some of them from the first step to the last and
waits for no other; parameter gradients are added at the end, in the order of the parts. Each thread packs all weights.

By "units": each thread computes some of the hidden units of all sequences. The threads wait for each other at a barrier after
every step, since the next step reads all units; packing is shared too, and every number is computed as on one thread, to
the last bit.

The model, in microseconds, for a call of `work` sequences times steps and `weights` parameters:

    compute(rows) = PASSES * 2 * work * weights / (RATE * rows / (rows + half))    weights are read once for all rows
    pack          = weights / COPY
    one           = pack + compute(batch)
    batch(p)      = pack + compute(batch / p) / p + WAKE + (p - 1) * weights / COPY    the last: sums of gradients
    units(p)      = (pack + compute(batch)) / p + WAKE + PASSES * steps * BARRIER * (p - 1)

half is NEAR rows where a thread has so few weights that a cache of its own holds most of them, and FAR rows where it must
fetch them anew in each step: by units it has but a part of them. Several threads are taken if they save a quarter of the
time, units only if they save a twentieth over batch: a thread that waits for another suffers from whatever else the
machine does. The constants are those of one ordinary core; they need not be right, only near enough to keep short calls on
one thread and long ones on several. `python -m benchmarks threads` compares the choices with the clock; a test holds the
committed comparison to 2 % on average.
"""

from __future__ import annotations

import os
from typing import NamedTuple

RATE = {4: 2e5, 8: 1e5}  # operations in a microsecond with many rows, by bytes of a number
NEAR, FAR = 1.5, 3.5  # rows at which a core reaches half of that: reading the weights bounds it
OWN = 4 << 20  # bytes of weights from which on they are far
COPY = 4e3  # numbers packed or added in a microsecond
WAKE = 40.0  # to hand work to a waiting thread and hear from it; 15 where nothing else runs
BARRIER = 0.5  # until all threads have come to the end of a step
ROWS = 4  # sequences that a thread should have: fewer leave most of a tile empty
PASSES = {"infer": 1, "forward": 1, "backward": 2, "loss_and_grad": 3}


class Split(NamedTuple):
    """`kind`: "one", "batch" or "units"; `parts`: how many threads."""

    kind: str
    parts: int


ONE = Split("one", 1)


def cpus() -> int:
    """The processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def microseconds(
    split: Split,
    op: str,
    steps: int,
    batch: int,
    weights: int,
    *,
    itemsize: int = 4,
    work: int | None = None,
    packed: bool = False,
) -> float:
    """What the model says that a call takes.

    work: sequences times steps, the sum of the lengths; None: steps * batch. packed: the weights are packed already.
    """
    kind, parts = split
    rows = batch / parts if kind == "batch" else batch
    operations = 2.0 * PASSES[op] * (steps * batch if work is None else work) * weights
    half = FAR if weights * itemsize / (parts if kind == "units" else 1) > OWN else NEAR
    compute = operations / (RATE[itemsize] * rows / (rows + half)) / parts
    pack = 0.0 if packed else weights / COPY
    if kind == "one":
        return pack + compute
    if kind == "batch":
        sums = (parts - 1) * weights / COPY if op in ("backward", "loss_and_grad") else 0.0
        return pack + compute + WAKE + sums
    return pack / parts + compute + WAKE + PASSES[op] * steps * BARRIER * (parts - 1)


def choose(
    op: str,
    steps: int,
    batch: int,
    weights: int,
    *,
    itemsize: int = 4,
    work: int | None = None,
    packed: bool = False,
    threads: int | None = None,
    processors: int | None = None,
    units: bool = False,
    whole: bool = False,
) -> Split:
    """How to spread a call: as many threads as pay off, or `threads`, in the way that the model finds faster.

    weights: numbers in all parameters. work, packed: as in `microseconds`. processors: None means those of this process. units:
    whether the cell can be split by units. whole: its batch cannot be split, for its C was compiled for one B.
    By batch there are never more parts than sequences, though more than processors if so many were asked for; by units
    never more than processors, for these threads wait for one another.
    """
    processors = cpus() if processors is None else processors

    def time(split: Split) -> float:
        return microseconds(split, op, steps, batch, weights, itemsize=itemsize, work=work, packed=packed)

    if not batch:
        return ONE
    most = 1 if whole else batch
    by_batch = Split("batch", min(processors, most // ROWS) if threads is None else min(threads, most))
    by_units = Split("units", min(processors, processors if threads is None else threads) if units else 1)
    several = [split for split in (by_batch, by_units) if split.parts > 1]
    if not several:
        return ONE
    best = several[0]
    if len(several) == 2 and time(by_units) < 0.95 * time(by_batch):
        best = by_units
    return best if threads is not None or time(best) <= 0.75 * time(ONE) else ONE
