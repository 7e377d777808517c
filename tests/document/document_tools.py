"""What the tests of the document share: cells, derivations, and a cell that is not in the collection."""

from __future__ import annotations

import re
from functools import cache

from derive import document, registry
from derive.document.blocks import Block, Details, Display, Row
from derive.document.derivation import Derivation
from derive.notation import Cell, Sum, cell, j, k, n, sigmoid, softplus, t, tanh

CELLS = sorted(registry.shipped())


@cell(states="h", gates="f g")
def minimal(x, h, W, U, b, a, s, f, g):
    """Minimal gated unit with a softplus, so that a derivative is no value of the forward pass."""
    for q in (f, g):
        a[q][t, n] = Sum(W[q][n, j] * x[t, j], j) + b[q][n]
    s[f][t, n] = Sum(U[f][n, k] * h[t - 1, k], k)
    f[t, n] = sigmoid(a[f][t, n] + s[f][t, n])
    s[g][t, n] = Sum(U[g][n, k] * f[t, k] * h[t - 1, k], k)
    g[t, n] = tanh(a[g][t, n] + softplus(s[g][t, n]))
    h[t, n] = (1 - f[t, n]) * h[t - 1, n] + f[t, n] * g[t, n]


def found(name: str) -> Cell:
    return minimal if name == "minimal" else registry.cell(name)


@cache
def derivation(name: str) -> Derivation:
    return document.derivation(found(name), None)  # spelled as the document itself asks for it: one entry of the cache


@cache
def written(name: str, form: str = "tex", lang: str = "en") -> str:
    return document.written(found(name), form, lang)


def rows(name: str, lang: str = "en") -> list[Row]:
    """Every equation of a page, in order."""
    blocks: list[Block] = [b for s in document.document(found(name), None, lang).sections for b in s.blocks]
    seen: list[Row] = []
    while blocks:
        item = blocks.pop(0)
        if isinstance(item, Display):
            seen += item.rows
        elif isinstance(item, Details):
            blocks = [*item.body, *blocks]
    return seen


def labels(tex: str) -> list[str]:
    return [x for x in re.findall(r"\\label\{([^}]*)\}", tex) if not x.startswith("section:")]
