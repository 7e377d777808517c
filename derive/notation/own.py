"""`function`: a function of one's own, with a derivative of one's own.

    spike = function("spike", lambda v: where(v > 0, 1, 0), derivative=lambda v: 1 / (1 + (pi * v) ** 2))

The derivative is declared: it need not be that of the values, as with the surrogates of spiking cells, whose values are
steps.  Gradients, on paper and in C, are those of the declared rule, and so is what they are compared with.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import sympy as sp
from sympy.tensor.indexed import Indexed

from derive.errors import DeriveError
from derive.ir.functions import IN_CELLS, define
from derive.notation.conditions import as_number, conditions_are_numbers
from derive.notation.formulas import check_nodes, exact_exponents, in_doubles, in_records
from derive.notation.spelling import check_spelling


def function(name: str, definition: Callable[..., Any], derivative: Callable[..., Any] | None = None) -> Any:
    """A function for equations: `definition` gives its value from its arguments, `derivative` its slope.

    A function of several arguments has a derivative that gives a tuple, one slope for each.  Without `derivative` it is a
    short name for its formula, and is differentiated as that.  Raises DeriveError, with the name, for anything that no
    equation could say.
    """
    where = f"function {name}"
    if not isinstance(name, str):
        raise DeriveError(
            f'function({name!r}, ...): the first argument is its name in quotes, as in function("spike", ...)'
        )
    spelled = check_spelling(where, name, "its name")
    if spelled in IN_CELLS:
        raise DeriveError(f"{where}: there is a function of this name already; give yours another")
    symbols = _arguments(where, definition)
    value = _expression(where, "its definition", definition, symbols)
    for unused in [s for s in symbols if s not in value.free_symbols]:
        raise DeriveError(f"{where}: its value does not depend on its argument {unused}; leave the argument away")
    if derivative is None:

        def short(*arguments: Any) -> sp.Expr:
            if len(arguments) != len(symbols):
                said = ", ".join(map(str, symbols))
                raise DeriveError(f"{name} takes {len(symbols)} arguments, {name}({said}), found {len(arguments)}")
            return value.xreplace({s: sp.sympify(as_number(a)) for s, a in zip(symbols, arguments, strict=True)})

        return short
    latex = rf"\operatorname{{{spelled}}}".replace("_", r"\_")
    return define(spelled, symbols, value, _slopes(where, derivative, symbols), latex, True)


def _slopes(where: str, derivative: Callable[..., Any], symbols: tuple[sp.Symbol, ...]) -> tuple[sp.Expr, ...]:
    if not callable(derivative):
        raise DeriveError(f"{where}: derivative= is a function of {_said(symbols)}, found {type(derivative).__name__}")
    if len(_arguments(where, derivative)) != len(symbols):
        raise DeriveError(
            f"{where}: its definition has the arguments {_said(symbols)}, its derivative "
            f"{_said(_arguments(where, derivative))}; both have the same"
        )
    given = _called(where, "its derivative", derivative, symbols)
    slopes = tuple(given) if isinstance(given, (tuple, list)) else (given,)
    if len(slopes) != len(symbols):
        raise DeriveError(
            f"{where}: its derivative gives {len(slopes)} slopes, expected one for each of {_said(symbols)}, as a tuple"
        )
    return tuple(_checked(where, "its derivative", slope, symbols) for slope in slopes)


def _arguments(where: str, given: Callable[..., Any]) -> tuple[sp.Symbol, ...]:
    if not callable(given) or isinstance(given, type):
        raise DeriveError(
            f"{where}: its definition is a function, such as lambda x: where(x > 0, 1, 0), found {given!r}"
        )
    try:
        parameters = inspect.signature(given).parameters.values()
    except (TypeError, ValueError):
        parameters = {}.values()
    names = [p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD and p.default is p.empty]
    if not names or len(names) != len(parameters):
        raise DeriveError(
            f"{where}: it has plain arguments only, as in lambda x: ... or def {where.split()[1]}(a, b): ..."
        )
    return tuple(sp.Symbol(n) for n in names)


def _called(where: str, what: str, given: Callable[..., Any], symbols: tuple[sp.Symbol, ...]) -> Any:
    try:
        with conditions_are_numbers():
            return given(*symbols)
    except DeriveError:
        raise
    except Exception as error:
        from derive.notation.hints import hint

        raise DeriveError(
            f"{where}: in {what}, {type(error).__name__}: {error}{hint(error, map(str, symbols))}"
        ) from error


def _expression(where: str, what: str, given: Callable[..., Any], symbols: tuple[sp.Symbol, ...]) -> sp.Expr:
    return _checked(where, what, _called(where, what, given, symbols), symbols)


def _checked(where: str, what: str, value: Any, symbols: tuple[sp.Symbol, ...]) -> sp.Expr:
    value = as_number(value)
    expr = sp.sympify(value) if isinstance(value, (int, float)) else value
    if not isinstance(expr, sp.Expr):
        raise DeriveError(f"{where}: {what} gives {value!r}, expected an expression in {_said(symbols)}")
    expr = in_doubles(exact_exponents(in_records(expr)))
    check_nodes(f"{where}: in {what}", expr, bound=())
    for other in sorted(expr.free_symbols - set(symbols), key=str):
        raise DeriveError(
            f"{where}: {what} reads {other}, which is none of its arguments {_said(symbols)}; hand it over as one"
        )
    if expr.has(sp.Sum, Indexed):
        raise DeriveError(
            f"{where}: {what} has a sum or a tensor in it; a function is of numbers, and an equation gives it them"
        )
    return expr


def _said(symbols: tuple[sp.Symbol, ...]) -> str:
    return ", ".join(map(str, symbols))
