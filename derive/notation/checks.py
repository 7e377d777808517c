"""What a person can get wrong in a cell file, found before it becomes an error of SymPy or of a later pass.

What the arguments and equations show by themselves is checked here; sizes.py finds contradictions between indices.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Mapping, Sequence

import sympy as sp
from sympy.tensor.indexed import Indexed

from derive import ir
from derive.errors import DeriveError
from derive.functions import BY_CLASS, record_of
from derive.ir import Equation, Tensor, t


def check_names(where: str, arguments: Sequence[str], names: Sequence[str]) -> None:
    """Raise for a name in the decorator that is no argument of the function."""
    for unknown in [name for name in names if name not in arguments]:
        raise DeriveError(
            f"{where}: {unknown!r} in the decorator is no argument of the function ({', '.join(arguments)})"
        )


def check_arguments(where: str, function: Callable[..., None], states: list[str], gates: list[str]) -> None:
    """Raise for an argument that is no plain name or has a meaning of its own, and for names that stand twice."""
    for argument in inspect.signature(function).parameters.values():
        if argument.default is not argument.empty or argument.kind is not argument.POSITIONAL_OR_KEYWORD:
            raise DeriveError(
                f"{where}: the argument {argument} is no plain name; arguments are tensors, and a constant is "
                f"set above the function"
            )
        if argument.name in ("t", "T", "B", "row"):
            raise DeriveError(f"{where}: {argument.name} has a meaning of its own in equations; rename the argument")
    for twice in [name for p, name in enumerate(states) if name in states[:p] or name in gates]:
        raise DeriveError(f"{where}: {twice} stands twice in the decorator")


def check_nodes(where: str, expr: sp.Expr, bound: tuple[sp.Symbol, ...]) -> None:
    """Raise for what stands in a formula and has no meaning there: an unknown function, a time or an index as a number."""
    if isinstance(expr, Indexed):
        return
    if isinstance(expr, sp.Sum):
        check_nodes(where, expr.function, (*bound, *(symbol for symbol, *_ in expr.limits)))
        return
    if isinstance(expr, sp.Pow) and not expr.exp.is_Rational:
        raise DeriveError(
            f"{where}, {ir.text(expr)} has no number as its exponent; write exp(b*log(a)) for a power of tensors"
        )
    if expr.is_Symbol and (expr == t or expr in bound):
        raise DeriveError(f"{where}, the index {expr} stands outside of any tensor; an index has no value of its own")
    if expr.args and not isinstance(expr, (sp.Add, sp.Mul, sp.Pow)) and record_of(expr) is None:
        known = ", ".join(sorted(f.__name__ for f in BY_CLASS))
        raise DeriveError(
            f"{where}, {type(expr).__name__} is no function that an equation may call; there are: {known}"
        )
    if not expr.args and not expr.is_Symbol and not (expr.is_real and expr.is_finite):
        raise DeriveError(f"{where}, {expr} is no real number")
    for argument in expr.args:
        check_nodes(where, argument, bound)


def check_written(
    where: str, arguments: Sequence[str], used: Collection[str], equations: Sequence[tuple[sp.Expr, sp.Expr]]
) -> None:
    """Raise where there is no equation, an argument is not used, or a tensor is assigned twice."""
    if not equations:
        raise DeriveError(f"{where}: the function writes no equation; write h[t, n] = ...")
    for unused in [a for a in arguments if a not in used]:
        raise DeriveError(f"{where}: the argument {unused} is never used; remove it or use it")
    if len({str(lhs) for lhs, _ in equations}) < len(equations):
        twice = [str(lhs) for p, (lhs, _) in enumerate(equations) if lhs in [x for x, _ in equations[:p]]]
        raise DeriveError(f"{where}: {twice[0]} is assigned twice; give one of the two a new name")


def check_states(where: str, states: Sequence[str], assigned: Collection[str], tensors: Mapping[str, Tensor]) -> None:
    """Raise for a state that no equation defines, or that has no time."""
    for state in states:
        if state not in assigned:
            raise DeriveError(f"{where}: the state {state} is never assigned; write {state}[t, n] = ...")
        if tensors[state].time is None:
            raise DeriveError(f"{where}: the state {state} has no time index; write {state}[t, n] = ...")


def check_times(where: str, equations: list[Equation], states: list[str], tensors: dict[str, Tensor]) -> None:
    """Raise for a sum over time in a cell, and for a value that is read at a time at which it cannot be read."""
    for equation in equations:
        if states and any(symbol == t for total in equation.rhs.atoms(sp.Sum) for symbol, *_ in total.limits):
            raise DeriveError(
                f"{where}, {equation.id}: {equation.lhs} sums over time, but a cell goes through it step by step; "
                f"a sum over time belongs into a loss"
            )
        for access in ir.accesses(equation.rhs, tensors):
            when = ir.time_of(access, tensors)
            by = ir.offset(when)
            name = ir.name_of(access)
            if when is None or (equation.rhs.has(sp.Sum) and when != t and not when.has(t)):
                continue
            if by not in (0, -1):
                raise DeriveError(
                    f"{where}, {equation.id}: {access} is read at time {when}; only t and t-1 can be read"
                )
            if by == -1 and name not in states:
                raise DeriveError(
                    f"{where}, {equation.id}: {access} is read at t-1 but {name} is no state, so it has no value at t = 0; "
                    f'name it in states="{" ".join([*states, name])}" or read {name}[t, ...]'
                )
