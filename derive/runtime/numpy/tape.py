"""Tape: what forward hands to backward."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NoReturn

from ..core.blocks import amount, require_memory
from ..core.errors import NotPicklableError
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
