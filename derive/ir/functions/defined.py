"""Functions that are defined by an expression in others, with a derivative that is stated beside it.

    define("softsign", ("x",), x/(1 + |x|), [1/(1 + |x|)^2], ...)

They are opaque to differentiation and to the derivation on paper; C, NumPy, mpmath and costs follow the definition.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

import mpmath
import numpy as np
import sympy as sp

from derive.errors import EngineError
from derive.ir.functions.record import Record, directed, directed_mp
from derive.ir.functions.tables import BY_CLASS, record_of


class Defined(sp.Function):
    """What functions with a definition have in common: `value` and `slopes` in `symbols`, and how they are copied."""

    record: Record
    symbols: tuple[sp.Symbol, ...]
    value: sp.Expr
    slopes: tuple[sp.Expr, ...]

    def fdiff(self, argindex: int = 1) -> sp.Expr:
        """The derivative that is stated."""
        return self.at(self.slopes[argindex - 1])

    def at(self, expr: sp.Expr) -> sp.Expr:
        """An expression in the symbols of the definition, at the arguments of this call."""
        return expr.xreplace(dict(zip(self.symbols, self.args, strict=True)))

    def __reduce_ex__(self, protocol: Any) -> Any:
        record = self.record
        made = (record.c, self.symbols, self.value, self.slopes, record.latex, record.declared)
        return _call, (made, self.args)

    def _sympyrepr(self, printer: Any) -> str:
        """For digests: a function is what it is defined as, whatever its name."""
        inside = ", ".join(printer._print(a) for a in (*self.symbols, self.value, *self.slopes))
        return f"{self.record.c}({inside})({', '.join(printer._print(a) for a in self.args)})"


def _call(made: Any, arguments: tuple[sp.Expr, ...]) -> sp.Expr:
    return define(*made)(*arguments)


def define(
    name: str,
    symbols: tuple[sp.Symbol, ...],
    value: sp.Expr,
    slopes: tuple[sp.Expr, ...],
    latex: str,
    declared: bool = False,
) -> Any:
    """The class of a function; the same definition gives the same class.

    `slopes` are its derivatives by its arguments.  `declared`: they are not those of its values.
    """
    return _class(name, symbols, value, slopes, latex, declared)


@cache
def _class(
    name: str, symbols: tuple[sp.Symbol, ...], value: sp.Expr, slopes: tuple[sp.Expr, ...], latex: str, declared: bool
) -> Any:
    own: Any = type(name, (Defined,), {"nargs": len(symbols), "symbols": symbols, "value": value, "slopes": slopes})
    by_numpy, *slopes_numpy = (_evaluator(e, symbols, _NUMPY) for e in (value, *slopes))
    by_digits, *slopes_digits = (_evaluator(e, symbols, _MPMATH) for e in (value, *slopes))
    own.record = Record(
        own,
        directed(by_numpy, *slopes_numpy),
        directed_mp(by_digits, *slopes_digits),
        name,
        latex,
        transcendental=any(r.transcendental for r in _records(value)),
        ulp=4,
        arguments=tuple(str(s) for s in symbols),
        slots=lambda dtype: slots(value, dtype),
        definition=lambda *arguments: value.xreplace(dict(zip(symbols, arguments, strict=True))),
        declared=declared,
    )
    return own


def expanded(expr: sp.Expr) -> sp.Expr:
    """The expression with the definitions of the functions that have one put in."""
    if not expr.atoms(Defined):
        return expr
    arguments = [expanded(a) if isinstance(a, sp.Expr) else a for a in expr.args]
    record = record_of(expr)
    if record is not None and record.definition is not None:
        return expanded(record.definition(*arguments))
    return expr.func(*arguments)


def slots(expr: sp.Expr, dtype: type) -> int:
    """Multiplications that the calls in an expression cost, each as many as its record says."""
    exponential = BY_CLASS[sp.exp]
    assert exponential.slots is not None
    found = 0
    for record in _records(expanded(expr)):
        if record.transcendental:
            found += (record.slots or exponential.slots)(dtype)
    return found


def _records(expr: sp.Expr) -> list[Record]:
    return [record for node in sp.preorder_traversal(expr) if (record := record_of(node)) is not None]


# -- evaluation --------------------------------------------------------------------------------------------------------

Forms = tuple[Callable[[sp.Expr], Any], Callable[[Record], Callable[..., Any]]]
_NUMPY: Forms = (float, lambda record: record.numpy)
_MPMATH: Forms = (lambda number: mpmath.mpf(str(sp.N(number, mpmath.mp.dps + 5))), lambda record: record.mpmath)


def _evaluator(expr: sp.Expr, symbols: Sequence[sp.Symbol], forms: Forms) -> Callable[..., Any]:
    def evaluate(*arguments: Any) -> Any:
        with np.errstate(all="ignore"):
            return _evaluate(expr, dict(zip(symbols, arguments, strict=True)), forms)

    return evaluate


def _evaluate(expr: sp.Expr, values: Mapping[sp.Expr, Any], forms: Forms) -> Any:
    number, of = forms
    if expr in values:
        return values[expr]
    if expr.is_number:
        return number(expr)
    parts = [_evaluate(a, values, forms) for a in expr.args]
    if isinstance(expr, sp.Add):
        return sum(parts[1:], parts[0])
    if isinstance(expr, sp.Mul):
        product = parts[0]
        for factor in parts[1:]:
            product = product * factor
        return product
    if isinstance(expr, sp.Pow):
        return parts[0] ** (int(expr.exp) if expr.exp.is_Integer else parts[1])
    record = record_of(expr)
    if record is None:
        raise EngineError(f"no function {expr.func} in derive/ir/functions/")
    return of(record)(*parts)
