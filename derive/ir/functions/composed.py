"""Functions that are made of others: those with a derivative of their own at a kink, and those that are short for a formula.

The first have a definition (defined.py).  The second are functions of Python: what they return stands in the equation,
in the form that is accurate and cannot overflow, and is differentiated like anything else.
"""

from __future__ import annotations

from typing import Any

import sympy as sp

from derive.ir.functions.defined import define
from derive.ir.functions.pieces import absolute, at_most, clip, less, where
from derive.ir.functions.smooth import expm1, normal_cdf, sigmoid, softplus

_x = sp.Symbol("x")
# 1/6 and not a quotient: PyTorch and Keras 3 have relu6(x + 3)/6.
hard_sigmoid = define(
    "hard_sigmoid",
    (_x,),
    clip(_x + 3, 0, 6) / 6,
    (less(-3, _x) * less(_x, 3) / 6,),
    r"\operatorname{hard\_sigmoid}",
)
hard_tanh = define(
    "hard_tanh", (_x,), clip(_x, -1, 1), (less(-1, _x) * less(_x, 1),), r"\operatorname{hard\_tanh}"
)  # fmt: skip
# The derivative that SymPy finds is a difference of two terms that cancel where |x| is large.
softsign = define(
    "softsign", (_x,), _x / (1 + absolute(_x)), ((1 + absolute(_x)) ** -2,), r"\operatorname{softsign}"
)  # fmt: skip


_a, _b = sp.symbols("a b")
equal = define(
    "equal", (_a, _b), at_most(_a, _b) * at_most(_b, _a), (sp.Integer(0), sp.Integer(0)), r"[\,{0} = {1}\,]"
)  # fmt: skip


def silu(x: Any) -> sp.Expr:
    """x sigmoid(x), also called swish."""
    return x * sigmoid(x)


def gelu(x: Any) -> sp.Expr:
    """x Phi(x), Phi the distribution function of the normal distribution: x (1 + erf(x/sqrt(2)))/2 without cancellation."""
    return x * normal_cdf(x)


def gelu_tanh(x: Any) -> sp.Expr:
    """x (1 + tanh(u))/2, u = sqrt(2/pi) (x + 0.044715 x^3), the approximation of gelu; (1 + tanh(u))/2 is sigmoid(2 u)."""
    return x * sigmoid(2 * sp.sqrt(2 / sp.pi) * (x + sp.Float("0.044715") * x**3))


def elu(x: Any, alpha: Any = 1) -> sp.Expr:
    """x where x > 0, else alpha (exp(x) - 1); the derivative at 0 is alpha.

    The inner choice keeps exp from an infinity that the outer one would not take: 0 times it would be no number.
    """
    return where(x > 0, x, alpha * expm1(where(x > 0, 0, x)))


def leaky_relu(x: Any, slope: Any = 0.01) -> sp.Expr:
    """x where x > 0, else slope x; the derivative at 0 is the slope."""
    return where(x > 0, x, slope * x)


def log_sigmoid(x: Any) -> sp.Expr:
    """log(sigmoid(x)), without overflow."""
    return -softplus(-x)


DEFINED = (hard_sigmoid, hard_tanh, softsign, equal)
FORMULAS = (silu, gelu, gelu_tanh, elu, leaky_relu, log_sigmoid)
