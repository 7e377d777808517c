"""Public names: under which name a parameter or an input goes in Python and C, and whether that name is free.

W[i], W[f]  of a family with a member for every gate, all of one size     rows 0..H-1 and H..2H-1 of `weight_ih`
p[i], p[f]  of a family that lacks a gate, or has gates of two sizes      `peephole_i`, `peephole_f`
u           of no family                                                  `u`, or what the decorator calls it

The only input of a cell is `x`, whatever its argument is called; of several each has its own name, and the first of them is
the first argument of the Python functions.
"""

from __future__ import annotations

import keyword
from collections.abc import Mapping

from derive.errors import DeriveError
from derive.ir import Program, Tensor
from derive.notation.reserved import CONTROLS, is_reserved

USUAL = {"W": "weight_ih", "U": "weight_hh", "b": "bias"}  # what the field calls them

# What the functions of a compiled cell call their own arguments and results, in Python or in C.
FIXED = {
    "x": "the input",
    "y": "the targets of the loss",
    "out": "the output",
    "loss": "the value of the loss",
    "tape": "what forward keeps for backward",
    "workspace": "the buffer of a call",
    "d_out": "the derivative of the loss by the output",
    "params": 'all parameters, in wrt="params"',
    **dict.fromkeys(CONTROLS, "an option of the C functions"),
}


TARGETS = ("target", "weight", "count")  # roles of what a loss reads beside the prediction

# Keywords of the Python functions of a compiled cell, beside which inputs are given by their names.
KEYWORDS = ("self", "state", "d_state", "threads", "lengths", "wrt", "steps", "dtype", "seed", "op")


def input_names(program: Program) -> dict[str, str]:
    """The public name of each input, in the order of the arguments of the cell."""
    inputs = program.facts.inputs
    if len(inputs) == 1:
        return {inputs[0]: "x"}
    return {name: program.facts.public.get(name, name) for name in inputs}


def target_names(loss: Program) -> dict[str, str]:
    """The public name of what a loss reads beside the prediction: y of the first sequence, of the others their own.

    The count of a mean comes last: the Python functions give it themselves.
    """
    found = [x.name for x in loss.of_role(*TARGETS)]
    first = next((n for n in loss.facts.inputs if n in found), None)
    order = sorted(found, key=lambda n: (n != first, loss.tensors[n].role == "count"))
    return {n: "y" if n == first else n.replace("'", "_") for n in order}


def public_name(program: Program, tensor: Tensor) -> str:
    """The name of a parameter in the Python and C interfaces, without the gate."""
    symbol = tensor.family or tensor.name
    given: str = {**USUAL, **program.facts.public}.get(symbol, symbol)
    return given


def is_stacked(program: Program, tensor: Tensor) -> bool:
    """Whether the arrays of a family are stacked in one public array: a member for every gate, all of one shape.

    Numbers are not stacked: each is an array of its own.
    """
    gates = list(program.facts.gates)
    family = [x for x in program.tensors.values() if x.family == tensor.family and x.role == "param"]
    return (
        bool(tensor.family)
        and bool(gates)
        and sorted(x.member for x in family) == sorted(gates)
        and len({x.dims for x in family}) == 1
        and bool(tensor.dims)
    )


def parameter(program: Program, tensor: Tensor) -> tuple[str, int]:
    """The public array of a parameter and the gate's position in it."""
    gates = list(program.facts.gates)
    base = public_name(program, tensor)
    if is_stacked(program, tensor):
        return base, gates.index(tensor.member)
    return (f"{base}_{tensor.member}" if tensor.member else base), 0


def check_public_names(where: str, program: Program) -> None:
    """Raise where a public name has another meaning, is no identifier, or belongs to two parameters or inputs.

    A parameter is a key of the dicts of parameters and of gradients, and a member of the C struct.  An input is a keyword of
    the Python functions, a key of the dict of gradients, and a member of the C struct.
    """
    _check_inputs(where, program)
    arrays: dict[str, Tensor] = {}
    uses = {**_uses(program), **{name: f"the input {name}" for name in input_names(program).values() if name != "x"}}
    for tensor in program.of_role("param"):
        name, _ = parameter(program, tensor)
        first = arrays.setdefault(name, tensor)
        if (first.family or first.name, is_stacked(program, first)) != (
            tensor.family or tensor.name,
            is_stacked(program, tensor),
        ):
            raise DeriveError(
                f"{where}: the parameters {_written(first)} and {_written(tensor)} would both be called {name}; "
                f"{_rename(tensor)}{_line(program, tensor)}"
            )
    for name, tensor in arrays.items():
        if not (name.isidentifier() and name.isascii()) or keyword.iskeyword(name):
            raise DeriveError(
                f"{where}: {name!r}, the public name of {_written(tensor)}, is no name of Python and C; use Latin "
                f"letters, digits and underscores"
            )
        use = uses.get(name) or _gradient_of(name, {*uses, *arrays})
        if use or is_reserved(name):
            raise DeriveError(
                f"{where}: the interface has another use for the name {name}"
                f"{f' ({use})' if use else ', a word of C or of the kernels'}; {_rename(tensor)}"
                f"{_line(program, tensor)}"
            )


def check_target_names(where: str, cell: Program, loss: Program) -> None:
    """Raise where something that a loss reads has a name that the interface uses, with the cell in it or without."""
    arrays = {parameter(cell, x)[0]: "a parameter of the cell" for x in cell.of_role("param")}
    inputs = {name: "an input of the cell" for name in input_names(cell).values()}
    uses = {**dict.fromkeys(KEYWORDS, "an argument of the Python functions"), **_uses(cell), **arrays, **inputs}
    for name, public in target_names(loss).items():
        if public == "y":
            continue
        use = uses.get(public) or _gradient_of(public, {*uses})
        if not use and (keyword.iskeyword(public) or is_reserved(public) or not public.isascii()):
            use = "a word of Python, of C or of the kernels"
        if use:
            raise DeriveError(
                f"{where}: the interface has another use for the name {public} that the loss reads ({use}); rename the "
                f"argument of the loss{_line(loss, loss.tensors[name])}"
            )


def _check_inputs(where: str, program: Program) -> None:
    """Raise where one of several inputs has a name that the interface uses."""
    found = input_names(program)
    if len(found) < 2:
        return
    uses = {**_uses(program), **dict.fromkeys(KEYWORDS, "an argument of the Python functions")}
    first = next(iter(found.values()))
    for argument, name in found.items():
        tensor = program.tensors[argument]
        how = f'rename the argument, or give it a public name: @cell(..., input_{argument.lower()}="{argument}")'
        if name == "x" and name == first:
            continue
        if name == "x":
            use, how = "the first argument of the Python functions", "let x be the first argument of the cell"
        elif list(found.values()).count(name) > 1:
            use = "another input"
        elif not (name.isidentifier() and name.isascii()) or keyword.iskeyword(name) or is_reserved(name):
            use = "a word of Python, of C or of the kernels"
        else:
            use = uses.get(name) or _gradient_of(name, {*uses, *found.values()})
        if use:
            raise DeriveError(
                f"{where}: the interface has another use for the name {name} of an input ({use}); {how}{_line(program, tensor)}"
            )


def _uses(program: Program) -> Mapping[str, str]:
    """The names that the interface of a cell has already, each with what it stands for."""
    uses = {**FIXED, **{size: f"the size {size}" for size in program.facts.sizes}}
    for state in program.facts.states:
        uses |= {
            f"{state}0": f"the gradient of the initial state {state}",
            f"{state}_0": f"the initial state {state}",
            f"{state}_T": f"the final state {state}",
        }
    return uses


def _gradient_of(name: str, others: set[str]) -> str:
    base = name.removeprefix("d_")
    return f"the gradient of {base}" if base != name and base in others else ""


def _line(program: Program, tensor: Tensor) -> str:
    """Where a parameter is read first, to stand behind a message."""
    line = program.facts.lines.get(tensor.name)
    return f"\n  {line}" if line is not None else ""


def _written(tensor: Tensor) -> str:
    return f"{tensor.family}[{tensor.member}]" if tensor.family else tensor.name


def _rename(tensor: Tensor) -> str:
    argument = tensor.family or tensor.name
    return f'rename the parameter, or give it a public name: @cell(..., weight_{argument.lower()}="{argument}")'
