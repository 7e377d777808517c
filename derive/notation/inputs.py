"""Which tensors are inputs: what is read with time and never assigned, unless it is a value whose equation was forgotten."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sympy.tensor.indexed import Indexed

from derive import ir
from derive.errors import DeriveError
from derive.ir import Tensor
from derive.notation.checks import reader_of
from derive.notation.writer import Writer


def check_inputs(writer: Writer, tensors: Mapping[str, Tensor], states: Sequence[str], declared: Sequence[str]) -> None:
    """Raise unless a cell has an input, a tensor with time that no equation defines, and each of several is one.

    A forgotten equation leaves such a tensor as well.  One is told from an input by what it is: a member of a family
    is no input, and what has the size of a value and stands behind the states is a value, unless it is `declared`.
    """
    found = [x for x in tensors.values() if x.role == "input"]
    for name in declared:
        if name not in [x.name for x in found]:
            p = next((p for p, (lhs, _) in enumerate(writer.equations) if ir.name_of(lhs) == name), None)
            if p is not None:
                raise writer.mistake(
                    p, f"{name} is assigned, and the decorator names it in inputs=; a caller gives inputs"
                )
            raise DeriveError(
                f"{writer.where}: {name} stands in inputs= of the decorator and is read without time; write {name}[t, j], or "
                f"leave it away where {name} is a parameter{reader_of(writer, name)}"
            )
    if not states or (len(found) == 1 and not declared):
        return
    if not found:
        raise DeriveError(
            f"{writer.where}: a cell reads at least one input sequence, found none; an input is an argument that is read with "
            f"time and never assigned: Sum(W[n, j] * x[t, j], j)"
        )
    values = {d for x in tensors.values() if x.role == "value" for d in x.dims}
    arguments = list(writer.names)
    for x in found:
        behind = arguments.index(x.family or x.name) > min(map(arguments.index, states))
        if x.family or (x.name not in declared and behind and values & set(x.dims)):
            raise _forgotten(writer, x, [y.name for y in found], states)


def _forgotten(writer: Writer, tensor: Tensor, inputs: Sequence[str], states: Sequence[str]) -> DeriveError:
    """The error of a value that is read and has no equation."""
    at = ", ".join(["t", *map(str, tensor.indices)])
    written = f"{tensor.family}[{tensor.member}]" if tensor.family else tensor.name
    read = {ir.name_of(a) for _, rhs in writer.equations for a in rhs.atoms(Indexed)}
    unread = [n for n in (ir.name_of(lhs) for lhs, _ in writer.equations) if n not in read and n not in states]
    how = f", or leave the time away where {written} is a parameter"
    if unread:
        how = f"; {unread[0]} is assigned and never read, is one of the two meant for the other?"
    if not tensor.family:
        named = " ".join(n for n in inputs if n not in writer.members())
        how += (
            f". If it is an input that the caller gives, put it before {states[0]} among the arguments, or say so: "
            f'@cell(..., inputs="{named}")'
        )
    return DeriveError(
        f"{writer.where}: {written} is read with time, and no equation defines it; write {written}[{at}] = ...{how}"
        f"{reader_of(writer, tensor.name)}"
    )
