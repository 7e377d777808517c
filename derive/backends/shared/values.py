"""What a backend asks of the equations of a lowered kernel before it prints them."""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence

import sympy as sp

from derive import ir
from derive.errors import DeriveError
from derive.ir import Equation, Tensor, span

Tensors = dict[str, Tensor]


def has_units(tensor: Tensor) -> bool:
    """Whether a row has a value for every unit; otherwise it has one number."""
    return any(d != ir.B for d in tensor.dims)


def from_afar(rhs: sp.Expr, tensors: Tensors) -> set[sp.Expr]:
    """The accesses of another step, and of terms that live at one end of time: they are added last.

    What a step takes off again, as a norm does with a mean, then meets what it was added to and nothing else.
    """
    guarded = [a for term in ir.terms(rhs) if term.has(span) for a in ir.accesses(term, tensors)]
    return {*guarded, *(a for a in ir.accesses(rhs, tensors) if ir.offset(ir.time_of(a, tensors)))}


def integrand(rhs: sp.Expr) -> sp.Expr:
    """The terms under the sums of an equation, which run over the same units, as one expression to be added up.

    Of the largest of some values, these values.
    """
    if isinstance(rhs, ir.Largest):
        return rhs.function
    parts = [
        term.function if isinstance(term, sp.Sum) else term / total * total.function
        for term in ir.terms(rhs)
        for total in [next(iter(sorted(term.atoms(sp.Sum), key=sp.default_sort_key)))]
    ]
    return sp.Add(*parts)


def only_at_end(rhs: sp.Expr, tensors: Tensors) -> set[sp.Expr]:
    """Accesses of terms that live at t = T only: what is given for that step, such as a seed, and is zero at all others."""
    found: set[sp.Expr] = set()
    for term in ir.terms(rhs):
        # Inside of the loop 1 <= t <= T holds; lower leaves such a term out at the edge.
        guards = [g for g in term.atoms(span) if g.args[1:] != (1, ir.T)]
        if not guards:
            continue
        if any(g.args[1:] != (ir.T, ir.T) for g in guards):
            raise DeriveError(f"the term {term} lives on a range of time that has no lowering yet")
        given = [a for a in ir.accesses(term, tensors) if tensors[ir.name_of(a)].batched]
        reads = [a for a in given if tensors[ir.name_of(a)].time is None]
        if not reads:
            raise DeriveError(f"the term {term} lives at t = T only but reads nothing that is given for that step")
        found |= set(reads)
    return found


def is_gradient_of_input(name: str, tensors: Tensors) -> bool:
    """Whether a tensor is the gradient of an input: a caller may want those of the parameters alone."""
    primal = tensors.get(tensors[name].primal)
    return tensors[name].role == "gradient" and primal is not None and primal.role == "input"


def live(
    equations: Sequence[Equation], stored: Container[str], readers: Iterable[Equation], tensors: Tensors
) -> list[Equation]:
    """The equations of a stage that have a use: their values are stored, or read in the stage.

    What is computed for the step t = 0 alone has none at the other steps.
    """
    read = {ir.name_of(a) for e in readers for a in ir.accesses(e.rhs, tensors)}
    found: list[Equation] = []
    for equation in reversed(equations):
        if equation.target in stored or equation.target in read:
            found.insert(0, equation)
            read |= {ir.name_of(a) for a in ir.accesses(equation.rhs, tensors)}
    return found
