"""What the passes make of a cell, in one object: the input of templates, checks and documents.

    equations -> adjoint -> simplify -> batch -> lower -> fuse -> storage -> schedule

The order of the passes is this file and no other.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import sympy as sp

from derive import ir, registry
from derive.backends.c.kernel import Kernel
from derive.backends.c.kernel_verifier import verify_kernel
from derive.backends.c.schedule import schedule
from derive.errors import DeriveError
from derive.ir import Origin, Program
from derive.notation import Cell, Head
from derive.passes.adjoint import adjoint_name, vjp
from derive.passes.batch import batch
from derive.passes.fuse import fuse
from derive.passes.lower import lower
from derive.passes.simplify import Count, simplify
from derive.passes.storage import Place, place, tape, tape_places
from derive.passes.storage_verifier import verify_storage
from derive.signature import CONTROLS, argument_places, is_reserved, parameter


@dataclass(frozen=True)
class Model:
    """A cell with everything that the passes made of it: input of the templates, of the checks and of the documents."""

    name: str
    doc: str
    primal: Program
    adjoint: Program
    loss: Program
    counts: tuple[Count, ...]
    kernels: tuple[Kernel, ...]
    tape: dict[str, Place]
    meta: dict[str, Any]

    @property
    def title(self) -> str:
        """The first line of the cell's documentation."""
        return next(iter(self.doc.splitlines()), "") or "a cell without documentation"

    @property
    def digest(self) -> str:
        return self.adjoint.digest


@cache
def model(cell: Cell, loss: Head | None = None) -> Model:
    """All passes in order: adjoint, simplify, batch, lower, fuse, storage, schedule."""
    loss = loss or registry.loss("squared_error")
    primal = cell.normal()
    adjoint, counts = simplify(vjp(primal))
    judged = loss.of(primal.tensors[primal.facts.output])
    judge, _ = simplify(vjp(judged, [primal.facts.output]))
    judge = _as_seed(judge, adjoint, primal.facts.output)
    many = batch(adjoint)
    ids = {e.id for e in primal.equations} | {e.id for e in many.equations if e.origin is Origin.SAVED_DERIVATIVE}
    first = many.with_equations([e for e in many.equations if e.id in ids])
    first = replace(
        first,
        tensors={
            n: x for n, x in first.tensors.items() if n in first.defined or x.role in ("param", "input", "initial")
        },
    )
    second = many.with_equations([e for e in many.equations if e.id not in ids])
    saved = tape(first, second)
    places = tape_places(first, saved)
    again = _recomputed(first, second)
    states = tape_places(first, tuple(n for n in tape(first, again) if n in primal.facts.states))
    judging = batch(replace(judge, facts=replace(judge.facts, gates=(), states=(), output=primal.facts.output)))
    # Of the whole program: a kernel that reads some gates of a family only finds them where all are.
    arguments = argument_places(many)
    kernels = (
        _kernel("infer", _needed(first, primal.outputs), arguments, {}, 1),
        _kernel("forward", _needed(first, (*primal.outputs, *saved)), arguments, places, 1),
        _kernel("loss", judging, argument_places(judging), {}),
        _kernel("backward", second, arguments, places, -1),
        _kernel("record", _needed(first, primal.outputs), arguments, states, 1),
        _kernel("recompute", again, arguments, states, -1),
    )
    return Model(cell.name, cell.doc, primal, adjoint, judge, tuple(counts), kernels, places, _interface(primal, judge))


def _as_seed(judge: Program, adjoint: Program, output: str) -> Program:
    """The gradient of the loss under the name by which the adjoint of the cell reads it, its direct part of dL/dh."""
    old, new = adjoint_name(output), f"seed_{output}"
    seed = adjoint.tensors.get(new)
    tensors = {
        n if n != old else new: x if n != old else replace(x, name=new, latex=seed.latex if seed else x.latex)
        for n, x in judge.tensors.items()
    }
    swap = {sp.tensor.IndexedBase(old): sp.tensor.IndexedBase(new), sp.Symbol(old): sp.Symbol(new)}
    equations = [replace(e, lhs=e.lhs.xreplace(swap), rhs=e.rhs.xreplace(swap)) for e in judge.equations]
    return replace(judge, tensors=tensors, equations=tuple(equations), outputs=(new,))


def _kernel(
    name: str, program: Program, arguments: dict[str, Place], saved: dict[str, Place], direction: int = 0
) -> Kernel:
    """One kernel; `arguments` are the places of all that the caller owns, `direction` is that of the loop over time."""
    lowered = fuse(lower(replace(program, name=f"{program.name}, {name}"), direction), saved)
    own = {n: p for n, p in arguments.items() if n in lowered.program.tensors}
    return verify_kernel(schedule(name, lowered, verify_storage(lowered, place(lowered, own, saved))))


def _recomputed(first: Program, second: Program) -> Program:
    """The backward pass that finds only states on its tape: the equations of all else that it reads come before its own."""
    states = {*first.facts.states, first.facts.output}
    made = [e for e in first.equations if e.target not in states and first.tensors[e.target].time is not None]
    both = second.with_equations([*made, *second.equations], {**first.tensors, **second.tensors})
    return replace(_needed(both, second.outputs), tensors=both.tensors)


def _needed(program: Program, outputs: Iterable[str]) -> Program:
    """The program without what its outputs do not need (values that only the backward pass reads)."""
    needed = set(outputs)
    for _ in program.equations:
        needed |= {
            ir.name_of(a) for e in program.equations if e.target in needed for a in ir.accesses(e.rhs, program.tensors)
        }
    return program.with_equations(
        [e for e in program.equations if e.target in needed], {n: x for n, x in program.tensors.items() if n in needed}
    )


def _interface(primal: Program, loss: Program) -> dict[str, Any]:
    """What the public module says of the cell; the SPEC of the generated package."""
    params: dict[str, tuple[str, ...]] = {}
    gates = primal.facts.gates
    for tensor in primal.of_role("param"):
        array, _ = parameter(primal, tensor)
        stacked = array != f"{array}_{tensor.member}" and argument_places(primal)[tensor.name].slots > 1
        first, *rest = (str(d) for d in tensor.dims)
        params[array] = (f"{len(gates)}*{first}" if stacked else first, *rest)
    inputs = primal.of_role("input")
    if len(inputs) != 1:
        names = ", ".join(x.name for x in inputs) or "none"
        raise DeriveError(f"{primal.name}: a cell reads one input sequence, found {names}")
    _check_names(primal, params)
    output = primal.tensors[primal.facts.output]
    return {
        "params": params,
        "states": {s: str(primal.tensors[s].dims[0]) for s in primal.facts.states},
        "gates": gates,
        "dims": primal.facts.sizes,
        "input": ("x", str(inputs[0].dims[0])),
        "output": (output.name, str(output.dims[0])),
        "target": ("y", str(loss.of_role("target")[0].dims[0])),
        "init": {p: "ones" if p.startswith("gain") else "uniform" for p in params},
    }


def _check_names(primal: Program, params: Iterable[str]) -> None:
    """A parameter is a keyword of the Python interface and a field of the C struct: it needs a name that is free."""
    taken = {"x", "y", "out", "loss", "tape", "workspace", "d_out", *CONTROLS}
    taken |= set(primal.facts.sizes) | {f"{s}_{end}" for s in primal.facts.states for end in "0T"}
    for name in params:
        if name in taken or is_reserved(name) or name.removeprefix("d_") in {*taken, *params} - {name}:
            raise DeriveError(
                f"{primal.name}: the interface has another use for the name {name}; rename the "
                f'parameter, or give it a public name: @cell(..., weight_{name.lower()}="{name}")'
            )
