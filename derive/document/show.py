"""How cells, programs, equations, steps and documents show themselves in a notebook.

Asked by the `Shown` objects of derive/ir/; no other module needs to import this.
"""

from __future__ import annotations

from html import escape
from typing import Any

import sympy as sp
from sympy.tensor.indexed import Indexed

from derive import ir
from derive.document.blocks import Details, Display, Page, Row
from derive.document.derivation import row_of
from derive.document.formula import Formula, joined
from derive.document.matrix import Matrices
from derive.document.names import Names
from derive.document.write_html import fragment
from derive.escaping import visible
from derive.ir import STEPS, Program, Tensor, t
from derive.notation import Cell, Head
from derive.passes.adjoint import Step


def latex(item: Any) -> str:
    """The equations of an object as one display."""
    if isinstance(item, Page):
        return _display([r for s in item.sections for r in _rows(s.blocks) if r.id])
    if isinstance(item, Step):
        return _display(_step(item))
    program = item if isinstance(item, Program) else item.program()
    return _display(_program(program))


def html(item: Any) -> str:
    """A heading, and the equations for MathJax or KaTeX of the notebook to set."""
    if isinstance(item, Page):
        return fragment(item)
    if isinstance(item, Step):
        return f"<p><b>{item.id}.</b> {item.parent}, {escape(item.read)} &rarr; {item.into}</p>\n{latex(item)}"
    said = ""
    if isinstance(item, (Cell, Head)):
        said = f": {escape(visible(item.doc.splitlines()[0]))}" if item.doc else ""
    return f"<p><b>{escape(item.name)}</b>{said}</p>\n{latex(item)}"


def _display(rows: list[Row]) -> str:
    lines = []
    for row in rows:
        number = rf" && \text{{({row.id})}}" if row.id else ""
        where = rf" \qquad {row.where}" if row.where else ""
        lines.append(f"{row.lhs} &{row.sign} {joined(list(row.parts))}{where}{number}")
    return "$$\\begin{aligned}\n" + " \\\\\n".join(lines) + "\n\\end{aligned}$$"


def _rows(blocks: Any) -> list[Row]:
    found: list[Row] = []
    for block in blocks:
        if isinstance(block, Display):
            found += block.rows
        elif isinstance(block, Details):
            found += _rows(block.body)
    return found


def _program(program: Program) -> list[Row]:
    first = program
    while first.primal is not None:
        first = first.primal
    formula = Formula(program.tensors, Names(first, program))
    return [row_of(e, formula, Matrices(formula)) for e in program.equations]


def _step(step: Step) -> list[Row]:
    """The local derivative, the contraction and the term; shapes are read off the indices."""
    name = step.read.partition("[")[0]
    tensors = _tensors(step)
    formula = Formula(
        tensors,
        Names(Program("step", {n: x for n, x in tensors.items() if not x.primal}, ()), Program("", tensors, ())),
    )
    indices = [i.strip() for i in step.read.rstrip("]").partition("[")[2].split(",") if i]
    timed = tensors[name].time is not None
    letter = formula.names.letters[name].latex(indices[timed:], indices[0] if timed else "")
    where = formula.range(step.when) if step.when is not None else ""
    return [
        Row(rf"\frac{{\partial\,\text{{{step.parent}}}}}{{\partial {letter}}}", tuple(formula.parts(step.local))),
        Row("", tuple(formula.parts(step.contraction))),
        Row("", tuple(formula.parts(step.result)), where, step.into),
    ]


def _tensors(step: Step) -> dict[str, Tensor]:
    """Tensors with as many indices as their accesses have; the first is time where it is t, s, 0 or T."""
    found: dict[str, Tensor] = {}
    accesses = {a for e in (step.local, step.contraction, step.result) for a in e.atoms(Indexed)}
    shown = step.read.partition("[")
    indices = [sp.Symbol(i.strip(), integer=True) for i in shown[2].rstrip("]").split(",") if i]
    if indices:
        accesses.add(sp.IndexedBase(shown[0])[tuple(indices)])
    for access in ir.ordered(accesses):
        name = ir.name_of(access)
        first = access.indices[0]
        timed = first.has(t) or first.is_number or first == ir.T or str(first).rstrip("'") == "s"
        rest = access.indices[1:] if timed else access.indices
        known = name not in found or (timed and found[name].time is None)
        if known:
            primal = name.removeprefix("d_") if name.startswith("d_") else ""
            found[name] = Tensor(
                name, rest, rest, "adjoint" if primal else "value", STEPS if timed else None, primal=primal
            )
    for name in [x.primal for x in found.values() if x.primal]:
        found.setdefault(name, Tensor(name, (), (), "value", STEPS))
    if shown[0] not in found:
        found[shown[0]] = Tensor(shown[0], (), ())
    return found
