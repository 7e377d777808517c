"""The order of the passes, traced: from the equations of a cell to kernels with their storage.

    normalize    save_values ... fold_copies    batch    partition    lower    fuse    storage
        adjoint                 loss                        for each kernel of the forward pass, the loss, the backward pass

A backend goes on from here: it plans and prints what `Model` holds (backends/base.py).  `derive dump CELL --after PASS` shows
each level.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import sympy as sp

from derive import ir, registry
from derive.errors import DeriveError
from derive.ir import Program
from derive.notation import Cell, Loss
from derive.notation.public import check_target_names
from derive.passes.adjoint import adjoint_name, vjp
from derive.passes.batch import batch
from derive.passes.fuse import fuse
from derive.passes.lower import Lowered, lower
from derive.passes.partition import Sweep, partition, with_copies
from derive.passes.peel import peel
from derive.passes.remat import needed, rematerialise
from derive.passes.results import apart_from_results
from derive.passes.simplify import RULES, Count, count, simplify
from derive.passes.storage import Place, Storage, place, tape, tape_places, with_initials
from derive.passes.storage_verifier import verify_storage
from derive.signature import Signature, argument_places, own_places, parameter, signature
from derive.trace import Trace

# What the call of the backward pass is for: its inputs, and all that is made of them (a gradient may be zero, and read none).
BACKWARD = ("seed", "adjoint", "gradient")


@dataclass(frozen=True)
class LoweredKernel:
    """One sweep over time, lowered, with the place of each of its tensors: what a backend makes code of.

    `mirrored`: its step t is the step T+1-t of everything that outlives the kernel, arguments and tape.
    """

    name: str
    lowered: Lowered
    storage: Storage
    mirrored: bool = False


@dataclass(frozen=True, eq=False)
class Model:
    """A cell with everything that the passes made of it: input of the backends, of the checks and of the documents."""

    name: str
    doc: str
    primal: Program
    adjoint: Program
    loss: Program
    counts: tuple[Count, ...]
    kernels: tuple[LoweredKernel, ...]
    tape: dict[str, Place]
    signature: Signature
    trace: Trace

    @property
    def meta(self) -> dict[str, Any]:
        """The signature in short: sizes, names and symbolic shapes, for templates and documents."""
        made = self.signature
        return {
            "params": made.params,
            "states": {a.of: a.width for a in made.of_role("initial")},
            "gates": made.gates,
            "dims": made.dims,
            "inputs": made.inputs,
            "output": (self.primal.facts.output, made.output.width),
            "targets": {a.name: a.width for a in made.targets},
            "init": _init(self.primal),
        }

    @property
    def on_tape(self) -> dict[str, list[object]]:
        """Where a value is on the tape: the region, its slot of so many in a row, and the dimensions of the value."""
        regions = list(dict.fromkeys(place.array for place in self.tape.values()))
        return {
            name: [regions.index(place.array), place.slot, place.slots, *map(str, self.adjoint.tensors[name].dims)]
            for name, place in self.tape.items()
        }

    @property
    def title(self) -> str:
        """The first line of the cell's documentation."""
        return next(iter(self.doc.splitlines()), "") or "a cell without documentation"

    @property
    def digest(self) -> str:
        return self.adjoint.digest


def _init(program: Program) -> dict[str, Any]:
    """The rule of the first values of each public array; a list of them for gates that differ."""
    found: dict[str, dict[int, Any]] = {}
    own: Any
    for tensor in program.of_role("param"):
        array, slot = parameter(program, tensor)
        rule = program.facts.init.get(tensor.family or tensor.name, "uniform")
        own = rule.get(tensor.member, "uniform") if isinstance(rule, Mapping) else rule
        found.setdefault(array, {})[slot] = own if isinstance(own, str) else float(own)
    rules = {array: [slots[k] for k in sorted(slots)] for array, slots in found.items()}
    return {array: own[0] if len(set(own)) == 1 else own for array, own in rules.items()}


@cache
def model(cell: Cell, loss: Loss | None = None) -> Model:
    """All passes in order.  Raises DeriveError for what a cell may not say, EngineError where a pass went wrong."""
    loss = loss or registry.loss("squared_error")
    trace = Trace()
    primal = trace.run("normalize", cell.normal)
    adjoint = trace.run("adjoint", vjp, primal)
    counts = [count(adjoint, "derived")]
    for rule in RULES:
        adjoint = ir.verify(trace.run(rule.__name__, rule, adjoint))
        counts.append(count(adjoint, rule.__name__))
    objective = trace.run("loss", _objective, loss, primal, adjoint)
    many = trace.run("batch", batch, adjoint)
    many = trace.run("apart_from_results", apart_from_results, many)
    first, second = trace.run("partition", _forward_and_backward, many)
    objectives = trace.run("batch_loss", batch, objective)

    saved = tape(first.program, second.program, primal.facts.keep)
    places = tape_places(first.program, saved)
    again = trace.run("rematerialise", rematerialise, first.program, second.program)
    states = tape_places(first.program, tuple(n for n in tape(first.program, again) if n in primal.facts.states))
    # Of the whole program: a kernel that reads some gates of a family only finds them where all are.
    arguments = argument_places(many)
    outputs = primal.outputs

    kernels = (
        _kernel(trace, "infer", needed(first.program, outputs), arguments, {}, 1),
        _kernel(trace, "forward", needed(first.program, (*outputs, *saved)), arguments, places, 1),
        _kernel(trace, "loss", objectives, argument_places(objectives), {}, 0),
        _kernel(trace, "backward", second.program, arguments, places, -1),
        _kernel(trace, "record", needed(first.program, outputs), arguments, states, 1),
        _kernel(trace, "recompute", again, arguments, states, -1),
    )
    called = trace.run("signature", signature, primal, objective)
    return Model(cell.name, cell.doc, primal, adjoint, objective, tuple(counts), kernels, places, called, trace)


@dataclass(frozen=True, eq=False)
class Routine:
    """Any program as kernels that run one after the other: a function of all of its inputs.

    `arguments` are the arrays of the caller, one for each input and output; `tape` holds what one kernel makes and a later
    one reads.
    """

    name: str
    program: Program
    arguments: dict[str, Place]
    tape: dict[str, Place]
    kernels: tuple[LoweredKernel, ...]
    trace: Trace

    @property
    def digest(self) -> str:
        return self.program.digest

    @property
    def dims(self) -> list[str]:
        """The dimensions of its arrays, by name, in a fixed order."""
        found = {str(d) for x in self.program.tensors.values() for d in x.dims if d != ir.B}
        return sorted(found)


def routine(name: str, program: Program) -> Routine:
    """A program for one sequence -> kernels for B of them, one for each sweep over time.

    Takes what the passes make of each other: derivatives of derivatives (simplify them first), tangents, stacks.  Raises
    DeriveError for what has no lowering.
    """
    trace = Trace()
    program = trace.run("peel", peel, program)
    many = trace.run("batch", batch, program)
    many = needed(many, many.outputs)
    sweeps = trace.run("partition", partition, many)
    sweeps = trace.run("with_copies", with_copies, many, sweeps)
    arguments = own_places(many)
    crossing = [
        n
        for k, sweep in enumerate(sweeps)
        for n in sweep.program.defined
        if n not in arguments
        and sweep.program.tensors[n].time is not None
        and any(n in later.program.tensors for later in sweeps[k + 1 :])
    ]
    whole = replace(many, tensors={**many.tensors, **{n: x for s in sweeps for n, x in s.program.tensors.items()}})
    on_tape = with_initials(many, tape_places(whole, tuple(crossing)))
    arguments = with_initials(many, arguments)
    kernels = tuple(
        _kernel(trace, f"sweep{k}", sweep.program, arguments, on_tape, sweep.direction, sweep.mirrored)
        for k, sweep in enumerate(sweeps, 1)
    )
    return Routine(name, many, arguments, on_tape, kernels, trace)


def _forward_and_backward(program: Program) -> list[Sweep]:
    """The two sweeps of a cell: all that no seed has a part in, and the rest."""
    sweeps = partition(program, [x.name for x in program.of_role(*BACKWARD)])
    if len(sweeps) != 2:
        raise DeriveError(
            f"{program.name}: a cell runs forwards in time, and its adjoint backwards; found {len(sweeps)} sweeps:\n"
            + "\n".join(s.dump().splitlines()[0] for s in sweeps)
        )
    return sweeps


def _objective(loss: Loss, primal: Program, adjoint: Program) -> Program:
    """The loss and its gradient with respect to the output, under the name by which the adjoint reads it."""
    output = primal.facts.output
    found, _ = simplify(vjp(loss.of(primal.tensors[output]), [output]))
    check_target_names(f"loss {loss.name}", primal, found)
    found = _as_seed(found, adjoint, output)
    return replace(found, facts=replace(found.facts, gates=(), states=(), output=output))


def _as_seed(objective: Program, adjoint: Program, output: str) -> Program:
    """The gradient of the loss under the name by which the adjoint of the cell reads it, its direct part of dL/dh."""
    old, new = adjoint_name(output), f"seed_{output}"
    seed = adjoint.tensors.get(new)
    tensors = {
        n if n != old else new: x if n != old else replace(x, name=new, latex=seed.latex if seed else x.latex)
        for n, x in objective.tensors.items()
    }
    swap = {sp.tensor.IndexedBase(old): sp.tensor.IndexedBase(new), sp.Symbol(old): sp.Symbol(new)}
    equations = [replace(e, lhs=e.lhs.xreplace(swap), rhs=e.rhs.xreplace(swap)) for e in objective.equations]
    return replace(objective, tensors=tensors, equations=tuple(equations), outputs=(new,))


def _kernel(
    trace: Trace,
    name: str,
    program: Program,
    arguments: dict[str, Place],
    saved: dict[str, Place],
    direction: int,
    mirrored: bool = False,
) -> LoweredKernel:
    """One kernel; `arguments` are the places of all that the caller owns, `direction` is that of the loops over time."""
    program = replace(program, name=f"{program.name}, {name}")
    lowered = trace.run_for(name, "lower", lower, program, direction)
    lowered = trace.run_for(name, "fuse", fuse, lowered, saved)
    own = {n: p for n, p in arguments.items() if n in lowered.program.tensors}
    storage = trace.run_for(name, "storage", place, lowered, own, saved)
    return LoweredKernel(name, lowered, verify_storage(lowered, storage), mirrored)
