"""Pieces of equations that cells share: Python functions that write values of their own and return what they are written for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sympy as sp

from derive.notation.symbols import Rational, mean, n, sqrt, t
from derive.notation.writer import value

EPSILON = Rational(1, 100000)


def layer_norm(v: Any, gain: Any, bias: Any = None, over: sp.Symbol = n, eps: sp.Expr = EPSILON) -> Any:
    """gain (v - mu)/sqrt(var + eps) + bias, of the mean and variance of a step's units. Ba, Kiros & Hinton 2016, eq. 4.

    `v` is an expression at t and `over`, and what returns is one.  Or a dict of them by gate, {r: ..., z: ...}, with one mean
    and one variance of all their units together; gate r then has `gain[r]` and `bias[r]`, and a dict returns.
    """
    vectors = dict(v) if isinstance(v, Mapping) else {None: v}
    if not all(isinstance(vector, sp.Indexed) for vector in vectors.values()):
        a = value("a")
        for q, vector in vectors.items():
            part = a if q is None else a[q]
            part[t, over] = vector
            vectors[q] = part[t, over]
    mu, var, rho = value("mu var rho")
    mu[t] = sum(mean(vector, over) for vector in vectors.values()) / len(vectors)
    var[t] = sum(mean((vector - mu[t]) ** 2, over) for vector in vectors.values()) / len(vectors)
    rho[t] = 1 / sqrt(var[t] + eps)
    found = {q: _of(gain, q)[over] * (vector - mu[t]) * rho[t] for q, vector in vectors.items()}
    if bias is not None:
        found = {q: normal + _of(bias, q)[over] for q, normal in found.items()}
    return found if isinstance(v, Mapping) else found[None]


def _of(parameter: Any, gate: Any) -> Any:
    return parameter if gate is None else parameter[gate]
