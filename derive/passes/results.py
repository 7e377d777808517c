"""What a caller may leave out is read by nothing: the gradient of an input that other equations read is a copy.

d_v[t,n] = d_h[t,n]*c[t-1,n]         ->   value_d_v[t,n] = d_h[t,n]*c[t-1,n];  d_v[t,n] = value_d_v[t,n]
d_u[t,n] = d_v[t,n]*v[t,n]                d_u[t,n] = value_d_v[t,n]*v[t,n]
"""

from __future__ import annotations

from dataclasses import replace

from sympy.tensor.indexed import IndexedBase

from derive import ir
from derive.ir import Equation, Program


def apart_from_results(program: Program) -> Program:
    """The program, in which gradients of inputs are read by no equation."""
    for name in [n for n in program.defined if is_optional(n, program)]:
        if any(ir.name_of(a) == name for e in program.equations for a in ir.accesses(e.rhs, program.tensors)):
            program = _with_copy(program, name)
    return program


def is_optional(name: str, program: Program) -> bool:
    """Whether a tensor is the gradient of an input."""
    tensor = program.tensors[name]
    primal = program.tensors.get(tensor.primal)
    return tensor.role == "gradient" and primal is not None and primal.role == "input"


def _with_copy(program: Program, name: str) -> Program:
    own = program.tensors[name]
    value = replace(own, name=ir.unused_name(f"value_{name}", program.tensors), role="adjoint", family="", member="")
    swap = {IndexedBase(name): IndexedBase(value.name), own.at(): value.at()}
    equations: list[Equation] = []
    for equation in program.equations:
        inner = replace(equation, lhs=equation.lhs.xreplace(swap), rhs=equation.rhs.xreplace(swap))
        equations.append(inner)
        if equation.target == name:
            equations.append(replace(equation, rhs=inner.lhs, id=f"{equation.id}.copy", merged=()))
    return program.with_equations(equations, {**program.tensors, value.name: value})
