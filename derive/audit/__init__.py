"""Hand-written gradient equations against the derived ones: which are right, and which term of the others is wrong.

    from derive.audit import Sum, T, derivation, j, k, n, t

    @derivation("rnn", dz="dL/dz", dW="dL/dW", dU="dL/dU")
    def notes(x, h, U, e, dh, dz, dW, dU):
        dh[t, n] = e[t, n] + Sum(U[k, n] * dz[t + 1, k], k)
        dz[t, n] = (1 - h[t, n] ** 2) * dh[t, n]
        dW[n, j] = Sum(dz[t, n] * x[t, j], (t, 1, T))
        dU[n, k] = Sum(dz[t, n] * h[t - 1, k], (t, 1, T))

`derive audit FILE` compares each equation symbolically (with the right quantities put in for what it reads) and by
value (all of the author's equations together), and says which term is missing, extra or wrong.

What an author writes     notation.py, with meaning.py and checks.py, makes the record of written.py; loading.py finds files
The two sides             side.py has the author's equations, derived.py and reference.py the derived ones
Their comparison          terms.py and coefficients.py bring both into one form, differences.py and compare.py find findings
Values, verdicts          values.py runs both, judge.py puts everything together, report.py prints it
"""

from typing import Any

from derive.audit.findings import Finding, Verdict
from derive.audit.judge import Audit, Row, audit
from derive.audit.loading import in_file
from derive.audit.notation import Sum, derivation
from derive.audit.written import Derivation
from derive.ir import T, t
from derive.ir.functions import IN_CELLS
from derive.notation import Rational, cell, i, j, k, loss, m, n, o, sqrt

__all__ = [
    "Audit",
    "Derivation",
    "Finding",
    "Rational",
    "Row",
    "Sum",
    "T",
    "Verdict",
    "audit",
    "cell",
    "derivation",
    "i",
    "in_file",
    "j",
    "k",
    "loss",
    "m",
    "n",
    "o",
    "sqrt",
    "t",
    *IN_CELLS,
]

globals().update(IN_CELLS)


def __getattr__(name: str) -> Any:
    """What has no name here; type checkers take its presence for any function that has a record."""
    raise AttributeError(f"derive.audit has no name {name!r}; functions are {', '.join(sorted(IN_CELLS))}")
