"""Sections 15 and 16: numbers that can be followed by hand, the lines of C, and the certificate."""

from __future__ import annotations

from itertools import groupby

import numpy as np

from derive import check
from derive.document import listing, worked
from derive.document.blocks import Block, Bullets, Details, Display, Listing, Paragraph, Row, Table
from derive.document.derivation import Derivation
from derive.document.messages import Messages
from derive.document.sections.results import compiled_id, same

_LIMIT_DIGITS = 25


def worked_example(d: Derivation, say: Messages) -> list[Block]:
    """Inputs, the forward pass, and every gradient: derived | finite difference | compiled C."""
    found = worked.work(d)
    given = [Row(d.names.plain(n), (_array(v),)) for n, v in found.inputs.items()]
    output = d.primal.tensors[d.primal.facts.output]
    given += [Row(d.names.plain(n), (_array(v),)) for n, v in found.targets.items()]
    head = tuple(say(f"worked.head.{k}") for k in ("gradient", "derived", "difference", "compiled"))
    rows: list[tuple[str, ...]] = [("$L$", worked.shown(found.loss), "", worked.shown(found.compiled_loss))]
    for entry in found.entries:
        index = f"[{','.join(str(i) for i in entry.index)}]" if entry.index else ""
        name = f"`{entry.array}{index}`"
        rows.append((name, *(worked.shown(v) for v in (entry.derived, entry.difference, entry.compiled))))
    return [
        Paragraph(_problem(d, say)),
        Details(say("worked.inputs"), (Display(tuple(given)),)),
        Paragraph(say("worked.forward")),
        Table(_heads(say), tuple(_values(d, found, [e.target for e in d.forward], 0)), ()),
        Paragraph(say("worked.backward", e=d.names.letters[f"seed_{output.name}"].latex((), "t"))),
        Table(_heads(say), tuple(_values(d, found, _adjoints(d), -1)), ()),
        Paragraph(say("worked.gradients")),
        Table(head, tuple(rows), ()),
    ]


def _problem(d: Derivation, say: Messages) -> str:
    """The sizes of the example; of several inputs the numbers below tell them."""
    if len(d.primal.facts.inputs) == 1:
        return say("worked.problem", n=worked.UNITS, m=worked.INPUTS, T=worked.STEPS)
    return say("worked.problem.several", n=worked.UNITS, T=worked.STEPS)


def _array(value: object) -> str:
    """Drawn numbers, exactly: whole numbers over their common denominator; rows of several axes one below the other."""
    numbers = np.atleast_2d(np.asarray(value, dtype=object) * worked.DENOMINATOR)
    rows = [[str(int(v)) for v in row] for row in numbers.reshape(-1, numbers.shape[-1])]
    if len(rows) == 1 or all(len(row) == 1 for row in rows):
        listed = ",\\, ".join(v for row in rows for v in row)
        body = rf"\bigl({listed}\bigr)^{{\top}}"
    else:
        inside = r" \\ ".join(" & ".join(row) for row in rows)
        body = rf"\begin{{pmatrix}} {inside} \end{{pmatrix}}"
    return rf"\tfrac{{1}}{{{worked.DENOMINATOR}}}\,{body}"


def _heads(say: Messages) -> tuple[str, ...]:
    return (say("worked.value"), *(f"$t = {k}$" for k in range(1, worked.STEPS + 1)))


def _adjoints(d: Derivation) -> list[str]:
    output = d.primal.facts.output
    return [f"seed_{output}", *(e.target for e in d.compiled if d.tensors[e.target].role == "adjoint")]


def _values(d: Derivation, found: worked.Worked, names: list[str], sign: int) -> list[tuple[str, ...]]:
    rows = []
    for name in names:
        if name not in found.values or d.tensors[name].time is None:
            continue
        first = int(d.tensors[name].time[0])  # type: ignore[index]
        array = found.values[name]
        cells = [np.ravel(array[k - first]) for k in range(1, worked.STEPS + 1) if 0 <= k - first < len(array)]
        if len(cells) == worked.STEPS:
            shown = [", ".join(worked.shown(v) for v in cell) for cell in cells]
            rows.append((f"${d.names.letters[name].latex((), 't')}$", *shown))
    return rows


def lines_and_certificate(d: Derivation, say: Messages) -> list[Block]:
    """Where each equation stands in the C, and what was checked when this document was made."""
    name, text = listing.source(d)
    head = tuple(say(f"lines.head.{k}") for k in ("equation", "lines"))
    rows = []
    for id in printed_ids(d):
        location = _location(d, id)
        if location:
            rows.append((f"[[{id}]]", say("lines.merged", into=f"[[{location}]]")))
            continue
        places = [(k, [n for _, n in own]) for k, own in groupby(listing.lines(d).get(id, ()), key=lambda p: p[0])]
        said = [f"`{kernel}` " + ", ".join(f"[[c:{n}]]" for n in numbers[:6]) for kernel, numbers in places]
        rows.append((f"[[{_label(d, id)}]]", "; ".join(said)))
    found, errors = worked.work(d), worked.certified(d)
    checks = [
        say("certificate.equations", n=len(printed_ids(d)), steps=len(d.derived.steps)),
        say("certificate.derived", digits=_LIMIT_DIGITS)
        if found.agreement >= _LIMIT_DIGITS
        else say("certificate.failed"),
        say("certificate.double", bound=_class(errors["float64"], say)),
        say("certificate.single", bound=_class(errors["float32"], say)),
        say("certificate.lines", n=sum(bool(listing.lines(d).get(i)) or bool(_location(d, i)) for i in printed_ids(d))),
    ]
    return [
        Paragraph(say("lines.reading", file=f"`{name}`")),
        Table(head, tuple(rows), (1,)),
        Paragraph(say("certificate.reading")),
        Bullets(tuple(checks)),
        Paragraph(say("certificate.digest", digest=f"`{d.made.digest}`", cell=f"`{d.cell.name}`")),
        Paragraph(say("certificate.again", cell=f"`{d.cell.name}`")),
        Listing(name, text),
    ]


def _class(error: float, say: Messages) -> str:
    """An error, in units of its limit, as the limit that it keeps: a number would differ from machine to machine."""
    return say("certificate.within", n=int(check.LIMIT_EPS)) if error <= 1 else say("certificate.failed")


def _label(d: Derivation, id: str) -> str:
    """The label of an equation in the form in which it is compiled; most are compiled as they were derived."""
    mine = next((e for e in d.compiled if e.id == id), None)
    return id if mine is None or same(d, mine) else compiled_id(d, id)


def links(d: Derivation) -> dict[str, int]:
    """Label -> line of C: of an equation that was merged into another, the line of that one."""
    found = {}
    for id in printed_ids(d):
        line = listing.main_line(d, id)
        if line is not None:
            found[id] = found[_label(d, id)] = line
    return found


def _location(d: Derivation, id: str) -> str:
    """The equation into which another was merged, if it was."""
    found = next((e for e in [*d.compiled, *d.made.loss.equations] if id in e.merged), None)
    if found is None:
        return ""
    return _label(d, found.id)


def printed_ids(d: Derivation) -> list[str]:
    """The IDs of all equations: given, of the loss, derived, made by simplification."""
    ids = [e.id for e in [*d.primal.equations, *d.kept, *d.objective.equations, *d.backward, *d.compiled]]
    return list(dict.fromkeys(ids))
