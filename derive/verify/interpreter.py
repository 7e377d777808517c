"""An interpreter of programs on NumPy arrays: real, complex (for the complex step) or mpmath numbers.

It executes equations as they stand, in the order that their dependencies ask for, with no knowledge of any cell, of
batches, of lowering or of C.  Slow and plain on purpose; but an input may carry an extra leading axis, and then all of
its slices are evaluated at once: a complex step in every element of every parameter is one run.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import sympy as sp
from sympy.functions.special.tensor_functions import KroneckerDelta
from sympy.tensor.indexed import Indexed

from derive import ir
from derive.errors import DeriveError
from derive.ir import Program, span, t
from derive.ir.functions import record_of

Array = Any
Value = tuple[Array, tuple[sp.Symbol, ...]]
Order = list[tuple[int, list[ir.Equation]]]
SWEEP = sp.Symbol("sweep", integer=True)


def run(
    program: Program,
    values: Mapping[str, Array],
    sizes: Mapping[str, int],
    disturb: Callable[[Array], Array] | None = None,
    order: Order | None = None,
) -> dict[str, Array]:
    """Evaluate every equation.

    `values` holds each input: shape (steps, *dims) where it has a time axis, (*dims) otherwise.  `sizes` maps "T", "H",
    ... to integers.  Returns all tensors, inputs included; a tensor on 0..T has T+1 rows.  The dtype is that of the
    values: float, complex, or object arrays of mpmath numbers.  Inputs with one more axis in front are swept: every
    result then has that axis in front as well.  `disturb` changes what every node of every expression evaluates to: with
    random factors near 1 it shows how far roundings can go.  `order` is that of `order_of(program)`, for a caller that runs one
    program many times.
    """
    return _Interpreter(program, values, sizes, disturb).run(order_of(program) if order is None else order)


def order_of(program: Program) -> Order:
    """The equations of a program as loops over time, each with its direction; 0: no loop."""
    return [
        (group.direction, [e for name in _in_order(program, group) for e in program.defined[name]])
        for group in ir.order(program)
    ]


def _in_order(program: Program, group: ir.Group) -> Sequence[str]:
    return ir.in_step(program, group.tensors) if group.direction else group.tensors[:1]


class _Interpreter:
    def __init__(
        self,
        program: Program,
        values: Mapping[str, Array],
        sizes: Mapping[str, int],
        disturb: Callable[[Array], Array] | None,
    ) -> None:
        self.program, self.sizes = program, {str(k): int(v) for k, v in sizes.items()}
        self.disturb = disturb
        self.arrays: dict[str, Array] = {}
        self.dtype = np.result_type(*(np.asarray(v).dtype for v in values.values()))
        self.sweep: int | None = None
        self.reads: dict[sp.Expr, tuple[str, tuple[sp.Expr, ...], sp.Expr | None, int | None, tuple[int, int]]] = {}
        self.swept: set[str] = set()
        # Whole numbers, which no rounding moves.
        self.whole = {*program.facts.classes, *(e.target for e in program.equations if ir.is_position(e))}
        for name in program.inputs:
            if name not in values:
                raise DeriveError(f"{program.name}: no value for the input {name} {program.tensors[name].shape}")
            array = np.asarray(values[name], dtype=self.dtype)
            shape = self._shape(name)
            if array.shape[1:] == shape and array.ndim == len(shape) + 1:
                if self.sweep not in (None, array.shape[0]):
                    raise DeriveError(
                        f"{program.name}: inputs are swept over {self.sweep} and over {array.shape[0]} values"
                    )
                self.sweep = array.shape[0]
                self.swept.add(name)
                array = np.moveaxis(array, 0, 1) if program.tensors[name].time is not None else array
            elif array.shape != shape:
                raise DeriveError(
                    f"{program.name}: {name} must have shape {program.tensors[name].shape} = "
                    f"{shape}, found {array.shape}"
                )
            self.arrays[name] = array

    def _number(self, expr: sp.Expr) -> int:
        if expr.is_Symbol:
            return self.sizes[str(expr.name)]
        return int(expr if expr.is_Integer else expr.subs({s: self.sizes[str(s)] for s in expr.free_symbols}))

    def _span(self, name: str) -> tuple[int, int]:
        life = self.program.tensors[name].time
        assert life is not None
        return self._number(life[0]), self._number(life[1])

    def _shape(self, name: str) -> tuple[int, ...]:
        tensor = self.program.tensors[name]
        dims = tuple(self.sizes[str(d)] for d in tensor.dims)
        if tensor.time is None:
            return dims
        lo, hi = self._span(name)
        return (hi - lo + 1, *dims)

    def run(self, order: Order) -> dict[str, Array]:
        for name in self.program.defined:
            shape = self._shape(name)
            if self.sweep is not None:
                at = 1 if self.program.tensors[name].time is not None else 0
                shape = (*shape[:at], self.sweep, *shape[at:])
                self.swept.add(name)
            self.arrays[name] = np.zeros(shape, dtype=self.dtype)
        for direction, equations in order:
            if not direction:
                for equation in equations:
                    for when in self._times(equation):
                        self._assign(equation, when)
                continue
            times = [self._times(e) for e in equations]
            for when in sorted({w for own in times for w in own if w is not None}, reverse=direction < 0):
                for equation, own in zip(equations, times, strict=True):
                    if when in own:
                        self._assign(equation, when)
        return {
            n: np.moveaxis(a, 1, 0) if n in self.swept and self.program.tensors[n].time is not None else a
            for n, a in self.arrays.items()
        }

    def _times(self, equation: ir.Equation) -> list[int | None] | range:
        when = ir.time_of(equation.lhs, self.program.tensors)
        if when is None:
            return [None]
        if when != t:
            return [self._number(when)]
        assert equation.when is not None
        return range(self._number(equation.when[0]), self._number(equation.when[1]) + 1)

    def _assign(self, equation: ir.Equation, when: int | None) -> None:
        tensor = self.program.tensors[equation.target]
        if ir.is_position(equation):
            array, axes = np.arange(self.sizes[str(tensor.dims[0])]).astype(self.dtype), equation.lhs.indices
        else:
            array, axes = self.evaluate(equation.rhs, {} if when is None else {t: when})
        indices = ir.indices_of(equation.lhs, self.program.tensors)
        shape = tuple(self.sizes[str(d)] for d in tensor.dims)
        if self.sweep is not None:
            indices, shape = (SWEEP, *indices), (self.sweep, *shape)
        value = np.broadcast_to(self._align(array, axes, indices), shape)
        if when is None:
            self.arrays[equation.target][...] = value
        else:
            self.arrays[equation.target][when - self._span(equation.target)[0]] = value[
                ()
            ]  # of a number itself, not an array

    @staticmethod
    def _align(array: Array, axes: tuple[sp.Symbol, ...], wanted: tuple[sp.Symbol, ...]) -> Array:
        """Axes in the wanted order, with length 1 where one is missing."""
        array = np.asarray(array)
        present = [s for s in wanted if s in axes]
        array = array.transpose([axes.index(s) for s in present])
        return array.reshape([array.shape[present.index(s)] if s in present else 1 for s in wanted])

    # -- expressions: an array and the index symbols of its axes -------------------------------------------------------

    def evaluate(self, expr: sp.Expr, times: Mapping[sp.Symbol, int]) -> Value:
        array, axes = self._evaluate(expr, times)
        exact = self.disturb is None or (isinstance(expr, Indexed) and ir.name_of(expr) in self.whole)
        return (array if self.disturb is None or exact else self.disturb(array)), axes

    def _evaluate(self, expr: sp.Expr, times: Mapping[sp.Symbol, int]) -> Value:
        if isinstance(expr, Indexed) or (expr.is_Symbol and str(expr) in self.arrays):
            return self._read(expr, times)
        if isinstance(expr, sp.Sum):
            return self._sum(expr, times)
        if isinstance(expr, ir.Largest):
            return self._largest(expr, times)
        if isinstance(expr, (span, KroneckerDelta)):
            numbers = [self._time(a, times) for a in expr.args]
            holds = numbers[1] <= numbers[0] <= numbers[2] if isinstance(expr, span) else numbers[0] == numbers[1]
            return np.asarray(int(holds), dtype=self.dtype), ()
        if not expr.args:
            return self._constant(expr), ()
        if isinstance(expr, sp.Mul) and any(self._is_outside(a, times) for a in expr.args):
            return self._constant(sp.Integer(0)), ()
        parts = [self.evaluate(a, times) for a in expr.args]
        axes = tuple(dict.fromkeys(s for _, own in parts for s in own))
        arrays = [self._align(a, own, axes) for a, own in parts]
        return self._apply(expr, arrays), axes

    def _apply(self, expr: sp.Expr, arrays: list[Array]) -> Array:
        if isinstance(expr, sp.Add):
            return sum(arrays[1:], arrays[0])
        if isinstance(expr, sp.Mul):
            product = arrays[0]
            for factor in arrays[1:]:
                product = product * factor
            return product
        if isinstance(expr, sp.Pow):
            return self._power(arrays[0], int(expr.exp)) if expr.exp.is_Integer else arrays[0] ** arrays[1]
        record = record_of(expr)
        if record is None:
            raise DeriveError(f"{self.program.name}: no function {expr.func} in derive/ir/functions/")
        if self.dtype == object:
            return np.frompyfunc(record.mpmath, len(arrays), 1)(*arrays)
        return record.numpy(*arrays)

    def _power(self, base: Array, power: int) -> Array:
        """A whole power.  NumPy turns complex numbers by their angle from the 100th on: its rounding hides the complex step."""
        if not np.issubdtype(self.dtype, np.complexfloating) or abs(power) < 100:
            return base**power
        found: Array = np.ones_like(base)
        for digit in bin(abs(power))[2:]:
            found = found * found * (base if digit == "1" else 1)
        return found if power > 0 else 1 / found

    def _constant(self, expr: sp.Expr) -> Array:
        value: Any = self.sizes[str(expr)] if expr.is_Symbol and str(expr) in self.sizes else expr
        if self.dtype == object:
            import mpmath

            if not sp.sympify(value).is_Rational:  # pi, which derivatives bring along
                return np.asarray(mpmath.mpf(str(sp.N(value, mpmath.mp.dps + 5))), dtype=object)
            number = sp.Rational(value)
            return np.asarray(mpmath.mpf(int(number.p)) / int(number.q), dtype=object)
        return np.asarray(float(value), dtype=self.dtype)

    def _time(self, expr: sp.Expr, times: Mapping[sp.Symbol, int]) -> int:
        return times[expr] if expr in times else self._number(expr.xreplace(dict(times)))

    def _is_outside(self, factor: sp.Expr, times: Mapping[sp.Symbol, int]) -> bool:
        """Whether a factor makes its product zero, whatever the others are: 0 times 1/0 is 0 outside of a span."""
        if isinstance(factor, span):
            first = [self._time(a, times) for a in factor.args]
            return not first[1] <= first[0] <= first[2]
        if not isinstance(factor, Indexed):
            return False
        _, _, when, by, (lo, hi) = self._access(factor)
        return when is not None and not lo <= self._at(when, by, times) <= hi

    def _access(self, access: sp.Expr) -> tuple[str, tuple[sp.Expr, ...], sp.Expr | None, int | None, tuple[int, int]]:
        """Of an access: tensor, axes, time, offset in time, and the span of the tensor."""
        if access not in self.reads:
            name, tensors = ir.name_of(access), self.program.tensors
            when = ir.time_of(access, tensors)
            axes = (*((SWEEP,) if name in self.swept else ()), *ir.indices_of(access, tensors))
            self.reads[access] = name, axes, when, ir.offset(when), self._span(name) if when is not None else (0, 0)
        return self.reads[access]

    def _at(self, when: sp.Expr, by: int | None, times: Mapping[sp.Symbol, int]) -> int:
        return times[t] + by if by is not None and t in times else self._time(when, times)

    def _read(self, access: sp.Expr, times: Mapping[sp.Symbol, int]) -> Value:
        name, axes, when, by, (lo, hi) = self._access(access)
        array = self.arrays[name]
        if when is not None:
            at = self._at(when, by, times)
            array = array[at - lo] if lo <= at <= hi else np.zeros(array.shape[1:], dtype=self.dtype)
        return array, axes

    def _largest(self, expr: sp.Expr, times: Mapping[sp.Symbol, int]) -> Value:
        array, axes = self.evaluate(expr.function, times)
        over = tuple(axes.index(symbol) for symbol, *_ in expr.limits)
        if array.dtype == object:
            import mpmath

            array = np.frompyfunc(mpmath.re, 1, 1)(array)
        return np.real(array).max(axis=over), tuple(s for s in axes if s not in [symbol for symbol, *_ in expr.limits])

    def _sum(self, expr: sp.Sum, times: Mapping[sp.Symbol, int]) -> Value:
        *outer, (symbol, lo, hi) = expr.limits
        body = sp.Sum(expr.function, *outer) if outer else expr.function
        if symbol == t:
            parts = [self.evaluate(body, {**times, t: when}) for when in range(self._number(lo), self._number(hi) + 1)]
            axes = tuple(dict.fromkeys(s for _, own in parts for s in own))
            return sum(self._align(a, own, axes) for a, own in parts), axes
        array, axes = self.evaluate(body, times)
        if symbol not in axes:
            return array * self._number(hi - lo + 1), axes
        return array.sum(axis=axes.index(symbol)), tuple(s for s in axes if s != symbol)
