"""Pieces of equations that cells share: Python functions that write values of their own and return what they are written for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sympy as sp

from derive import ir
from derive.ir import Largest
from derive.ir.functions import where
from derive.notation.positions import position
from derive.notation.symbols import Rational, Sum, mean, n, sqrt, t, whole
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


def softmax(v: Any, over: sp.Symbol = n) -> Any:
    """exp(v) divided by its sum over an index, by exponentials of v minus its largest: 0 to 1, for values of any size.

    `v` is an expression at t, `over` one of its indices; what returns is one.
    """
    e, total, _ = _exponentials(v, over)
    return e / total


def logsumexp(v: Any, over: sp.Symbol = n) -> Any:
    """log of the sum over an index of exp(v), which no value of v makes infinite; its derivative is the softmax."""
    _, total, largest = _exponentials(v, over)
    return largest + sp.log(total)


def _exponentials(v: Any, over: sp.Symbol) -> tuple[Any, Any, Any]:
    """exp(v - largest), its sum, and the largest of v over an index."""
    others = [
        s for s in sorted(v.free_symbols, key=str) if s.is_integer and s not in (t, over) and type(s) is sp.Symbol
    ]
    if isinstance(v, sp.Indexed):
        indices = v.indices
        others = [s for s in indices if s not in (t, over)]
    else:
        indices = (t, *others, over)
        (a := value("a"))[indices] = v
        v = a[indices]
    top, e, total = value("top e total")
    top[(t, *others)] = Largest(v, (over, 1, whole(over)))
    e[indices] = sp.exp(v - top[(t, *others)])
    total[(t, *others)] = Sum(e[indices], over)
    return e[indices], total[(t, *others)], top[(t, *others)]


def cumsum(v: Any, over: sp.Symbol = n) -> Any:
    """The sums over an index up to each unit: sum of v[t, m] for m = 1..n.  `v` is an expression at t and `over`.

    It is a product with a triangular matrix of ones, which no step computes again.
    """
    other = ir.index(ir.unused_name("m", {str(s) for s in v.free_symbols}))
    ones, summed, a = value("ones summed a")
    place = position(over)
    ones[over, other] = where(place.base[other] <= place, 1, 0)
    a[t, over] = v
    summed[t, over] = Sum(ones[over, other] * a[t, other], other)
    return summed[t, over]


def cumax(v: Any, over: sp.Symbol = n) -> Any:
    """The cumulative sum of the softmax: from near 0 up to 1, a soft step. Shen, Tan, Sordoni & Courville 2019, eq. 4."""
    return cumsum(softmax(v, over), over)
