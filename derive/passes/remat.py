"""What a kernel computes although another one has it: equations left away, and equations computed once more."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from derive import ir
from derive.ir import Program


def needed(program: Program, outputs: Iterable[str]) -> Program:
    """The program without what its outputs do not need (values that only the backward pass reads)."""
    found = set(outputs)
    for _ in program.equations:
        found |= {
            ir.name_of(a) for e in program.equations if e.target in found for a in ir.accesses(e.rhs, program.tensors)
        }
    return program.with_equations(
        [e for e in program.equations if e.target in found], {n: x for n, x in program.tensors.items() if n in found}
    )


def rematerialise(first: Program, second: Program) -> Program:
    """The backward pass that finds only states on its tape: the equations of all else that it reads come before its own."""
    known = {*first.facts.states, first.facts.output, *second.defined}
    again = {*ir.prepared(first), *(n for n in first.defined if first.tensors[n].time is not None)} - known
    made = [e for e in first.equations if e.target in again]
    both = second.with_equations([*made, *second.equations], {**first.tensors, **second.tensors})
    return replace(needed(both, second.outputs), tensors=both.tensors)
