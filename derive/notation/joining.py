"""A head on top of a cell, and a loss on top of both: the upper program reads the output of the lower.

What the upper one calls by itself, the loss's target and sizes above all, keeps its name unless the lower one has it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

import sympy as sp
from sympy.tensor.indexed import Indexed, IndexedBase

from derive import ir
from derive.errors import DeriveError
from derive.ir import Program, Tensor
from derive.notation.sizes import free_size


def join(lower: Program, upper: Program, name: str) -> Program:
    """The equations of a cell and of a head that reads its output; the head's output is that of the whole.

    A further sequence that the head reads is the cell's input of that name, or an input of its own.
    """
    own = lower.tensors[lower.facts.output]
    both = {n: lower.tensors[n] for n in upper.facts.inputs[1:] if n in lower.facts.inputs}
    taken = {*lower.facts.sizes, *lower.tensors, *(x.family for x in lower.tensors.values())}
    upper = rebind(upper, own, taken, both)
    clash = set(upper.tensors) & {*lower.tensors, *lower.facts.sizes} - {lower.facts.output, *both}
    if clash:
        raise DeriveError(f"{name}: {', '.join(sorted(clash))} means two things; rename it in the head or in the cell")
    body = [e for e in lower.equations if not e.origin.is_end]
    ends = [e for e in lower.equations if e.origin.is_end]
    equations = [*body, *upper.equations, *ends]
    numbered = [replace(e, id=f"F{p + 1}") for p, e in enumerate(equations)]
    tensors = {**lower.tensors, **{x: y for x, y in upper.tensors.items() if x not in lower.tensors}}
    output = upper.facts.output
    facts = replace(
        lower.facts,
        inputs=(*lower.facts.inputs, *(n for n in upper.facts.inputs[1:] if n not in both)),
        output=output,
        public={**lower.facts.public, **upper.facts.public},
        lines={**upper.facts.lines, **lower.facts.lines},
        sizes={**lower.facts.sizes, **upper.facts.sizes},
    )
    outputs = (output, *(f"{s}_T" for s in lower.facts.states))
    return ir.verify(Program(name, tensors, tuple(numbered), outputs, facts))


def rebind(
    program: Program, prediction: Tensor, sizes: Collection[str] = (), both: Mapping[str, Tensor] | None = None
) -> Program:
    """A head with its first argument replaced by another tensor, dimension and all, and so the arguments `both`.

    Its own tensors get out of the way of that one and of its gradients, its own sizes out of the way of `sizes`.
    """
    both = both or {}
    slot = program.tensors[program.facts.inputs[0]]
    if len(slot.dims) == 1 and len(prediction.dims) != 1:
        if program.facts.classes:
            raise DeriveError(
                f"{program.name} names a unit by its number, and {prediction.name} has {len(prediction.dims)} axes beside time; "
                f"let the output have one, by a head on top of the cell"
            )
        program = _over_units(program, slot.dims[0], prediction)
        slot = program.tensors[program.facts.inputs[0]]
    if len(slot.dims) != len(prediction.dims):
        raise DeriveError(
            f"{program.name} reads a tensor with {len(slot.dims)} axes beside time, {prediction.name} has "
            f"{len(prediction.dims)}"
        )
    dims = dict(zip(slot.dims, prediction.dims, strict=True))
    for name, tensor in both.items():
        if len(program.tensors[name].dims) != len(tensor.dims):
            raise DeriveError(
                f"{program.name} reads {program.tensors[name].at()}, and the {name} of the cell is {tensor.at()}; rename the "
                f"argument of the head if it is an input of its own"
            )
        dims |= dict(zip(program.tensors[name].dims, tensor.dims, strict=True))
    taken = {*sizes, *map(str, prediction.dims), *program.tensors}
    for size in program.facts.sizes:
        if (dim := ir.dimension(size)) not in dims:
            dims[dim] = ir.dimension(free_size(size, taken))
            taken.add(str(dims[dim]))
    names = _names(program, slot, prediction)
    swap = {IndexedBase(old): IndexedBase(new) for old, new in names.items()} | dict(dims)
    swap |= {sp.Symbol(old, real=True): sp.Symbol(new, real=True) for old, new in names.items()}

    def renamed(tensor: Tensor) -> Tensor:
        return replace(tensor, name=names[tensor.name], dims=tuple(dims.get(d, d) for d in tensor.dims))

    tensors = {prediction.name: replace(prediction, role="input", time=ir.STEPS)}
    tensors |= {names[x.name]: renamed(x) for x in program.tensors.values() if x.name != slot.name}
    equations = [replace(e, lhs=e.lhs.xreplace(swap), rhs=e.rhs.xreplace(swap)) for e in program.equations]
    facts = replace(
        program.facts,
        inputs=tuple(names[x] for x in program.facts.inputs),
        output=names[program.facts.output],
        lines={names[x]: line for x, line in program.facts.lines.items()},
        classes={names[x]: str(dims.get(ir.dimension(d), d)) for x, d in program.facts.classes.items()},
        sizes={
            str(dims[ir.dimension(d)]): _keyword(d, dims[ir.dimension(d)], s) for d, s in program.facts.sizes.items()
        },
    )
    outputs = tuple(names[x] for x in program.outputs)
    return replace(program, tensors=tensors, equations=tuple(equations), outputs=outputs, facts=facts)


def _over_units(program: Program, dim: sp.Symbol, prediction: Tensor) -> Program:
    """A program that runs over the units of one dimension, over those of a prediction that has several, or none.

    Its index n becomes the indices of the prediction: (h[t,n] - y[t,n])**2 is (h[t,n,d] - y[t,n,d])**2.
    """
    sizes = {dim: sp.Mul(*prediction.dims)}
    taken = {s.name for e in program.equations for s in (*e.lhs.free_symbols, *e.rhs.atoms(sp.Symbol))}
    fresh: dict[sp.Expr, tuple[sp.Symbol, ...]] = {}

    def several(symbol: sp.Expr) -> tuple[sp.Symbol, ...]:
        if symbol not in fresh:
            found = [symbol][: len(prediction.indices)]
            for index in prediction.indices[1:]:
                found.append(ir.index(ir.unused_name(str(index), taken)))
                taken.add(found[-1].name)
            fresh[symbol] = tuple(found)
        return fresh[symbol]

    def accessed(node: sp.Expr) -> sp.Expr:
        if isinstance(node, sp.Sum) and any(hi == dim for _, _, hi in node.limits):
            limits = [
                (s, 1, d)
                for symbol, _, hi in node.limits
                for s, d in (zip(several(symbol), prediction.dims, strict=True) if hi == dim else [(symbol, hi)])
            ]
            return sp.Sum(node.function, *limits) if limits else node.function
        if not isinstance(node, Indexed) or dim not in program.tensors[ir.name_of(node)].dims:
            return node
        tensor = program.tensors[ir.name_of(node)]
        own = zip(ir.indices_of(node, program.tensors), tensor.dims, strict=True)
        when = ir.time_of(node, program.tensors)
        first = () if when is None else (when,)
        return node.base[(*first, *(s for i, d in own for s in (several(i) if d == dim else (i,))))]

    def wider(tensor: Tensor) -> Tensor:
        pairs = list(zip(tensor.indices, tensor.dims, strict=True))
        return replace(
            tensor,
            indices=tuple(s for i, d in pairs for s in (several(i) if d == dim else (i,))),
            dims=tuple(s for _, d in pairs for s in (prediction.dims if d == dim else (d,))),
        )

    equations = [
        replace(e, lhs=ir.walk(e.lhs, accessed), rhs=ir.walk(e.rhs, accessed).xreplace(sizes))
        for e in program.equations
    ]
    others = {d: keyword for d, keyword in program.facts.sizes.items() if d != str(dim)}
    facts = replace(program.facts, sizes={**{str(d): f"{str(d).lower()}_size" for d in prediction.dims}, **others})
    tensors = {name: wider(x) for name, x in program.tensors.items()}
    return replace(program, tensors=tensors, equations=tuple(equations), facts=facts)


def _names(program: Program, slot: Tensor, prediction: Tensor) -> dict[str, str]:
    """New names: the prediction's for the first argument; another where the prediction or its gradient has it."""
    taken = {prediction.name, f"d_{prediction.name}", f"seed_{prediction.name}", *program.tensors}
    names = {slot.name: prediction.name}
    for name in program.tensors:
        if name != slot.name:
            clashes = name in (prediction.name, f"d_{prediction.name}", f"seed_{prediction.name}")
            names[name] = ir.unused_name(name, taken) if clashes else name
            taken.add(names[name])
    return names


def _keyword(old: str, new: sp.Symbol, keyword: str) -> str:
    return keyword if str(new) == old else f"{str(new).lower()}_size"
