"""Sections 6 and 7: the chain rule, once, and then one step for each edge of the graph."""

from __future__ import annotations

from derive.document.blocks import Block, Details, Display, Paragraph, Row, Table
from derive.document.derivation import Derivation
from derive.document.formula import joined
from derive.document.messages import Messages
from derive.ir import Equation
from derive.passes.adjoint import Step


def chain_rule(d: Derivation, say: Messages) -> list[Block]:
    """What holds for any ordered list of equations, and what it means for this one."""
    output = d.primal.facts.output
    h, e = d.names.plain(output), d.names.letters[f"seed_{output}"].latex((), "t")
    return [
        Paragraph(say("chain.list")),
        Display((Row(r"v_a", (r"f_a\bigl(v_b, v_{b'}, \dots\bigr)",), r"a = 1,\dots,N"),)),
        Paragraph(say("chain.rule")),
        Display(
            (
                Row(
                    r"\bar{v}_b = \frac{\partial L}{\partial v_b}",
                    (r"\sum_{a \,:\, f_a \ni v_b} \bar{v}_a\,\frac{\partial f_a}{\partial v_b}",),
                ),
            )
        ),
        Paragraph(say("chain.order")),
        Paragraph(say("chain.indices")),
        Display(
            (
                Row(
                    r"\bar{v}_{m}(s)",
                    (
                        r"\sum_{a} \sum_{t,n} \bar{v}_{a,n}(t)\,"
                        r"\frac{\partial f_{a,n}(t)}{\partial v_{m}(s)}",
                    ),
                ),
                Row(r"\sum_{n} \delta_{n,m}\,q_{n}", (r"q_{m}",)),
                Row(r"\sum_{t=1}^{T} \delta_{s,\,t-1}\,q(t)", (r"q(s+1)",), r"s = 0,\dots,T-1"),
            )
        ),
        Paragraph(say("chain.range")),
        Paragraph(say("chain.here", n=len(d.primal.equations), edges=len(d.derived.steps), h=h, e=e)),
    ]


def edges(d: Derivation, say: Messages) -> list[Block]:
    """Every step of the log; those that differ only in the gate stand together, the first of them in full."""
    blocks: list[Block] = [Paragraph(say("steps.reading")), Paragraph(say("steps.groups"))]
    for group in groups(d):
        first, *rest = group
        blocks.append(Details(_summary(d, say, first), (_shown(d, say, first),), id=first.id))
        if rest:
            blocks.append(Paragraph(say("steps.likewise", n=len(rest))))
            head = tuple(say(f"steps.head.{k}") for k in ("step", "reads", "term", "into"))
            blocks.append(Table(head, tuple(_short(d, s) for s in rest), (2,)))
    return blocks


def groups(d: Derivation) -> list[list[Step]]:
    """Steps in the order of the log, those of the same shape for different gates together."""
    found: dict[str, list[Step]] = {}
    for step in d.derived.steps:
        parent = d.primal.equation(step.parent)
        key = d.shape_key(parent.lhs, parent.rhs, step.local, step.contraction, step.result)
        read = d.primal.tensors[_name(step)]
        if "<gate>" not in key:
            key = step.id
        found.setdefault(f"{key} {read.family or (read.name if not read.member else '')} {step.when}", []).append(step)
    return list(found.values())


def _name(step: Step) -> str:
    return step.read.partition("[")[0]


def _read(d: Derivation, step: Step) -> str:
    """The access by which the step differentiates, with its fresh indices."""
    name, _, rest = step.read.rstrip("]").partition("[")
    indices = [i.strip() for i in rest.split(",")] if rest else []
    when = indices.pop(0) if d.tensors[name].time is not None else ""
    return d.names.letters[name].latex(indices, when)


def _summary(d: Derivation, say: Messages, step: Step) -> str:
    read = d.names.plain(_name(step))
    return say("steps.summary", id=step.id, parent=f"[[{step.parent}]]", read=read, into=f"[[{step.into}]]")


def _shown(d: Derivation, say: Messages, step: Step) -> Block:
    """Parent equation, local derivative with its deltas, contraction, the term, its range, the term in matrix form."""
    show = d.formula
    parent = d.primal.equation(step.parent)
    lhs = show.doprint(parent.lhs)
    bar = d.names.letters[f"d_{_name(step)}"]
    name, _, rest = step.read.rstrip("]").partition("[")
    indices = [i.strip() for i in rest.split(",")] if rest else []
    when = indices.pop(0) if d.tensors[name].time is not None else ""
    rows = [
        Row(lhs, tuple(show.parts(parent.rhs)), show.when(parent), note=f"[[{parent.id}]]"),
        Row(rf"\frac{{\partial {lhs}}}{{\partial {_read(d, step)}}}", tuple(show.parts(step.local))),
    ]
    saved = d.in_saved(step.local)
    if saved != step.local:
        rows.append(Row("", tuple(show.parts(saved)), note=say("steps.saved")))
    rows.append(Row(bar.latex(indices, when), (r"\cdots", *show.parts(step.contraction))))
    goal = d.tensors[f"d_{name}"]
    own = d.in_saved(step.result)
    rows.append(
        Row(
            show.doprint(goal.at()),
            (r"\cdots", *show.parts(own)),
            show.range(step.when) if step.when is not None else "",
        )
    )
    term = Equation(goal.at(), own)
    if d.has_matrix_form(term):
        row = d.row(term)
        rows.append(Row(row.lhs, (r"\cdots", *row.parts), note=f"[[{step.into}]]"))
    return Display(tuple(rows))


def _short(d: Derivation, step: Step) -> tuple[str, ...]:
    goal = d.tensors[f"d_{_name(step)}"]
    term = Equation(goal.at(), d.in_saved(step.result))
    row = d.row(term)
    where = rf",\quad {d.formula.range(step.when)}" if step.when is not None else ""
    return (
        step.id,
        rf"[[{step.parent}]], ${d.names.plain(_name(step))}$",
        f"${joined(list(row.parts))}{where}$",
        f"[[{step.into}]]",
    )
