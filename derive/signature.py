"""The names and places of what the caller owns: arguments of the C functions, parameters of the Python module."""

from __future__ import annotations

from derive import ir
from derive.ir import Program
from derive.notation.public import is_stacked, parameter, public_name
from derive.notation.reserved import CONTROLS, is_reserved
from derive.passes.storage import Place

__all__ = [
    "CONTROLS",
    "argument_places",
    "c_name",
    "initial_of",
    "is_reserved",
    "own_places",
    "parameter",
    "public_name",
]


def c_name(name: str, offset: int) -> str:
    """The C variable of a tensor at an offset: c, c_prev, d_z_i_next. No two tensors get the same one."""
    suffix = {0: "", -1: "_prev", 1: "_next"}[offset]
    base = f"{name}{suffix}".replace("'", "_")
    return f"{base}_" if is_reserved(base) or name.endswith(("_", "_prev", "_next", "_ld")) else base


def argument_places(program: Program) -> dict[str, Place]:
    """The tensors that the caller owns, by the names of the public interface."""
    gates = list(program.facts.gates)
    places: dict[str, Place] = {}
    output = program.facts.output
    for tensor in program.tensors.values():
        name = tensor.name
        primal = program.tensors[tensor.primal] if tensor.primal in program.tensors else tensor
        dim = next((d for d in tensor.dims if d != ir.B), None)
        if primal.role == "param" and tensor.role in ("param", "gradient"):
            array, slot = parameter(program, primal)
            prefix = "d_" if tensor.role == "gradient" else ""
            places[name] = Place(
                "arg", prefix + array, slot, len(gates) if slot or is_stacked(program, primal) else 1, dim
            )
        elif tensor.role in ("input", "target"):
            places[name] = Place("arg", "y" if tensor.role == "target" else _input(program, name), dim=dim, timed=True)
        elif name == output:
            places[name] = Place("arg", "out", dim=dim, timed=True, initial=initial_of(program, name))
        elif tensor.role == "gradient" and primal.role == "input":
            places[name] = Place("arg", f"d_{_input(program, primal.name)}", dim=dim, timed=True)
        elif tensor.role == "seed":
            places[name] = Place(
                "arg", "d_out" if tensor.time is not None else name, dim=dim, timed=tensor.time is not None
            )
        elif tensor.role in ("initial", "final") or (tensor.role == "gradient" and primal.role == "initial"):
            places[name] = Place("arg", name, dim=dim)
        elif tensor.role == "loss":
            places[name] = Place("arg", "loss")
    return places


def own_places(program: Program) -> dict[str, Place]:
    """An array of its own for every input and every output of a program, each under the name of its tensor."""
    names = [n for n in program.tensors if n in program.inputs or n in program.outputs]
    found = {}
    for name in names:
        tensor = program.tensors[name]
        dim = next((d for d in tensor.dims if d != ir.B), None)
        found[name] = Place("arg", c_name(name, 0), dim=dim, timed=tensor.time is not None)
    return found


def initial_of(program: Program, name: str) -> str:
    """The argument that stands for a state at t = 0; empty for what is no state."""
    return f"{name}_0" if name in program.facts.states else ""


def _input(program: Program, name: str) -> str:
    return "out" if name == program.facts.output else "x"
