"""Section 14: every rewrite between what was derived and what is compiled, with the operations before and after."""

from __future__ import annotations

from derive.document.blocks import Block, Details, Display, Paragraph, Row, Table
from derive.document.derivation import Derivation
from derive.document.messages import Messages
from derive.ir import Equation, Program
from derive.passes.simplify import adjoints


def simplified(d: Derivation, say: Messages) -> list[Block]:
    """The table of operation counts, each rule with what it changed, then the equations as the C computes them."""
    head = tuple(say(f"simplified.head.{k}") for k in ("rule", "mul", "add", "div", "calls"))
    rows = []
    for name, _, counted in d.stages:
        numbers = (counted.multiplications, counted.additions, counted.divisions, counted.calls)
        rows.append((say(f"simplified.{name}.name"), *map(str, numbers)))
    blocks: list[Block] = [Paragraph(say("simplified.counts")), Table(head, tuple(rows), (0,))]
    for (_, before, _), (name, after, _) in zip(d.stages, d.stages[1:], strict=False):
        changed = _changes(d, say, before, after)
        if changed:
            blocks.append(Details(say(f"simplified.{name}"), (Display(tuple(changed)),)))
        else:
            blocks.append(Paragraph(say("simplified.nothing", rule=say(f"simplified.{name}.name"))))
    different = [e for e in d.compiled if not same(d, e)]
    if different:
        blocks += [Paragraph(say("simplified.compiled")), Display(tuple(_compiled(d, say, e) for e in different))]
    unchanged = [e.id for e in d.compiled if same(d, e)]
    if unchanged:
        blocks.append(Paragraph(say("simplified.unchanged", ids=say.refs(unchanged))))
    return blocks


def _changes(d: Derivation, say: Messages, before: Program, after: Program) -> list[Row]:
    """One row for each equation that a rule rewrote, made or dissolved."""
    old = {e.id: e for e in adjoints(before)}
    new = {e.id: e for e in adjoints(after)}
    found = []
    for id, equation in new.items():
        if id not in old:
            row = d.row(equation, id="")
            found.append(Row(row.lhs, row.parts, row.where, note=say("simplified.new", id=f"[[{id}]]")))
        elif old[id].rhs != equation.rhs:
            was, now = d.row(old[id], id=""), d.row(equation, id="")
            if was.parts == now.parts:
                continue
            found.append(Row(was.lhs, was.parts, note=f"[[{id}]]"))
            found.append(Row("", now.parts, sign=r"\;\Rightarrow\;"))
    return found + _dissolved(d, say, old, new)


def _dissolved(d: Derivation, say: Messages, old: dict[str, Equation], new: dict[str, Equation]) -> list[Row]:
    location = {i: e.id for e in new.values() for i in e.merged}
    rows = []
    for id, equation in old.items():
        if id in new:
            continue
        row = d.row(equation, id="")
        into = say("simplified.merged", id=f"[[{id}]]", into=f"[[{location[id]}]]") if id in location else f"[[{id}]]"
        rows.append(Row(row.lhs, row.parts, note=into))
    return rows


def compiled_id(d: Derivation, id: str) -> str:
    """The label of an equation as compiled: its own where it only exists so, else with a c behind it."""
    return f"{id}c" if any(e.id == id for e in d.backward) else id


def same(d: Derivation, equation: Equation) -> bool:
    """Whether an equation is compiled as it was printed in sections 8 to 11."""
    return any(e.id == equation.id and e.rhs == equation.rhs and not equation.merged for e in d.backward)


def _compiled(d: Derivation, say: Messages, equation: Equation) -> Row:
    row = d.row(equation, id=compiled_id(d, equation.id))
    note = say("simplified.with", ids=say.refs(equation.merged)) if equation.merged else ""
    return Row(row.lhs, row.parts, row.where, row.id, note=note)
