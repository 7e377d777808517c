"""Sections 8 to 10: the terms of each adjoint together, the deltas of the gates, the gradients of the parameters."""

from __future__ import annotations

import sympy as sp

from derive import ir
from derive.document.blocks import Block, Bullets, Details, Display, Paragraph, Row
from derive.document.derivation import Derivation
from derive.document.messages import Messages
from derive.ir import Equation
from derive.passes.adjoint import Step
from derive.passes.normalize import is_transcendental


def parents(d: Derivation, say: Messages) -> list[Block]:
    """Adjoints with several terms: where each term comes from, and why there are so many."""
    several = [e for e in d.backward if d.tensors[e.target].role == "adjoint" and len(ir.terms(e.rhs)) > 1]
    first = [e for e in several if d.tensors[e.target].primal in d.states]
    others = [e for e in several if e not in first]
    single = [e for e in d.backward if d.tensors[e.target].role == "adjoint" and e not in several]
    blocks: list[Block] = [Paragraph(say("parents.rule"))]
    for equation in first:
        blocks += _explained(d, say, equation)
    if others:
        blocks.append(Paragraph(say("parents.others", n=len(others))))
        for equation in others:
            blocks.append(Display((_braced(d, say, equation),)))
    if single:
        blocks += [Paragraph(say("parents.single")), Display(tuple(d.row(e) for e in single))]
    return blocks


def _explained(d: Derivation, say: Messages, equation: Equation) -> list[Block]:
    name = d.tensors[equation.target].primal
    v = d.names.plain(name)
    reasons = []
    found = {"same": 0, "next": 0, "end": 0}
    for step in d.steps_into(name):
        parent = d.primal.equation(step.parent)
        kind = _kind(d, step)
        found[kind] += 1
        w = d.names.letters[parent.target].latex((), "t" if d.tensors[parent.target].time is not None else "")
        reasons.append(say(f"parents.{kind}", v=v, w=w, parent=f"[[{step.parent}]]", step=step.id))
    if name == d.primal.facts.output:
        e = d.names.letters[f"seed_{name}"].latex((), "t")
        reasons.insert(0, say("parents.loss", v=v, e=e))
    inside = say(
        f"parents.why.{'both' if found['same'] and found['next'] else 'one'}", v=v, n=found["same"] + found["next"]
    )
    return [
        Paragraph(say("parents.of", v=v, id=f"[[{equation.id}]]")),
        Display((_braced(d, say, equation),)),
        Paragraph(inside),
        Bullets(tuple(reasons)),
    ]


def _kind(d: Derivation, step: Step) -> str:
    """Whether the reader stands at the same step, at the next, or at one end of time."""
    parent = d.primal.equation(step.parent)
    if parent.origin.is_end:
        return "end"
    name = step.read.partition("[")[0]
    later = any(ir.name_of(a) == name and ir.offset(ir.time_of(a, d.tensors)) == -1 for a in d.reads(parent))
    return "next" if later else "same"


def _braced(d: Derivation, say: Messages, equation: Equation) -> Row:
    """The equation with the number of the parent below each term."""
    row = d.row(equation)
    sources = _sources(d, equation)
    terms = d.formula.sequence.terms(equation.rhs)
    if len(terms) != len(row.parts):
        return row
    parts = []
    for term, part in zip(terms, row.parts, strict=True):
        source = sources.get(term)
        if source is None:
            parts.append(part)
            continue
        sign, body = ("-", part[1:].lstrip()) if part.startswith("-") else ("", part)
        parts.append(rf"{sign}\underbrace{{{body}}}_{{\text{{{source}}}}}")
    return Row(row.lhs, tuple(parts), row.where, row.id)


def _sources(d: Derivation, equation: Equation) -> dict[sp.Expr, str]:
    """Which equation each term comes from; the term of a step may be a sum of several."""
    found: dict[sp.Expr, str] = {}
    for step in d.steps_into(d.tensors[equation.target].primal):
        for term in ir.terms(step.result):
            found[term] = step.parent
            found[d.in_saved(term)] = step.parent
            moved = d.in_saved(term.xreplace({ir.t: ir.t - 1})).xreplace({ir.t: ir.t + 1})
            found[moved] = step.parent
    return found


def deltas(d: Derivation, say: Messages) -> list[Block]:
    """The adjoints of what stands inside the activations: in closed form, in matrix form, stacked."""
    inside = _preactivations(d)
    closed = [e for e in d.closed.equations if e.target in {f"d_{n}" for n in inside}]
    short = [e for e in closed if len(ir.terms(e.rhs)) <= 2]
    blocks: list[Block] = []
    if short:
        names = say.list([f"${d.names.plain(e.target)}$" for e in short])
        blocks += [
            Paragraph(say("deltas.closed", z=names)),
            Display(tuple(d.row(e, id="") for e in short)),
            Paragraph(say("deltas.read")),
        ]
    else:
        blocks.append(Paragraph(say("deltas.none")))
    members = _stack(d, inside)
    if members:
        z = rf"\bar{{{d.names.letters[members[0]].head}}}(t)"
        rows = r" \\ ".join(d.names.letters[f"d_{m}"].latex((), "t") for m in members)
        blocks += [
            Paragraph(say("deltas.stack", z=z, gates=len(members))),
            Display((Row(z, (rf"\begin{{pmatrix}} {rows} \end{{pmatrix}}",)),)),
        ]
        blocks += _recursion(d, say, z)
    boundary = [e for e in d.backward if d.tensors[e.target].role == "gradient" and _primal_role(d, e) == "input"]
    if boundary:
        blocks += [Paragraph(say("deltas.input")), Display(tuple(d.row(e) for e in boundary))]
    return blocks


def _primal_role(d: Derivation, equation: Equation) -> str:
    return d.tensors[d.tensors[equation.target].primal].role


def _preactivations(d: Derivation) -> list[str]:
    """What is read by a function alone: the arguments of the activations, and what they are sums of."""
    found = []
    for equation in d.forward:
        if is_transcendental(equation.rhs):
            found += [ir.name_of(a) for a in d.reads(equation) if d.tensors[ir.name_of(a)].role == "value"]
    return list(dict.fromkeys(n for n in found if f"d_{n}" in d.tensors))


def _stack(d: Derivation, names: list[str]) -> list[str]:
    """The members of a family that has one for each gate, in the order of the gates; none where there is no such family."""
    families: dict[str, list[str]] = {}
    for name in names:
        if d.tensors[name].family:
            families.setdefault(d.tensors[name].family, []).append(name)
    for members in families.values():
        if len(members) == len(d.gates) > 1:
            return sorted(members, key=lambda n: d.gates.index(d.tensors[n].member))
    return []


def _recursion(d: Derivation, say: Messages, z: str) -> list[Block]:
    """h-bar in terms of the stacked deltas, where every product with a recurrent matrix is one of them."""
    rows = []
    for state in d.states:
        equation = d.adjoint_of(state)
        totals = [a for a in ir.terms(equation.rhs) if a.has(sp.Sum)] if equation is not None else []
        matrices = {
            (d.tensors[n].family, d.tensors[n].member)
            for a in totals
            for n in (ir.name_of(x) for x in ir.accesses(a, d.tensors))
            if d.tensors[n].role == "param"
        }
        if equation is None or len({f for f, _ in matrices}) != 1 or len(matrices) != len(d.gates):
            continue
        head = next(d.names.letters[x.name].head for x in d.primal.of_role("param") if (x.family, x.member) in matrices)
        rest = Equation(
            equation.lhs, sp.Add(*(a for a in ir.terms(equation.rhs) if a not in totals)), when=equation.when
        )
        row = d.row(rest)
        parts = [*row.parts]
        parts.insert(min(1, len(parts)), rf"{head}^{{\top}}{z.replace('(t)', '(t + 1)')}")
        rows.append(Row(row.lhs, tuple(parts), row.where))
    return [Paragraph(say("deltas.recursion")), Display(tuple(rows))] if rows else []


def gradients(d: Derivation, say: Messages) -> list[Block]:
    """The gradient of every parameter; then stacked over the gates, as the products that the C runs."""
    own = [e for e in d.backward if d.tensors[e.target].role == "gradient" and _primal_role(d, e) == "param"]
    blocks: list[Block] = [
        Paragraph(say("gradients.each")),
        Display(tuple(d.row(e) for e in own)),
        Details(say("gradients.entries"), (Display(tuple(d.row(e, matrix=False, id="") for e in own)),)),
        Paragraph(say("gradients.sum")),
    ]
    rows = [row for group in _arrays(d, own).values() if (row := _stacked_row(d, group)) is not None]
    if rows:
        blocks += [Paragraph(say("gradients.stack")), Display(tuple(rows)), Paragraph(say("gradients.gemm"))]
    return blocks


def _arrays(d: Derivation, own: list[Equation]) -> dict[str, list[Equation]]:
    found: dict[str, list[Equation]] = {}
    for equation in own:
        found.setdefault(d.array(d.tensors[equation.target].primal)[0], []).append(equation)
    return found


def _stacked_row(d: Derivation, group: list[Equation]) -> Row | None:
    """sum_t delta(t) x(t)^T over all gates at once, as Delta X^T; None where the gates' gradients differ in kind."""
    primal = d.tensors[d.tensors[group[0].target].primal]
    if len(group) != len(d.gates) or len(primal.dims) != 2 or len({d.shape_key(e.rhs) for e in group}) != 1:
        return None
    body = group[0].rhs
    if not isinstance(body, sp.Sum):
        return None
    vectors = ir.accesses(body, d.tensors)
    left = next((a for a in vectors if d.tensors[ir.name_of(a)].family), None)
    right = next((a for a in vectors if not d.tensors[ir.name_of(a)].family), None)
    if left is None or right is None or len(vectors) != 2:
        return None
    head, own = d.names.letters[ir.name_of(left)], d.names.letters[ir.name_of(right)]
    when = d.formula.doprint(ir.time_of(right, d.tensors))
    first, last = (when.replace("t", x) for x in ("1", "T"))
    first = {"1 - 1": "0"}.get(first, first)
    bar = rf"\bar{{{d.names.letters[primal.name].head}}}"
    delta = rf"{head.accent}{{{head.head}}}"
    errors = rf"\bigl(\,{delta}(1) \;\cdots\; {delta}(T)\,\bigr)"
    reads = rf"\bigl(\,{own.latex((), first)} \;\cdots\; {own.latex((), last)}\,\bigr)^{{\top}}"
    shape = rf"{len(group)}{primal.dims[0]} \times {primal.dims[1]}"
    summed = rf"\sum_{{t}} {delta}(t)\,{own.latex((), when)}^{{\top}}"
    return Row(rf"\underbrace{{{bar}}}_{{{shape}}}", (rf"{summed} = {errors}\,{reads}",))
