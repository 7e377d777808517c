"""What the rules may touch: the equations that the last differentiation added, and the IDs that are still free."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

from derive.ir import Equation, Origin, Program


def adjoints(program: Program) -> list[Equation]:
    """The equations that the last differentiation added; none where a program was never differentiated."""
    if program.primal is None:
        return []
    first, forward = len(program.primal.equations), {e.id for e in program.primal.equations}
    return [e for e in program.equations[first:] if e.id not in forward and e.origin is not Origin.SAVED_DERIVATIVE]


def adjoint_ids(program: Program) -> set[str]:
    """The IDs of the equations that the last differentiation added."""
    return {e.id for e in adjoints(program)}


def free_ids(prefix: str, program: Program) -> Iterator[str]:
    """prefix1, prefix2, ... that no equation has yet: a program may be simplified again after it was differentiated."""
    taken = {i for e in program.equations for i in e.ids}
    return (name for number in count(1) if (name := f"{prefix}{number}") not in taken)


def remaining(program: Program, equations: list[Equation]) -> Program:
    """The program with these of its equations, and without the tensors that only the others defined."""
    targets = {e.target for e in equations}
    kept = {n: x for n, x in program.tensors.items() if n in targets or n not in program.defined}
    return program.with_equations(equations, kept)
