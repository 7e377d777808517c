"""Programs of several layers: one above the other, or one beside the other in the opposite direction.

    stack(lower, upper)      the input of the upper layer is the output of the lower one
    both_directions(layer)   the layer, and its mirror image on the same input

What comes out is a program like any other: it is differentiated, printed and compiled by the same passes.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

import sympy as sp
from sympy.tensor.indexed import IndexedBase

from derive import ir
from derive.errors import DeriveError
from derive.ir import Facts, Program
from derive.passes.mirror import mirror


def renamed(program: Program, mark: str, keep: Collection[str] = ()) -> Program:
    """The program with a mark behind the names of its tensors and the IDs of its equations; `keep` stay as they are.

    h becomes h_r and F2 becomes F2.r: an ID stands in comments of C and in TeX, where an underscore means something.
    """
    dotted = f".{mark.strip('_')}"
    names = {n: n if n in keep else f"{n}{mark}" for n in program.tensors}
    swap: dict[sp.Basic, sp.Basic] = {IndexedBase(old): IndexedBase(new) for old, new in names.items()}
    swap |= {sp.Symbol(old, real=True): sp.Symbol(new, real=True) for old, new in names.items()}
    tensors = {
        names[n]: replace(
            x,
            name=names[n],
            family=f"{x.family}{mark}" if x.family else "",
            primal=names.get(x.primal, x.primal),
            latex=x.latex if n in keep else "",
        )
        for n, x in program.tensors.items()
    }
    equations = [
        replace(
            e,
            lhs=e.lhs.xreplace(swap),
            rhs=e.rhs.xreplace(swap),
            id=f"{e.id}{dotted}",
            merged=tuple(f"{i}{dotted}" for i in e.merged),
            whole=names.get(e.whole, e.whole),
        )
        for e in program.equations
    ]
    outputs = tuple(names[n] for n in program.outputs)
    return ir.verify(replace(program, tensors=tensors, equations=tuple(equations), outputs=outputs))


def both_directions(program: Program, mark: str = "_r") -> Program:
    """A layer and the same layer from the end of the sequence to its beginning, with parameters of its own.

    Every tensor but the inputs has a twin with the mark behind its name; the outputs are those of both.
    """
    inputs = [x.name for x in program.of_role("input")]
    return beside(f"{program.name}, both directions", program, renamed(mirror(program), mark, inputs))


def stack(lower: Program, upper: Program, output: str, mark: str = "_2") -> Program:
    """Two layers: the upper one, whose tensors get the mark, reads `output` of the lower one in place of its input.

    Raises DeriveError where the upper layer has not one input, or one with other axes than the output.
    """
    inputs = upper.of_role("input")
    if len(inputs) != 1 or len(inputs[0].dims) != len(lower.tensors[output].dims):
        raise DeriveError(
            f"{upper.name}: an upper layer reads one input with the axes of {output}, as {lower.name} gives it"
        )
    read, given = inputs[0], lower.tensors[output]
    (size,) = given.dims
    fed = renamed(upper, mark)
    own = fed.tensors[f"{read.name}{mark}"]
    # The sizes of the upper layer are its own, but for that of what it reads.
    dims = {d: size if d == own.dims[0] else ir.dimension(f"{d}{mark}") for x in fed.tensors.values() for d in x.dims}
    swap: dict[sp.Basic, sp.Basic] = {IndexedBase(own.name): IndexedBase(output), **dims}
    tensors = {n: replace(x, dims=tuple(dims[d] for d in x.dims)) for n, x in fed.tensors.items() if n != own.name} | {
        output: given
    }
    equations = [replace(e, lhs=e.lhs.xreplace(swap), rhs=e.rhs.xreplace(swap)) for e in fed.equations]
    above = replace(fed, tensors=tensors, equations=tuple(equations), facts=_with_sizes(fed.facts, dims))
    return beside(f"{upper.name} on {lower.name}", lower, above)


def beside(name: str, first: Program, second: Program) -> Program:
    """Two programs as one; tensors of the same name are the same."""
    tensors = {**second.tensors, **first.tensors}
    order = [*first.tensors, *(n for n in second.tensors if n not in first.tensors)]
    facts = replace(first.facts, sizes={**second.facts.sizes, **first.facts.sizes})
    return ir.verify(
        Program(
            name,
            {n: tensors[n] for n in order},
            (*first.equations, *second.equations),
            (*first.outputs, *(n for n in second.outputs if n not in first.outputs)),
            facts,
        )
    )


def _with_sizes(facts: Facts, dims: Mapping[sp.Symbol, sp.Symbol]) -> Facts:
    """The facts of a program whose dimensions have other names."""
    return replace(facts, sizes={str(new): f"{str(new).lower()}_size" for new in dims.values()})
