"""The functions of the language against PyTorch and against many digits: values, derivatives, and what holds at a kink."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import mpmath
import numpy as np
import pytest
import sympy as sp

from derive.ir import functions
from derive.ir.functions import IN_CELLS, absolute, at_most, less

torch = pytest.importorskip("torch")
F = torch.nn.functional

# What PyTorch calls it.  Points are drawn, and every kink is one of them.
TORCH: dict[str, Callable[..., Any]] = {
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "exp": torch.exp,
    "expm1": torch.expm1,
    "log": torch.log,
    "sin": torch.sin,
    "cos": torch.cos,
    "atan": torch.atan,
    "erf": torch.erf,
    "normal_cdf": torch.special.ndtr,
    "softplus": F.softplus,
    "log_sigmoid": F.logsigmoid,
    "silu": F.silu,
    "gelu": F.gelu,
    "gelu_tanh": lambda x: F.gelu(x, approximate="tanh"),
    "softsign": F.softsign,
    "relu": F.relu,
    "elu": F.elu,
    "leaky_relu": F.leaky_relu,
    "hard_tanh": F.hardtanh,
    "hard_sigmoid": F.hardsigmoid,
    "sign": torch.sign,
    "floor": torch.floor,
    "abs": torch.abs,
}
OF_TWO: dict[str, Callable[..., Any]] = {
    "maximum": torch.maximum,
    "minimum": torch.minimum,
    "where": torch.where,
    "clip": torch.clamp,
    "equal": lambda a, b: torch.eq(a, b).double() + 0 * a + 0 * b,
}
KINKS = [-3.0, -1.0, -0.5, 0.0, 0.5, 1.0, 2.0, 3.0]
POINTS = np.concatenate([KINKS, np.random.default_rng(5).normal(size=40) * 3])


def function(name: str) -> Any:
    return absolute if name == "abs" else IN_CELLS[name]


def evaluated(expr: sp.Expr, symbols: list[sp.Symbol], values: list[np.ndarray]) -> np.ndarray:
    """By the NumPy forms of the records, nothing of the interpreter."""
    if expr in symbols:
        return values[symbols.index(expr)]
    if expr.is_number:
        return np.full(values[0].shape, float(expr))
    parts = [evaluated(a, symbols, values) for a in expr.args]
    if isinstance(expr, sp.Add):
        return sum(parts[1:], parts[0])
    if isinstance(expr, sp.Mul):
        return np.prod(parts, axis=0)
    if isinstance(expr, sp.Pow):
        return parts[0] ** float(expr.exp)
    record = functions.record_of(expr)
    assert record is not None
    return record.numpy(*parts)


def test_the_table_has_every_function_of_cells() -> None:
    assert {*TORCH, *OF_TWO} == {*IN_CELLS, "abs"}


@pytest.mark.parametrize("name", TORCH)
def test_values_and_derivatives_are_those_of_pytorch(name: str) -> None:
    """In float64, the kinks among the points; derivatives twice."""
    points = np.abs(POINTS) + 0.1 if name == "log" else POINTS
    x, a = torch.tensor(points, requires_grad=True), sp.Symbol("a")
    value = TORCH[name](x)
    (slope,) = torch.autograd.grad(value.sum(), x, create_graph=True)
    expr = function(name)(a)
    np.testing.assert_allclose(evaluated(expr, [a], [points]), value.detach(), rtol=1e-13, atol=1e-14)
    near = 1e-7 if name == "hard_sigmoid" else 1e-12  # PyTorch multiplies by 1/6 as float32 has it, in float64 too
    np.testing.assert_allclose(evaluated(expr.diff(a), [a], [points]), slope.detach(), rtol=near, atol=1e-14)
    if slope.requires_grad and name != "hard_sigmoid":
        (bend,) = torch.autograd.grad(slope.sum(), x, allow_unused=True)
        bend = torch.zeros_like(x) if bend is None else bend
        smooth = ~np.isin(points, KINKS)
        found = evaluated(expr.diff(a, 2), [a], [points])
        np.testing.assert_allclose(found[smooth], bend.detach()[smooth], rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("name", OF_TWO)
def test_ties_and_bounds_are_those_of_pytorch(name: str) -> None:
    """Every pair and triple of a few numbers: ties, bounds that are met, and bounds that are crossed."""
    count = {"where": 3, "clip": 3}.get(name, 2)
    values = [v.ravel() for v in np.meshgrid(*[np.array([-2.0, -1.0, 0.0, 0.5, 1.0])] * count)]
    tensors = [torch.tensor(v, requires_grad=True) for v in values]
    given = [tensors[0] != 0, *tensors[1:]] if name == "where" else tensors
    out = OF_TWO[name](*given)
    slopes = torch.autograd.grad(out.sum(), tensors, allow_unused=True)
    symbols = list(sp.symbols("a b c"))[:count]
    expr = function(name)(*symbols)
    np.testing.assert_array_equal(evaluated(expr, symbols, values), out.detach())
    for symbol, slope in zip(symbols, slopes, strict=True):
        wanted = np.zeros(out.shape) if slope is None else slope
        np.testing.assert_array_equal(evaluated(expr.diff(symbol), symbols, values), wanted, err_msg=str(symbol))


@pytest.mark.parametrize("name", [n for n in TORCH if n not in ("sign", "floor")])
def test_derivatives_are_those_of_fifty_digits(name: str) -> None:
    """By differences of the mpmath forms in 50 digits, beside the kinks."""
    points = [v for v in (np.abs(POINTS) + 0.1 if name == "log" else POINTS) if v not in KINKS]
    a = sp.Symbol("a")
    expr = function(name)(a)

    def digits(at: Any, node: sp.Expr = expr) -> Any:
        if node == a:
            return at
        if node.is_number:
            return mpmath.mpf(str(sp.N(node, 60)))
        parts = [digits(at, argument) for argument in node.args]
        if isinstance(node, sp.Add):
            return mpmath.fsum(parts)
        if isinstance(node, sp.Mul):
            return mpmath.fprod(parts)
        if isinstance(node, sp.Pow):
            return parts[0] ** parts[1]
        record = functions.record_of(node)
        assert record is not None
        return record.mpmath(*parts)

    with mpmath.workdps(50):
        wanted = [float(mpmath.diff(digits, mpmath.mpf(float(v)))) for v in points]
    found = evaluated(expr.diff(a), [a], [np.array(points)])
    np.testing.assert_allclose(found, wanted, rtol=1e-11, atol=1e-15)


def test_what_nan_and_infinities_do() -> None:
    """As in IEEE 754 and NumPy: comparisons with NaN are false, the larger of NaN and a number is NaN."""
    nan, inf = np.array([np.nan]), np.array([np.inf])
    table = functions.BY_CLASS
    assert table[less].numpy(nan, inf) == 0 and table[at_most].numpy(nan, nan) == 0
    for name in ("maximum", "minimum"):
        record = table[function(name)]
        assert np.isnan(record.numpy(nan, inf)) and np.isnan(record.numpy(inf, nan))
    assert table[function("where")].numpy(nan, np.array([1.0]), np.array([2.0])) == 1  # NaN is not zero
    assert np.isnan(table[function("clip")].numpy(nan, -inf, inf))
    assert table[function("clip")].numpy(inf, np.array([0.0]), np.array([6.0])) == 6
