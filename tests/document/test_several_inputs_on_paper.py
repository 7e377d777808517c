"""The document of a cell with two inputs names both, and says so."""

from __future__ import annotations

from derive import document
from derive.document import graph
from derive.document.blocks import Display, Paragraph
from derive.document.messages import Messages
from derive.document.sections.accumulation import deltas
from derive.notation import Sum, cell, j, k, n, t, tanh


@cell(states="h")
def two(x, u, h, W, U, A, b):
    """Two inputs of different sizes."""
    h[t, n] = tanh(Sum(W[n, j] * x[t, j], j) + Sum(A[n, k] * u[t, k], k) + Sum(U[n, k] * h[t - 1, k], k) + b[n])


def test_the_graph_of_three_steps_has_both_inputs() -> None:
    labels = [node.label for node in graph.chain(document.derivation(two, None)).nodes]
    assert [label for label in labels if "u(" in label] == [rf"x({w}),\,u({w})" for w in ("t-1", "t", "t+1")]


def test_the_gradients_of_both_inputs_are_shown_under_a_plural() -> None:
    blocks = deltas(document.derivation(two, None), Messages("en"))
    at = next(p for p, b in enumerate(blocks) if isinstance(b, Paragraph) and "with respect to the inputs" in str(b))
    shown = blocks[at + 1]
    assert isinstance(shown, Display) and len(shown.rows) == 2
