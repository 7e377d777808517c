"""What a backend owes: the seam between the passes, which hold mathematics, and the code of a machine.

A backend gets a `Model`, or a `Routine`, of derive/pipeline.py and gives files.  It looks at the kernels, which run one after
the other, each a `LoweredKernel`: a name, `lowered` (what is computed, in which order), `storage` (where every tensor is) and
`mirrored`.  docs/backends.md goes through it step by step; backends/plain is the shortest example.

What it handles, whatever the cell is

    parts       a `Phase` (products, then stages; any order of steps, or all at once) or a `Loop` over the steps, as many as
                there are, in their order; its stages in their order.  Time runs in `lowered.direction`: from 1 to T, from T
                to 1; 0 leaves it open.  All parts may be done for a chunk of steps before the next chunk, and a chunk may be
                one step: no part reads what a later part makes.
    stages      over the units of `space`, a tuple of dimensions with the innermost last, or over rows where it is empty:
                `scalars`, `products`, `pointwise`, `sums`, `totals`; a sum may leave any of the dimensions
    products    PRODUCTS: `recurrent` in a loop, `parallel` in a phase; `reducing` ones add an outer product for every step and
                row, when all parts of its chunk are done.  `Pair.shape` has their indices: batch (a matrix for each of
                their units), rows, inner
    before      stages without time and rows, ahead of all steps: values of parameters alone
    after       such stages behind all steps and the edge: what is made of whole sums over time
    places      PLACES, see passes/storage.py: buffers of steps, of two steps, of one step, of a call, or a variable
    edge        the stages at t = 0 of a sweep backwards, after all chunks; `storage.edge` has the places of what they make
    boundaries  final states are copied when the step T is done; initial ones are read (below)
    zeros       arrays that are filled with zero
    mirrored    the step t of the kernel is the step T+1-t of the caller's arrays and of the tape

The ends of time

    t = 1       a read of t - 1 finds `place.initial`, an array of the caller
    t = T       in a sweep backwards a read of t + 1 finds zeros in `swap` and `chunk` places; nothing else is read after T.
                A term with span(t, T, T) exists at the last step alone: its seed counts as zero before.
    t = 0       of the edge: terms that do not exist there are left out already
    sums        what `totals` and `reducing` products add up begins with zero; gradients of inputs (`d_x`) may be NULL

The contract of numbers

    float64     every result within 1e-12 of the equations, of the larger of 1 and the largest element; float32: 32 ulp of it;
                more only where the roundings of single operations have that effect (derive/verify says how much that is)
    functions   as derive/ir/functions/ defines them, within `Record.ulp`; NaN and infinities go through
    order       terms of another step or of one end of time are added last (backends/shared/values.py, `from_afar`), so that
                what a norm takes off again is not rounded away; sums of a row and of a product may be taken in any order
    the same    calls of one build give the same bits for the same arguments
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

PRODUCTS = ("parallel", "recurrent", "reducing")
PLACES = ("arg", "tape", "chunk", "swap", "step", "edge", "call", "tile", "local")


@dataclass(frozen=True)
class Backend:
    """One way to make code of a model; `derive.backends.named` finds it by its name.

    `files(model, **options)` gives the text of every file by its name; it raises DeriveError for options that it cannot
    follow, with what they may be.
    """

    name: str
    about: str
    files: Callable[..., dict[str, str]]
