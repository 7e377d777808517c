"""Tape: what forward hands to backward."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from math import prod
from typing import NoReturn

import numpy as np

from ..core.blocks import amount, require_memory
from ..core.errors import ArgumentError, MissingValueError, NotPicklableError
from ..core.runner import Call
from .arrays import Array, aligned
from .ragged import Ragged


class Tape:
    """What `forward` saved for `backward`. It may be used any number of times, by any number of threads.

    It refers to x, params, state and out without copying them: changing one of these arrays in place before `backward`
    is called makes its gradients wrong. (Arrays that had to be copied anyway, because they were not contiguous or not
    sorted by length, are safe.) Dropping the tape frees what it saved.
    """

    __slots__ = ("_call", "_memory", "_out", "_owner", "_ragged", "_reads")

    def __init__(
        self, owner: object, call: Call, reads: Sequence[Array | None], out: Array | None, ragged: Ragged | None
    ) -> None:
        nbytes = call.tape_bytes() if call.problem.batch else 0
        require_memory(nbytes, f"{call.problem.kernels.spec.name}.forward", f"the tape for {call.problem}")
        self._owner = owner
        self._call = call
        self._reads = reads
        self._out = out
        self._ragged = ragged
        self._memory = aligned(nbytes)

    def __copy__(self) -> Tape:
        return self

    def __deepcopy__(self, memo: dict[int, object]) -> Tape:
        """A tape of its own, with copies of x, params, state and out."""
        made: Tape = object.__new__(Tape)
        made._owner, made._call, made._ragged = self._owner, self._call, self._ragged
        made._reads = [None if array is None else array.copy() for array in self._reads]
        made._out = None if self._out is None else self._out.copy()
        made._memory = aligned(self._memory.nbytes)
        made._memory[...] = self._memory
        memo[id(self)] = made
        return made

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise NotPicklableError(
            f"a tape of {self.cell} holds memory in the order of this process, and cannot be pickled; "
            f"call {self.cell}.backward where {self.cell}.forward was called, and send the gradients"
        )

    @property
    def cell(self) -> str:
        """The name of the cell that made the tape."""
        return self._call.problem.kernels.spec.name

    @property
    def nbytes(self) -> int:
        """Bytes that the tape itself keeps, without x, params, state and out."""
        return self._memory.nbytes

    @property
    def names(self) -> tuple[str, ...]:
        """The values that can be read, tape["c"]: those that gradients need, and those that the cell says to keep."""
        return tuple(self._call.problem.kernels.spec.tape)

    def __getitem__(self, name: str) -> Array:
        """A value of every step, such as a gate, by its name in the equations: a copy, (T, B, H), or without a batch axis (T, H).

        After the end of a sequence it is 0.  KeyError for what the tape does not hold; ValueError for a tape of states only, as
        `forward(..., tape="recompute")` keeps.
        """
        call = self._call
        problem, spec = call.problem, call.problem.kernels.spec
        if name not in spec.tape:
            near = difflib.get_close_matches(str(name), spec.tape, 1)
            raise MissingValueError(
                f"the tape of {spec.name} has no {name!r}{f' (did you mean {near[0]!r}?)' if near else ''}; it has "
                f'{", ".join(spec.tape) or "nothing"}. @cell(..., keep="{name}") keeps a value of a step'
            )
        if problem.tape_every:
            raise ArgumentError(
                f"{spec.name}: this tape holds states to begin from again and no {name}; call forward without tape="
            )
        sizes = {"T": problem.steps, "B": problem.batch, **problem.dims}
        own = spec.tape[name]
        widths: dict[int, int] = {}
        for kept in spec.tape.values():
            widths.setdefault(kept.region, kept.slots * prod(axis.size(sizes) for axis in kept.row))
        before, width = sum(widths[r] for r in range(own.region)), widths[own.region]
        row = tuple(axis.size(sizes) for axis in own.row)
        memory, parts, start = self._memory.view(problem.dtype), [], 0
        for count in call.counts if problem.batch else ():
            first = start + problem.steps * count * before
            region = memory[first : first + problem.steps * count * width]
            parts.append(region.reshape(problem.steps, count, own.slots, *row)[:, :, own.slot])
            start += problem.steps * count * sum(widths.values())
        found = np.concatenate(parts, axis=1) if parts else np.zeros((problem.steps, 0, *row), problem.dtype)
        if self._ragged is not None:
            if self._ragged.order is not None:
                found[:, self._ragged.order] = found.copy()
            found[np.arange(problem.steps)[:, None] >= self._ragged.lengths] = 0
        return found[:, 0] if problem.unbatched else found

    def __repr__(self) -> str:
        problem = self._call.problem
        notes = [f"<Tape of {self.cell}: {problem}{', no batch axis' if problem.unbatched else ''}"]
        if self._ragged is not None:
            notes.append(f"lengths {self._ragged.lengths.min()} to {self._ragged.lengths.max()}")
        if problem.tape_every == problem.kernels.everything:
            notes.append("states only")
        elif problem.tape_every:
            notes.append(f"states of every {problem.tape_every} steps")
        return f"{', '.join([*notes, str(problem.dtype), amount(self.nbytes)])}>"
