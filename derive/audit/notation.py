"""The notation of a derivation by hand: `@derivation` turns a function whose body is gradient equations into a record.

    @derivation("lstm", dh="dL/dh", delta="dL/dz", dW="dL/dW")
    def article(x, h, c, W, U, i, f, g, o, e, dh, delta, dW):
        ...

An argument is, in this order:

- what a keyword says of it: `delta="dL/dz"` (it claims to be the derivative of the loss by z, for every gate if z is a
  family), `R="U"` (the author's name for a tensor of the cell);
- a tensor, a gate or a family of the cell;
- `dX` or `d_X` with X one of those: it claims to be the derivative by X;
- assigned by an equation: an intermediate quantity, whose equation is put in where it is read;
- else the direct derivative of the loss by the output, dl(t)/dh(t); there may be one such name.

What is claimed and not assigned is taken to be right.

`in_file` finds the derivations of a Python file.  The record, what its names stand for and what can be wrong with its
equations are in written.py.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import sympy as sp
from sympy.tensor.indexed import Indexed, IndexedBase

from derive import ir, registry
from derive.audit.reference import Reference, reference
from derive.audit.written import Derivation, Meaning, Written, check_equations
from derive.errors import DeriveError
from derive.ir import T, t
from derive.notation import Cell, Loss
from derive.notation.writer import Name, Writer
from derive.registry.user_file import run_file


def derivation(
    of: str | Cell, *, loss: str | Loss | None = None, last: bool = False, **names: str
) -> Callable[[Callable[..., None]], Derivation]:
    """Decorator: the body of the function is a derivation by hand of the gradients of the cell `of`.

    `of` is a cell, or the name of one; `loss` a loss (its gradient then replaces the direct derivative, and its target
    can be read by name), `last` says that the loss looks at the last step only, and `names` what the author's names
    mean: `delta="dL/dz"`, `R="U"`.
    """
    if callable(of) and not isinstance(of, Cell):
        raise DeriveError(
            f'derivation {getattr(of, "__name__", "")}: say of which cell it is, @derivation("lstm"); there are: '
            f"{', '.join(registry.shipped())}, and the zoo; or give a cell of your own, made by @cell above it"
        )
    one = registry.cell(of) if isinstance(of, str) else of
    objective = registry.loss(loss) if isinstance(loss, str) else loss
    if not isinstance(one, Cell):
        raise DeriveError(f"@derivation({of!r}): the first argument is a cell, or the name of one")

    def build(function: Callable[..., None]) -> Derivation:
        return _build(function, one, objective, last, names)

    return build


def Sum(expr: sp.Expr, *indices: Any) -> sp.Expr:  # noqa: N802  (as SymPy spells it)
    """SymPy's Sum; an index alone runs over its whole range, time may have limits: Sum(..., (t, 2, T), k)."""
    if not indices:
        raise DeriveError(f"Sum({expr}) names no index; write Sum(..., k), or Sum(..., (t, 1, T)) for time")
    limits = []
    for given in indices:
        symbol, *ends = given if isinstance(given, (tuple, sp.Tuple)) else (given,)
        if not isinstance(symbol, sp.Symbol) or len(ends) not in (0, 2):
            raise DeriveError(
                f"Sum(..., {given}): an index such as k, or time with limits such as (t, 1, T), is expected"
            )
        if symbol == t:
            lo, hi = map(sp.sympify, ends or (1, T))
            for end in (lo, hi):
                if not (end.is_Integer or (end - T).is_Integer):
                    raise DeriveError(f"Sum(..., {given}): time runs between numbers, T, and T plus or minus a number")
            limits.append((t, lo, hi))
        elif ends and (ends[0] != 1 or not getattr(ends[1], "is_Symbol", False)):
            raise DeriveError(f"Sum(..., {given}): only time has limits; {symbol} runs over its whole range")
        else:
            limits.append((symbol, 1, sp.Symbol(f"|{symbol}|")))
    return sp.Sum(expr, *limits)


def in_file(path: Path) -> list[Derivation]:
    """The derivations that a Python file defines, in order.  DeriveError for a file without one, or that cannot run."""
    module = run_file(path, "derivations, as those in examples/audit/ do")
    found = [x for x in vars(module).values() if isinstance(x, Derivation)]
    if not found:
        raise DeriveError(
            f'{path} defines no derivation; put @derivation("lstm") above a function whose body is the equations'
        )
    return found


def _build(
    function: Callable[..., None], one: Cell, objective: Loss | None, last: bool, names: dict[str, str]
) -> Derivation:
    where = f"derivation {function.__name__}"
    arguments = list(inspect.signature(function).parameters)
    for argument in inspect.signature(function).parameters.values():
        if argument.default is not argument.empty or argument.kind is not argument.POSITIONAL_OR_KEYWORD:
            raise DeriveError(f"{where}: the argument {argument} is no plain name; arguments are tensors")
        if argument.name in ("t", "T"):
            raise DeriveError(f"{where}: {argument.name} means time in equations; rename the argument")
    for unknown in [n for n in names if n not in arguments and not any(n.startswith(f"{a}_") for a in arguments)]:
        raise DeriveError(
            f"{where}: {unknown} in the decorator is no argument of the function ({', '.join(arguments)})"
        )
    writer = _Audited(where, function.__code__.co_filename)
    writer.run(function, arguments)
    if not writer.found:
        raise DeriveError(f"{where}: the function writes no equation; write dh[t, n] = ...")
    of = reference(one, objective)
    meaning = Meaning(where, of, writer.names, writer.found, names)
    if not meaning.claims:
        raise DeriveError(
            f"{where}: nothing can be compared, for no quantity is said to be a derivative of the loss; name one "
            f'as dW or d_W, or say what it is: @derivation("{one.name}", delta="dL/dz")'
        )
    doc = inspect.getdoc(function) or _module_doc(function)
    equations = [_at_the_end(e, of, meaning.direct) if last and meaning.direct else e for e in writer.found]
    found = Derivation(
        function.__name__, doc, of, tuple(equations), meaning.claims, meaning.aliases, meaning.direct, last
    )
    check_equations(where, found)
    return found


class _Audited(Writer):
    """Collects equations whose left-hand sides may stand at t-1, T or a fixed time; numbers of Python become exact."""

    def __init__(self, where: str, file: str) -> None:
        super().__init__(where)
        self.file = file
        self.found: list[Written] = []

    def write(self, name: Name, key: Any, value: Any) -> None:
        lhs = self.access(str(name), key)
        value = self.expression(lhs, value).replace(lambda e: e.is_Float, lambda e: sp.nsimplify(e, rational=True))
        frame: Any = inspect.currentframe()
        while frame is not None and frame.f_code.co_filename != self.file:
            frame = frame.f_back
        self.found.append(Written(str(name), lhs, self.checked(lhs, value), frame.f_lineno if frame else 0))

    def number(self, value: float) -> sp.Expr:
        return sp.nsimplify(value)


def _at_the_end(equation: Written, of: Reference, direct: str) -> Written:
    """Where the loss looks at the last step only, e[n] is e[T,n]."""
    rank = of.program.tensors[of.seed].rank
    moves = {
        a: IndexedBase(direct)[(T, *a.indices)]
        for a in equation.rhs.atoms(Indexed)
        if ir.name_of(a) == direct and len(a.indices) == rank - 1
    }
    return replace(equation, rhs=equation.rhs.xreplace(moves))


def _module_doc(function: Callable[..., None]) -> str:
    return (sys.modules[function.__module__].__doc__ if function.__module__ in sys.modules else None) or ""
