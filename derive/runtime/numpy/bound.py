"""Bound: one function of a plan, with everything settled but the numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..core.runner import Runner, for_split
from .arrays import Array

if TYPE_CHECKING:
    from .plan import Plan

PACKED, PACK_AND_KEEP = 1, 2  # what C is told of the weights in the workspace
GIVEN, ZEROS = 2, 3  # sets of states: 0 and 1 take turns as results, 2 holds copies of a caller's, 3 is what None means


class Bound:
    """One function of a plan: its runner, and pointers to each set of states that it may read."""

    def __init__(self, plan: Plan, op: str, own: Mapping[str, Array | None]) -> None:
        problem = plan._problem
        kernels = problem.kernels
        split = problem.choose(op, plan._threads, packed=op == "infer")
        found = for_split(problem, op, split, plan._tape_every)
        self.runner = Runner(found.problem, op, found.split, ragged=True)
        self.runner.point([*kernels.spec.params, *own], [*plan._own.values(), *own.values()])
        self.reads = [self.pointers(kernels.initials, states) for states in plan._sets]

    def pack(self, how: int) -> None:
        """What the next calls do about the weights in the workspace."""
        for part in self.runner.parts:
            part.args.packed = how

    def pointers(self, fields: Sequence[str], arrays: Sequence[Array]) -> list[tuple[Any, str, Any]]:
        pairs = zip(fields, arrays, strict=True)
        return [pointer for field, array in pairs for pointer in self.runner.pointers(field, array)]
