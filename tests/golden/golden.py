"""The dumps that are kept beside the tests: which cell after which pass, and where the text lies."""

from __future__ import annotations

from pathlib import Path

from derive.backends.c.schedule import plan
from derive.notation import Cell, Sum, cell, j, k, m, n, t, tanh
from derive.pipeline import model
from derive.registry import cell as named

FOLDER = Path(__file__).parent


@cell(states="a b")
def two_layers(x, W, U, P, R, a, b):
    """Two recurrences, the second fed by a product of the first."""
    a[t, n] = tanh(Sum(W[n, j] * x[t, j], j) + Sum(U[n, k] * a[t - 1, k], k))
    b[t, m] = tanh(Sum(P[m, n] * a[t, n], n) + Sum(R[m, k] * b[t - 1, k], k))


# Small ones, one for each level; the LSTM where a reader of the documentation looks first.
DUMPS: tuple[tuple[str | Cell, str, str], ...] = (
    ("lstm", "normalize", ""),
    ("rnn", "adjoint", ""),
    ("lstm", "make_carries", ""),
    ("lstm", "fold_copies", ""),
    ("rnn", "loss", ""),
    ("rnn", "batch", ""),
    ("lstm", "partition", ""),
    ("lstm", "lower", "forward"),
    ("lstm", "fuse", "forward"),
    ("lstm", "storage", "backward"),
    ("lstm", "schedule", "forward"),
    ("gru", "schedule", "backward"),
    (two_layers, "lower", "forward"),
    (two_layers, "schedule", "backward"),
)


def name_of(which: str | Cell, after: str, kernel: str) -> str:
    cell_name = which if isinstance(which, str) else which.name
    return "-".join(part for part in (cell_name, after, kernel) if part) + ".txt"


def dumped(which: str | Cell, after: str, kernel: str) -> str:
    made = model(named(which) if isinstance(which, str) else which)
    plan(made)
    return made.trace.after(after, kernel).dump() + "\n"
