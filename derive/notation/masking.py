"""A cell with a mask: a step that the mask leaves out keeps every state as it was.

h[t, n] = f(...)     ->     h_new[t, n] = f(...);  h[t, n] = where(m[t], h_new[t, n], h[t - 1, n])
"""

from __future__ import annotations

from dataclasses import replace

from derive import ir
from derive.errors import DeriveError
from derive.ir import Equation, Program, Tensor, t
from derive.ir.functions import where


def masked(program: Program, name: str) -> Program:
    """The program with one more input, a number `name` of each step: states change where it is not 0."""
    taken = {*program.tensors, *program.facts.sizes, *(x.family for x in program.tensors.values())}
    if name in taken:
        raise DeriveError(
            f'cell {program.name}: {name} has a meaning already; give the mask another name, masked("keep")'
        )
    mask = Tensor(name, (), (), "input", ir.STEPS)
    tensors = {name: mask, **program.tensors}
    equations: list[Equation] = []
    lines = dict(program.facts.lines)
    for equation in program.equations:
        state = program.tensors[equation.target]
        if equation.target not in program.facts.states or equation.origin.is_end:
            equations.append(equation)
            continue
        new = ir.unused_name(f"{state.name}_new", tensors)
        latex = rf"{state.latex or state.name}'"
        tensors[new] = replace(state, name=new, role="value", time=ir.STEPS, latex=latex, family="", member="")
        lines[new] = lines.get(state.name)
        before = state.at(t - 1, *ir.indices_of(equation.lhs, program.tensors))
        made = tensors[new].at(t, *ir.indices_of(equation.lhs, program.tensors))
        equations += [replace(equation, lhs=made), replace(equation, rhs=where(mask.at(), made, before))]
    order = [n for n in tensors if not any(e.target == n for e in equations)]
    order += list(dict.fromkeys(e.target for e in equations))
    inputs = (*program.facts.inputs, name)
    numbered = tuple(replace(e, id=f"F{p + 1}") for p, e in enumerate(equations))
    public = dict(program.facts.public)
    if len(program.facts.inputs) == 1:  # the only input is x, whatever the argument is called; of two each has its name
        public.setdefault(program.facts.inputs[0], "x")
    facts = replace(
        program.facts, inputs=inputs, lines={n: x for n, x in lines.items() if x is not None}, public=public
    )
    return ir.verify(replace(program, tensors={n: tensors[n] for n in order}, equations=numbered, facts=facts))
