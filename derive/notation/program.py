"""From what was written to a program: roles, times and names of the tensors, and the equations at the ends of time."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import replace

import sympy as sp

from derive import ir
from derive.errors import DeriveError
from derive.ir import Equation, Program, T, Tensor, t
from derive.notation.checks import check_arguments, check_names, check_states, check_times, check_written
from derive.notation.sizes import Sizes
from derive.notation.writer import Name, Writer

SIZES = {"I": "input_size", "H": "hidden_size", "O": "output_size"}  # what the interfaces call them


def written(function: Callable[..., None], states: list[str], gates: list[str], public: dict[str, str]) -> Program:
    """The program that a function writes, not yet in normal form.

    `states` and `gates` are names of arguments, `public` maps public names of parameters to arguments.  Raises
    DeriveError with the cell, the equation and the index for what has no meaning.
    """
    where = f"cell {function.__name__}" if states else f"{function.__name__}"
    arguments = list(inspect.signature(function).parameters)
    check_names(where, arguments, [*states, *gates, *public.values()])
    check_arguments(where, function, states, gates)
    writer = Writer(where)
    writer.run(function, arguments)
    check_written(where, arguments, writer.used, writer.equations)
    program = ir.verify(_program(function.__name__, writer, states, gates, public))
    for group in ir.order(program):
        ir.in_step(program, group.tensors)
    return program


def _program(name: str, writer: Writer, states: list[str], gates: list[str], public: dict[str, str]) -> Program:
    where, sizes = writer.where, Sizes(writer.where, writer, states)
    assigned = [ir.name_of(lhs) for lhs, _ in writer.equations]
    tensors = {label: _tensor(writer.names[label], sizes, label in assigned) for label in sizes.order}
    check_states(where, states, assigned, tensors)
    equations = [
        Equation(lhs, sizes.resolve(p, rhs), f"F{p + 1}", ir.STEPS if lhs.has(t) else None)
        for p, (lhs, rhs) in enumerate(writer.equations)
    ]
    check_times(where, equations, states, tensors)
    equations += _boundaries(where, states, tensors, len(equations))
    inputs = [x.name for x in tensors.values() if x.role == "input"]
    last = tensors[assigned[-1]]
    output = states[0] if states else last.name
    if last.rank == 0:
        tensors[last.name] = replace(last, role="loss", batched=False)
    meta = {
        "states": tuple(states),
        "gates": tuple(gates),
        "inputs": tuple(inputs),
        "output": output,
        "public": {symbol: given for given, symbol in public.items()},
        "sizes": {str(d): SIZES.get(str(d), f"{str(d).lower()}_size") for d in sizes.dims},
    }
    outputs = (output, *(f"{s}_T" for s in states))
    return Program(name, tensors, tuple(equations), outputs, meta)


def _tensor(item: Name, sizes: Sizes, assigned: bool) -> Tensor:
    """What is assigned is a value; what is not is the input if it has time, a parameter if it has none."""
    timed, dims, indices = sizes.tensor(item.label)
    role = "value" if assigned else ("input" if timed else "param")
    return Tensor(
        item.label,
        dims,
        indices,
        role,
        ir.STEPS if timed else None,
        batched=role != "param",
        latex=_latex(item),
        family=item.family,
        member=item.member,
    )


def _latex(item: Name) -> str:
    greek = {"mu": r"\mu", "gamma": r"\gamma", "beta": r"\beta", "rho": r"\rho", "nu": r"\nu", "eta": r"\eta"}
    base = greek.get(item.family or str(item), item.family or str(item))
    head, *rest = base.split("_")
    below = ",".join([*rest, *([item.member] if item.member else [])])
    return rf"{greek.get(head, head)}_{{{below}}}" if below else greek.get(head, head)


def _boundaries(where: str, states: list[str], tensors: dict[str, Tensor], count: int) -> list[Equation]:
    """h(0) = h_0 and h_T = h(T): the two ends of the chain are equations like all others, and so are their adjoints."""
    found: list[Equation] = []
    for state in states:
        for name in (f"{state}_0", f"{state}_T"):
            if name in tensors:
                raise DeriveError(
                    f"{where}: the name {name} is taken, by the state {state} at one end of time; rename the argument"
                )
        body = tensors[state]
        tensors[state] = body = replace(body, time=(sp.Integer(0), T))
        base = body.latex or state
        first = replace(body, name=f"{state}_0", role="initial", time=None, latex=f"{base}_0")
        final = replace(body, name=f"{state}_T", role="final", time=None, latex=f"{base}_T")
        tensors[first.name], tensors[final.name] = first, final
        found.append(Equation(body.at(sp.Integer(0)), first.at(), f"F{count + len(found) + 1}", note="initial state"))
        found.append(Equation(final.at(), body.at(T), f"F{count + len(found) + 1}", note="final state"))
    return found
