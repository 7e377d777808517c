"""Tape: what forward hands to backward."""

from __future__ import annotations

from collections.abc import Sequence

from .arrays import Array, aligned, amount, require_memory
from .plan import Plan


class Tape:
    """What `forward` saved for `backward`. It may be used any number of times, by any number of threads.

    It refers to x, params, state and out without copying them: changing one of these arrays in place before `backward`
    is called makes its gradients wrong. (Arrays that had to be copied anyway, because they were not contiguous, are
    safe.) Dropping the tape frees what it saved.
    """

    __slots__ = ("_memory", "_out", "_owner", "_parts", "_plan", "_reads")

    def __init__(self, owner: object, plan: Plan, reads: Sequence[Array], out: Array) -> None:
        nbytes = plan.sizes.tape if plan.batch else 0
        require_memory(nbytes, f"{plan.kernels.spec.name}.forward", f"the tape for {plan}")
        self._owner = owner
        self._plan = plan
        self._reads = reads
        self._out = out
        self._parts = 1
        self._memory = aligned(nbytes)

    @property
    def cell(self) -> str:
        """The name of the cell that made the tape."""
        return self._plan.kernels.spec.name

    @property
    def nbytes(self) -> int:
        """Bytes that the tape itself keeps, without x, params, state and out."""
        return self._memory.nbytes

    def __repr__(self) -> str:
        batch = ", no batch axis" if self._plan.unbatched else ""
        return f"<Tape of {self.cell}: {self._plan}{batch}, {self._plan.dtype}, {amount(self.nbytes)}>"
