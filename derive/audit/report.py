"""An audit for the eye: the verdict on each equation, the errors, and the terms that are wrong."""

from __future__ import annotations

from math import isinf, isnan

from rich import box
from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from derive.audit.findings import Finding, Verdict
from derive.audit.values import TOLERANCE
from derive.audit.verdict import Audit, Row


def show(console: Console, audit: Audit) -> None:
    """Print the whole audit of one derivation."""
    made = audit.derivation
    console.print(Text.assemble((made.name, "bold cyan"), f", a derivation of the cell {made.reference.name}"))
    if made.title:
        console.print(Text(f"  {made.title}", "dim"), soft_wrap=True)
    for line in premises(audit):
        console.print(Text(f"  {line}", "dim"), soft_wrap=True)
    console.print(table(audit))
    if audit.obstacle:
        note = f"{audit.obstacle}. So errors are those of each equation alone, the right quantities put in for what it reads."
        console.print(Text(note, "yellow"), soft_wrap=True)
    for row in audit.rows:
        if row.findings:
            console.print(details(audit, row), soft_wrap=True)
    console.print(Text(summary(audit), "bold green" if audit.ok else "bold red"))


def summary(audit: Audit) -> str:
    """The whole audit in a sentence: how many equations are wrong, and how many right ones read them."""
    total = len(audit.rows)
    wrong = sum(not row.right for row in audit.rows)
    if total == 1:
        return f"The one equation is {'wrong' if wrong else 'right'}."
    if not wrong:
        return f"All {total} equations are right."
    said = f"{wrong} of {total} equations {'is' if wrong == 1 else 'are'} wrong"
    spoiled = sum(row.right and row.errors.first is not None for row in audit.rows)
    if not spoiled:
        return f"{said}."
    ones, read, have = ("one", "reads", "has") if spoiled == 1 else ("ones", "read", "have")
    them, values = "it" if wrong == 1 else "them", "a wrong value" if spoiled == 1 else "wrong values"
    return f"{said}; {spoiled} right {ones} {read} {them} and {have} {values}."


def premises(audit: Audit) -> list[str]:
    """What the audit took for granted, in sentences."""
    made, said = audit.derivation, []
    output = made.reference.primal.facts.output
    given = sorted(n for n in made.claims if not made.assigned(n))
    if made.direct is not None:
        said.append(f"{made.direct} is the direct derivative of the loss by {output}.")
    if made.reference.loss is not None:
        said.append(f"The loss is {made.reference.loss.name.removeprefix('vjp of ')}.")
    if made.last:
        said.append(f"The loss looks at {output}(T) only.")
    if given:
        said.append(f"Taken to be right, for no equation defines them: {', '.join(given)}.")
    if audit.unstated:
        said.append(f"No equation for the gradients of: {', '.join(audit.unstated)}.")
    return said


def table(audit: Audit) -> Table:
    """Return the table of verdicts: one row for each of the author's quantities."""
    found = Table(box=box.SIMPLE_HEAD, header_style="bold")
    for name in ("equation", "claims", "verdict"):
        found.add_column(name)
    found.add_column("first T", justify="right")
    for length in audit.lengths:
        found.add_column(f"T = {length}", justify="right")
    for row in audit.rows:
        values = row.own if audit.obstacle else row.errors
        first = "" if values.first is None else str(values.first)
        found.add_row(
            row.label,
            f"∂L/∂{row.claims}",
            verdict(row),
            first,
            *(percent(values.by_length[n]) for n in audit.lengths),
        )
    return found


def verdict(row: Row) -> Text:
    """What the table says of an equation."""
    if row.findings:
        names = list(dict.fromkeys(str(f.verdict) for f in row.findings))
        return Text(", ".join(names), "bold red")
    if row.errors.first is not None or not row.errors.known:
        return Text(f"equal, reads {', '.join(row.blame)}" if row.blame else "equal", "yellow")
    return Text("equal (by value)" if row.by_value else "equal", "green")


def percent(error: float) -> str:
    """A relative error as a person reads it."""
    if isnan(error):
        return "-"
    if isinf(error):
        return "inf"
    return "0" if error <= TOLERANCE else f"{error:.1%}" if error < 100 else f"{error:.0e}"


def details(audit: Audit, row: Row) -> Group:
    """Each finding on an equation: what stands, what belongs, and where it came in."""
    lines = ", ".join(map(str, dict.fromkeys(row.lines)))
    found = [Text.assemble((row.label, "bold"), f" (line {lines})")]
    for finding in row.findings:
        found.append(Text.assemble("  ", (str(finding.verdict), "red"), _colon(audit, row, finding)))
        if finding.verdict not in (Verdict.MISSING, Verdict.EXTRA):
            for name, term in (("stands", finding.written), ("belongs", finding.derived)):
                if term is not None:
                    found.append(Text(f"    {name + ':':<9} {audit.term(row.label, term)}"))
        source = audit.innermost(finding) if finding.verdict is not Verdict.PRODUCT else ""
        if source:
            found.append(Text(f"    it comes in by the equation of {source}", "dim"))
    found.append(Text(""))
    return Group(*found)


def _colon(audit: Audit, row: Row, finding: Finding) -> str:
    """What follows a verdict: the words, or the term that is missing or extra."""
    if finding.detail:
        return f": {finding.text(audit.shown)}"
    term = finding.derived or finding.written
    return f": {audit.term(row.label, term)}" if term is not None else ""
