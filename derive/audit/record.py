"""An audit for other programs: verdicts, errors and terms as names, numbers and strings."""

from __future__ import annotations

from typing import Any

from derive.audit.findings import Finding
from derive.audit.verdict import Audit, Row


def as_dict(audit: Audit) -> dict[str, Any]:
    """The audit of one derivation; expressions are written in the author's names, as in the terminal."""
    return {
        "name": audit.derivation.name,
        "cell": audit.derivation.reference.name,
        "ok": audit.ok,
        "obstacle": audit.obstacle,
        "unstated": list(audit.unstated),
        "equations": [_equation(audit, row) for row in audit.rows],
    }


def _equation(audit: Audit, row: Row) -> dict[str, Any]:
    """One row: `errors` are of the value by T, NaN where there is none, as the table has them."""
    values = row.own if audit.obstacle else row.errors
    return {
        "name": row.label,
        "claims": row.claims,
        "lines": list(dict.fromkeys(row.lines)),
        "ok": row.right,
        "verdicts": list(dict.fromkeys(str(finding.verdict) for finding in row.findings)) or [str(row.verdict)],
        "first_T": values.first,
        "errors": {str(length): float(values.by_length[length]) for length in audit.lengths},
        "reads_wrong": list(row.blame),
        "findings": [_finding(audit, row, finding) for finding in row.findings],
    }


def _finding(audit: Audit, row: Row, finding: Finding) -> dict[str, Any]:
    """`stands` is the author's term and `belongs` the derived one, null where there is none."""
    stands, belongs = (
        audit.term(row.label, term) if term is not None else None for term in (finding.written, finding.derived)
    )
    return {
        "verdict": str(finding.verdict),
        "detail": finding.text(audit.shown),
        "stands": stands,
        "belongs": belongs,
    }
