"""What the references compute with, and how their results are compared.

Three things, none of which knows a cell:

* elementary functions that are chosen by dtype: float32 and float64 stay in their dtype, complex128 stays analytic
  (no abs, conj or max, so that a complex step passes through), object arrays are 50-digit mpmath numbers;
* derivatives that share nothing with any derivation: complex step, central difference, complex step in 50 digits;
* errors: normwise and condition-scaled, evaluated in more precision than the values that they compare.

`MP` is a context of this module's own, so that its 50 digits do not depend on `mpmath.mp.dps`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

import mpmath  # type: ignore[import-untyped,unused-ignore]
import numpy as np
from numpy.typing import DTypeLike, NDArray

Array = NDArray[Any]
Params = Mapping[str, Array]
Gradients = dict[str, Array]
States = tuple[Array, ...]

DIGITS = 50
MP = mpmath.MPContext()
MP.dps = DIGITS

_mp_convert = np.frompyfunc(MP.convert, 1, 1)
_mp_exp = np.frompyfunc(MP.exp, 1, 1)
_mp_tanh = np.frompyfunc(MP.tanh, 1, 1)
_mp_sqrt = np.frompyfunc(MP.sqrt, 1, 1)


# ---------------------------------------------------------------------------------------------------------------------
# Arrays


def to_mp(values: Any) -> Array:
    """The same numbers as an object array of 50-digit mpmath numbers; exact for every NumPy float."""
    return np.asarray(_mp_convert(np.asarray(values)), dtype=object)


def from_mp(values: Any, dtype: DTypeLike = np.float64) -> Array:
    """The nearest float64 (or complex128) to each mpmath number, then cast to `dtype`."""
    kind = np.dtype(dtype).kind
    values = np.asarray(values, dtype=object)
    return values.astype(np.complex128 if kind == "c" else np.float64).astype(dtype)


def decimal(text: str, dtype: DTypeLike) -> Any:
    """A constant of an equation, such as the 1e-5 of a layer norm, rounded once to `dtype`."""
    scalar: Any = MP.mpf if np.dtype(dtype).kind == "O" else np.dtype(dtype).type
    return scalar(text)


def common(
    x: Any, params: Mapping[str, Any], state: Iterable[Any] | None, state_sizes: Iterable[int]
) -> tuple[Array, dict[str, Array], States]:
    """x, params and state in their common dtype, the state as zeros of (B, size) where None was given.

    float32 throughout stays float32. One complex or mpmath array makes everything complex or mpmath.
    """
    x = np.asarray(x)
    arrays = {name: np.asarray(value) for name, value in params.items()}
    initial = None if state is None else tuple(np.asarray(s) for s in state)
    dtype = np.result_type(x, *arrays.values(), *(initial or ()))
    if initial is None:
        initial = tuple(np.zeros((x.shape[1], size), dtype) for size in state_sizes)
    return _cast(x, dtype), {n: _cast(a, dtype) for n, a in arrays.items()}, tuple(_cast(s, dtype) for s in initial)


def seeds(d_out: Any, d_state: Any, state_sizes: Iterable[int], dtype: np.dtype[Any]) -> tuple[Array, States]:
    """The adjoints that a backward pass starts from, in `dtype`; those of the final state are zero where not given."""
    d_out = np.asarray(d_out)
    if d_state is None:
        d_state = tuple(np.zeros((d_out.shape[1], size), dtype) for size in state_sizes)
    return _cast(d_out, dtype), tuple(_cast(np.asarray(d), dtype) for d in d_state)


def _cast(value: Array, dtype: np.dtype[Any]) -> Array:
    return to_mp(value) if dtype.kind == "O" else value.astype(dtype, copy=False)


# ---------------------------------------------------------------------------------------------------------------------
# Elementary functions by dtype


def exp(a: Array) -> Array:
    """e^a."""
    return np.asarray(_mp_exp(a)) if a.dtype == object else np.exp(a)


def tanh(a: Array) -> Array:
    """Hyperbolic tangent."""
    return np.asarray(_mp_tanh(a)) if a.dtype == object else np.tanh(a)


def sqrt(a: Array) -> Array:
    """Principal square root."""
    return np.asarray(_mp_sqrt(a)) if a.dtype == object else np.sqrt(a)


def sigmoid(a: Array) -> Array:
    """1 / (1 + e^-a), accurate relative to its own size on both sides, and analytic.

    Where e^-a overflows, a real quotient is 0 as it should be, but a complex one is NaN: there the equal form
    e^a / (1 + e^a) is taken. The choice looks at the real part only, so both forms are the same analytic function.
    """
    if a.dtype == object:
        return np.asarray(1 / (1 + exp(-a)))
    if a.dtype.kind == "c":
        right = a.real >= 0
        e = np.exp(np.where(right, -a, a))
        return np.where(right, np.ones_like(e), e) / (1 + e)
    with np.errstate(over="ignore"):
        return np.asarray(1 / (1 + np.exp(-a)))


def squared_error(out: Array, y: Any) -> tuple[Any, Array]:
    """L = sum of (out - y)^2 over all entries, and dL/dout = 2 (out - y)."""
    residual = out - _cast(np.asarray(y), np.result_type(out, np.asarray(y)))
    return (residual * residual).sum(), 2 * residual


# ---------------------------------------------------------------------------------------------------------------------
# Derivatives without a derivation


def _jacobian(x: Array, column: Callable[[tuple[int, ...]], Any], dtype: DTypeLike) -> Array:
    columns = [np.asarray(column(index), dtype=dtype) for index in np.ndindex(x.shape)]
    if not columns:
        return np.empty(x.shape, dtype)
    return np.stack(columns).reshape(x.shape + columns[0].shape)


def complex_step_gradient(f: Callable[[Array], Any], x: Any, step: float = 1e-30) -> Array:
    """df/dx of an analytic f, as Im f(x + i step) / step (Squire & Trapp 1998).

    Nothing is subtracted, so there is no cancellation, and the truncation error, of order step^2, is far below
    rounding: the result is as accurate as f itself. f maps an array of x's shape to a number (the result then has
    x's shape) or to an array (the result has x's shape followed by f's).
    """
    x = np.asarray(x, dtype=np.complex128)

    def column(index: tuple[int, ...]) -> Any:
        shifted = x.copy()
        shifted[index] += 1j * step
        return np.asarray(f(shifted)).imag / step

    return _jacobian(x, column, np.float64)


def central_difference(f: Callable[[Array], Any], x: Any, step: float | None = None) -> Array:
    """df/dx as (f(x + s) - f(x - s)) / (2 s) in x's own dtype, with s = eps^(1/3) max(1, |x|) unless given.

    Good to about eps^(2/3): it needs no analytic f, so it is the witness for everything else on this page.
    """
    x = np.asarray(x)
    relative = float(np.finfo(x.dtype).eps) ** (1 / 3)

    def column(index: tuple[int, ...]) -> Any:
        s = step if step is not None else relative * max(1.0, abs(float(x[index])))
        above, below = x.copy(), x.copy()
        above[index] += s
        below[index] -= s
        # Divided by the step that was taken after rounding, not by the one that was asked for.
        return (np.asarray(f(above)) - np.asarray(f(below))) / (above[index] - below[index])

    return _jacobian(x, column, x.dtype)


def mp_gradient(f: Callable[[Array], Any], x: Any, step: str = "1e-40") -> Array:
    """df/dx in 50 digits: a complex step in mpmath, so with a truncation error of order 1e-80.

    f takes an object array of mpmath numbers and may use this module's functions, +, -, *, / and @.
    """
    x = to_mp(x)
    h = MP.mpf(step)

    def column(index: tuple[int, ...]) -> Any:
        shifted = x.copy()
        shifted[index] = MP.mpc(shifted[index], h)
        return _mp_imag(to_mp(f(shifted))) / h

    return _jacobian(x, column, object)


_mp_imag = np.frompyfunc(lambda v: v.imag, 1, 1)


# ---------------------------------------------------------------------------------------------------------------------
# Errors


def _difference(value: Any, reference: Any) -> tuple[Array, Array]:
    """|value - reference| and |reference|, in mpmath where either is mpmath and in extended precision otherwise."""
    value, reference = np.asarray(value), np.asarray(reference)
    if value.shape != reference.shape:
        raise ValueError(f"value has shape {value.shape}, its reference {reference.shape}")
    if object in (value.dtype, reference.dtype):
        value, reference = to_mp(value), to_mp(reference)
    else:
        wide = np.clongdouble if "c" in (value.dtype.kind, reference.dtype.kind) else np.longdouble
        value, reference = value.astype(wide), reference.astype(wide)
    return np.asarray(abs(value - reference)), np.asarray(abs(reference))


def _norm(magnitudes: Array) -> Any:
    """Euclidean norm of numbers >= 0, scaled so that no square over- or underflows. NaN stays NaN."""
    if magnitudes.dtype == object:
        return MP.sqrt(sum((m * m for m in magnitudes.ravel()), MP.mpf(0)))
    largest = magnitudes.max(initial=0)
    if largest == 0 or not np.isfinite(largest):
        return largest
    return largest * np.sqrt(((magnitudes / largest) ** 2).sum())


def normwise_error(value: Any, reference: Any) -> float:
    """||value - reference||_2 / ||reference||_2; for a zero reference 0 if the value is zero too, inf otherwise."""
    difference, size = (_norm(m) for m in _difference(value, reference))
    if size == 0 and not difference != difference:
        return 0.0 if difference == 0 else float("inf")
    return float(difference / size)


def condition_scaled_error(value: Any, reference: Any, magnitude: Any) -> float:
    """Largest |value - reference| / magnitude over all elements.

    `magnitude` is the sum of |delta| |operand| behind each element (a reference's `magnitudes`): the size of what was
    added up, which rounding errors are proportional to, however much of it cancels. Where it is zero, the element
    must be exact: it counts as 0 if so and as inf otherwise.
    """
    difference, _ = _difference(value, reference)
    magnitude = np.broadcast_to(np.asarray(magnitude), difference.shape)
    magnitude = to_mp(magnitude) if difference.dtype == object else magnitude.astype(difference.dtype)
    worst = 0.0
    for d, m in zip(difference.ravel(), magnitude.ravel(), strict=True):
        error = float(d / m) if m != 0 else (0.0 if d == 0 else float(d) * float("inf"))
        if error != error:
            return error
        worst = max(worst, error)
    return worst


def in_eps(error: float, dtype: DTypeLike) -> float:
    """An error in units of the machine epsilon of `dtype`."""
    return error / float(np.finfo(np.dtype(dtype)).eps)


# ---------------------------------------------------------------------------------------------------------------------
# Magnitudes: what condition-scaled errors are scaled by

Cache = TypeVar("Cache", bound=tuple[Any, ...])


def absolute(arrays: Params) -> dict[str, Array]:
    """|a| of every array."""
    return {name: np.asarray(abs(a)) for name, a in arrays.items()}


def after_first_step(cache: Cache) -> Cache:
    """The cache of the same run without its first step: params stay, every other field starts with time."""
    return type(cache)(cache[0], *(field[1:] for field in cache[1:]))  # type: ignore[call-arg]
