"""Sections 3 to 5: the equations that are given, what depends on what, and the derivatives of the functions."""

from __future__ import annotations

import sympy as sp

from derive import ir
from derive.document import graph, structure
from derive.document.blocks import Block, Display, Figure, Paragraph, Row, Table
from derive.document.derivation import Derivation
from derive.document.messages import Messages
from derive.ir import Equation, Origin
from derive.ir.functions import PIECES, record_for
from derive.passes.normalize import is_transcendental


def equations(d: Derivation, say: Messages) -> list[Block]:
    """F1.. in matrix form with shapes, then entry by entry; the loss."""
    seen: set[str] = set()
    rows = []
    for equation in d.forward:
        key = d.shape_key(equation.rhs)
        rows.append(d.row(equation, braces=key not in seen))
        seen.add(key)
    split = [e for e in d.forward if e.origin is Origin.PART]
    blocks: list[Block] = [Paragraph(say("forward.list", n=len(d.forward))), Display(tuple(rows))]
    if split:
        names = say.list([f"${d.names.plain(e.target)}$" for e in split])
        blocks.append(Paragraph(say("forward.split", u=names)))
    blocks += [
        Paragraph(say("forward.ends")),
        Display(tuple(d.row(e) for e in d.ends)),
        Paragraph(say("forward.entries")),
        Display(tuple(d.row(e, matrix=False, id="") for e in d.forward if e.lhs.has(ir.t) and _has_indices(d, e))),
        Paragraph(say("forward.loss")),
        Display(tuple(_loss_row(d, e) for e in d.objective.equations if e.id.startswith("L"))),
        Paragraph(say("forward.objective", e=_error(d))),
        Display(tuple(_loss_row(d, e) for e in d.objective.equations if not e.id.startswith("L"))),
    ]
    return blocks


def _has_indices(d: Derivation, equation: Equation) -> bool:
    return bool(d.tensors[equation.target].dims) or equation.rhs.has(sp.Sum)


def _error(d: Derivation) -> str:
    return d.names.letters[f"seed_{d.primal.facts.output}"].latex((), "t")


def _loss_row(d: Derivation, equation: Equation) -> Row:
    """An equation of the loss; the adjoint of the prediction is the error signal that the cell receives."""
    output = d.primal.facts.output
    own = d.row(equation, matrix=False)
    if equation.target != f"d_{output}":
        return own
    free = [str(i) for i in ir.indices_of(equation.lhs, d.objective.tensors)]
    return Row(d.names.letters[f"seed_{output}"].latex(free, "t"), own.parts, own.where, own.id)


def graphs(d: Derivation, say: Messages) -> list[Block]:
    """One step of the cell, and three steps of the chain with the adjoints that run back."""
    carried = [d.names.plain(s) for s in d.states]
    return [
        Paragraph(say("graph.cell")),
        Figure(graph.cell(d), say("graph.cell.caption", name=f"`{d.cell.name}`")),
        Paragraph(say("graph.chain", s=say.list([f"${c}$" for c in carried]), n=len(carried))),
        Figure(graph.chain(d), say("graph.chain.caption")),
        Paragraph(say("graph.readers")),
        _readers(d, say),
    ]


def _readers(d: Derivation, say: Messages) -> Table:
    rows = []
    for name, tensor in d.primal.tensors.items():
        if tensor.role in ("final", "param", "initial"):
            continue
        found = []
        for equation in d.readers(name):
            later = any(ir.name_of(a) == name and ir.offset(ir.time_of(a, d.tensors)) == -1 for a in d.reads(equation))
            found.append(say("graph.later", id=f"[[{equation.id}]]") if later else f"[[{equation.id}]]")
        if len(found) > 1:
            rows.append((f"${d.names.letters[name].latex((), 't')}$", say.list(found), str(len(found))))
    return Table(tuple(say(f"graph.head.{k}") for k in ("value", "read", "count")), tuple(rows), (1,))


def lemmas(d: Derivation, say: Messages) -> list[Block]:
    """The derivative of each function that is called, and what becomes of it where its value is kept."""
    rows, declared, pieces = [], [], False
    for function, _ in structure.functions_used(d):
        record = record_for(function)
        assert record is not None
        letters = sp.symbols("a b c", real=True)[: len(record.arguments)]
        call = function(*letters)
        if record.definition is not None:
            rows.append(Row(d.formula.doprint(call), tuple(d.formula.parts(record.definition(*letters)))))
        slopes = [call.diff(a) for a in letters]
        told = [(a, s) for a, s in zip(letters, slopes, strict=True) if s != 0 or len(letters) == 1]
        rows += [Row(_slope(d, call, a), tuple(d.formula.parts(s))) for a, s in told]
        declared += [rf"${record.latex}$"] if record.declared else []
        pieces |= any(e.has(*PIECES) for e in (call, *slopes))
    blocks: list[Block] = [Paragraph(say("lemmas.functions"))]
    blocks += [Display(tuple(rows))] if rows else [Paragraph(say("lemmas.none"))]
    blocks += [Paragraph(say("lemmas.declared", f=say.list(declared)))] if declared else []
    blocks += [Paragraph(say("lemmas.pieces"))] if pieces else []
    used = []
    for equation in d.forward:
        if not is_transcendental(equation.rhs) and not isinstance(equation.rhs, sp.Pow):
            continue
        for step in (s for s in d.derived.steps if s.parent == equation.id):
            fresh = ir.accesses(equation.rhs, d.tensors)
            read = next(x for x in fresh if ir.name_of(x) == step.read.partition("[")[0])
            own = d.in_saved(_derivative(equation.rhs, read))
            left = rf"\frac{{\partial {d.formula.doprint(equation.lhs)}}}{{\partial {d.formula.doprint(read)}}}"
            used.append(Row(left, tuple(d.formula.parts(own)), note=f"[[{equation.id}]]"))
    if used:
        blocks += [Paragraph(say("lemmas.saved")), Display(tuple(used)), Paragraph(say("lemmas.why"))]
    if d.kept:
        blocks += [Paragraph(say("lemmas.kept")), Display(tuple(d.row(e) for e in d.kept))]
    return blocks


def _slope(d: Derivation, call: sp.Expr, argument: sp.Symbol) -> str:
    """The left-hand side of a derivative: f'(a), or the derivative of a call by one of its arguments."""
    record = record_for(call.func)
    assert record is not None
    if len(call.args) == 1 and "{0}" not in record.latex:
        return rf"{record.latex}'(a)"
    return rf"\frac{{\partial}}{{\partial {argument}}}\, {d.formula.doprint(call)}"


def _derivative(expr: sp.Expr, access: sp.Expr) -> sp.Expr:
    """The derivative with respect to an access of the same indices, others held fixed."""
    slot = sp.Symbol("slot", real=True)
    return expr.xreplace({access: slot}).diff(slot).xreplace({slot: access})
