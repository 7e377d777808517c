"""A head on top of a cell: the head reads the cell's output, and two programs become one."""

from __future__ import annotations

from dataclasses import replace

from sympy.tensor.indexed import IndexedBase

from derive import ir
from derive.errors import DeriveError
from derive.ir import Program, Tensor


def join(lower: Program, upper: Program, name: str) -> Program:
    """The equations of a cell and of a head that reads its output; the head's output is that of the whole."""
    upper = rebind(upper, lower.tensors[lower.meta["output"]])
    clash = (set(lower.tensors) & set(upper.tensors)) - {lower.meta["output"]}
    if clash:
        raise DeriveError(f"{name}: {', '.join(sorted(clash))} means two things; rename it in the head or in the cell")
    body = [e for e in lower.equations if not e.note]
    ends = [e for e in lower.equations if e.note]
    equations = [*body, *upper.equations, *ends]
    numbered = [replace(e, id=f"F{p + 1}") for p, e in enumerate(equations)]
    tensors = {**lower.tensors, **{x: y for x, y in upper.tensors.items() if x not in lower.tensors}}
    output = upper.meta["output"]
    meta = {
        **lower.meta,
        "output": output,
        "public": {**lower.meta["public"], **upper.meta["public"]},
        "sizes": {**lower.meta["sizes"], **upper.meta["sizes"]},
    }
    outputs = (output, *(f"{s}_T" for s in lower.meta["states"]))
    return ir.verify(Program(name, tensors, tuple(numbered), outputs, meta))


def rebind(program: Program, prediction: Tensor) -> Program:
    """A head with its first argument replaced by another tensor, dimension and all."""
    slot = program.tensors[program.meta["inputs"][0]]
    if len(slot.dims) != len(prediction.dims):
        raise DeriveError(
            f"{program.name} reads a tensor with {len(slot.dims)} axes beside time, {prediction.name} has "
            f"{len(prediction.dims)}"
        )
    dims = dict(zip(slot.dims, prediction.dims, strict=True))
    swap = {IndexedBase(slot.name): IndexedBase(prediction.name), **dims}

    def renamed(tensor: Tensor) -> Tensor:
        return replace(tensor, dims=tuple(dims.get(d, d) for d in tensor.dims))

    tensors = {x.name: renamed(x) for x in program.tensors.values() if x.name != slot.name}
    tensors = {prediction.name: replace(prediction, role="input", time=ir.STEPS), **tensors}
    equations = [replace(e, lhs=e.lhs.xreplace(swap), rhs=e.rhs.xreplace(swap)) for e in program.equations]
    output = prediction.name if program.meta["output"] == slot.name else program.meta["output"]
    inputs = (prediction.name, *program.meta["inputs"][1:])
    sizes = {str(dims.get(ir.dimension(d), d)): s for d, s in program.meta["sizes"].items()}
    return replace(
        program,
        tensors=tensors,
        equations=tuple(equations),
        meta={**program.meta, "inputs": inputs, "output": output, "sizes": sizes},
    )
