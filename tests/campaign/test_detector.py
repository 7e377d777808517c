"""`validate` finds what is wrong: mistakes made on purpose, in the derived equations and in the emitted C."""

import textwrap

import pytest
from campaign import Worker

# Two states of different sizes, stacked gates, a product of a power, a row reduction that a later product needs.
CELL = """
    from derive.notation import *

    @cell(states="h s", gates="f g")
    def two(x, h, s, W, U, b, A, f, g, r, P):
        f[t, n] = sigmoid(Sum(W[f][n, j] * x[t, j], j) + Sum(U[f][n, k] * h[t - 1, k], k) + b[f][n])
        g[t, n] = tanh(Sum(W[g][n, j] * x[t, j], j) + Sum(U[g][n, k] * h[t - 1, k] ** 2, k) + b[g][n])
        h[t, n] = f[t, n] * h[t - 1, n] + (1 - f[t, n]) * g[t, n]
        r[t] = Sum(h[t, n] ** 2, n) / 3
        s[t, m] = r[t] * s[t - 1, m] / 2 + tanh(Sum(A[m, n] * h[t, n], n)) * P[m]
"""
EACH = 5  # mistakes in one test
# What cannot show in results: within rows that are written again, memory that only sanitizers watch, a size that is not read.
SILENT = ("lanes", "w->", "full", "share", "_before", "_after", "at.B = B")


@pytest.fixture(scope="module")
def worker():
    made = Worker()
    yield made
    made.close()


@pytest.mark.parametrize("level", ["equations", "C"])
def test_mistakes_are_found(worker, tmp_path, level):
    path = tmp_path / "two.py"
    path.write_text(textwrap.dedent(CELL))
    assert worker.ask(f"file {path} 0")["verdict"] == "right"
    unseen = []
    for number in range(EACH):
        found = worker.ask(f"mutant {path} {level} {number}")
        if found["verdict"] == "right" and not any(word in str(found["mutant"]) for word in SILENT):
            unseen.append(found["mutant"])
    assert not unseen, "\n".join(unseen)
