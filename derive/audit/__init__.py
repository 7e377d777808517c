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

To be read in this order:

notation.py     what an author writes: @derivation, Sum, and derivations in a file
written.py      the record of it, what each name stands for, and equations that have no meaning
reference.py    the derived side: the adjoint of the cell, and its equations where they are read
side.py         the author's side: equations whole, which quantity reads which, dimensions
terms.py        a right-hand side as a list of terms, with coefficients in one form
findings.py     verdicts, and the rules that tell what two terms have in common
compare.py      two right-hand sides, and which equations are put in before their terms are compared
values.py       both sides run on random values, and the errors
verdict.py      `audit`: a verdict on each equation, of terms and values together
report.py       an audit printed
indices.py      indices and times: put elsewhere, renamed, numbered, left out
"""

from typing import Any

from derive.audit.findings import Finding, Verdict
from derive.audit.notation import Sum, derivation, in_file
from derive.audit.verdict import Audit, Row, audit
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
