"""The writer: it hands a cell function its tensors and keeps the equations that the function writes.

    W[q][n, j] * x[t, j]     reads tensors: SymPy's Indexed
    h[t, n] = ...            writes an equation

What it makes of the equations is in program.py; another notation over the same tensors may extend `Writer`.
"""

from __future__ import annotations

import inspect
import numbers
import reprlib
from collections.abc import Callable, Iterable, Iterator
from contextvars import ContextVar
from typing import Any

import sympy as sp
from sympy.tensor.indexed import Indexed, IndexedBase

from derive.errors import DeriveError
from derive.ir import t
from derive.notation.conditions import as_number, conditions_are_numbers
from derive.notation.formulas import check_nodes, exact_exponents, in_doubles, in_records
from derive.notation.hints import hint
from derive.notation.lines import Line, of_caller, of_error
from derive.notation.spelling import check_spelling
from derive.notation.symbols import canonical, check_index


class Name:
    """An argument of a cell function: indexing reads it, assigning to an index writes an equation."""

    def __init__(self, label: str, writer: Writer, family: str = "", member: str = "") -> None:
        self.label, self._writer, self.family, self.member = label, writer, family, member

    def __getitem__(self, key: Any) -> Any:
        if isinstance(key, Name):
            return self._writer.member(self, key)
        return self._writer.access(self.label, key)

    def __setitem__(self, key: Any, value: Any) -> None:
        where, label = self._writer.where, self.label
        if isinstance(key, Name):
            raise DeriveError(f"{where}: {label}[{key}] = ... lacks indices; write {label}[{key}][t, n] = ...")
        if isinstance(value, Name):
            raise DeriveError(f"{where}: {label}[...] = {value} assigns a tensor without indices")
        self._writer.write(self, key, value)

    def __iter__(self) -> Iterator[Any]:
        raise DeriveError(
            f"{self._writer.where}: {self.label} is one tensor; loop over a tuple of gates, as in (i, f, g, o)"
        )

    def _bare(self, *_: Any) -> Any:
        raise DeriveError(
            f"{self._writer.where}: {self.label} stands without indices in a formula; write {self.label}[t, n] where it "
            f"has a value at each step, {self.label}[n] where it has not"
        )

    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __truediv__ = __rtruediv__ = __pow__ = __rpow__ = (
        _bare
    )
    __matmul__ = __rmatmul__ = __neg__ = __pos__ = __abs__ = __lt__ = __le__ = __gt__ = __ge__ = __float__ = _bare
    _sympy_ = _bare

    def __call__(self, *_: Any) -> Any:
        raise DeriveError(
            f"{self._writer.where}: {self.label}(...) calls a tensor; its indices stand in square brackets: {self.label}[...]"
        )

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(
            f"the tensor {vars(self).get('label')} has no attribute {name}; an equation reads it by its indices, in brackets"
        )

    def stem(self) -> tuple[str, str]:
        """The name, of its family if it has one, without the number that `value` put behind it; and that number."""
        name = self.family or self.label
        return self._writer.fresh.get(name, (name, ""))

    def __str__(self) -> str:
        return self.label

    __repr__ = __str__


_RUNNING: ContextVar[Writer | None] = ContextVar("the writer of the function that is running", default=None)


def running(what: str) -> Writer:
    """The writer of the function that is running; DeriveError where there is none, for `what` belongs into one."""
    writer = _RUNNING.get()
    if writer is None:
        raise DeriveError(
            f"{what} stands outside of a cell; it is called in the function under @cell, or in a piece of equations that this "
            f"one calls"
        )
    return writer


def value(names: str) -> Any:
    """Values of a step that are no arguments of the function: one for a name, a tuple for several in a string.

        m, v = value("mean variance")
        m[t] = mean(a[t, n], n)

    A name that is taken gets a number behind it, so that a piece of equations, a Python function that cells share, may be
    called as often as needed.  Raises DeriveError outside of a cell, a head or a loss.
    """
    writer = running(f"value({names!r})")
    if not isinstance(names, str) or not names.split():
        raise DeriveError(
            f'{writer.where}: value({names!r}): write the names in one string, as in value("mean variance")'
        )
    found = tuple(writer.value(name) for name in names.split())
    return found if len(found) > 1 else found[0]


class Writer:
    """Runs a cell function and collects the equations that it writes.

    `where` begins the messages of errors; `names` are the arguments and the members of families, `used` those that an
    equation reads or defines.
    """

    def __init__(self, where: str) -> None:
        self.where = where
        self.equations: list[tuple[sp.Expr, sp.Expr]] = []
        self.lines: list[Line] = []
        self.names: dict[str, Name] = {}
        self.used: set[str] = set()
        self.accessed: set[str] = set()  # tensors that stood at indices somewhere
        self.fresh: dict[str, tuple[str, str]] = {}  # values that are no arguments: what was asked for, and a number
        self.places: set[str] = set()  # values that are the positions of units
        self.classes: dict[str, str] = {}  # tensors of whole numbers, each with the value of which these are numbers

    def run(self, function: Callable[..., Any], arguments: Iterable[str | sp.Expr]) -> None:
        """Run the function on tensors, by their names, and numbers; what goes wrong becomes an error with the cell and the line."""
        running = _RUNNING.set(self)
        try:
            with conditions_are_numbers():
                result = function(*(self.argument(a) if isinstance(a, str) else a for a in arguments))
        except RecursionError as error:
            raise self._placed("a formula is nested too deeply; give its parts names", error, function) from None
        except DeriveError as error:
            raise self._placed(str(error), error, function) from error
        except Exception as error:
            raise self._placed(f"{type(error).__name__}: {error}{hint(error, self.names)}", error, function) from error
        finally:
            _RUNNING.reset(running)
        if result is not None:
            close = getattr(result, "close", lambda: None)  # a coroutine that is never awaited would warn
            close()
            raise DeriveError(
                f"{self.where}: the function returns {type(result).__name__}; it writes equations, h[t, n] = ..., and "
                f"returns nothing (so it has no yield and no async)"
            )

    def _placed(self, message: str, error: BaseException, function: Callable[..., None]) -> DeriveError:
        """The error of a cell function: the message behind the name of the cell, with the line that it comes from."""
        line = of_error(error.__traceback__, [function.__code__.co_filename] if hasattr(function, "__code__") else [])
        if isinstance(error, DeriveError):
            text = message if message.startswith(self.where) else f"{self.where}: {message}"
        else:
            text = f"{self.where}{f', line {line.number}' if line else ''}: {message}"
        return DeriveError(f"{text}\n  {line}" if line is not None and "\n" not in text else text)

    def mistake(self, equation: int, message: str) -> DeriveError:
        """The error of an equation that was written: with its left-hand side and its line."""
        lhs = self.equations[equation][0]
        return DeriveError(f"{self.where}: in the equation of {lhs}, {message}\n  {self.lines[equation]}")

    def argument(self, label: str) -> Name:
        """The tensor that an argument of the function is."""
        return self.names.setdefault(label, Name(label, self))

    def value(self, wanted: str) -> Name:
        """A value that is no argument of the function, with a number behind its name where that is taken."""
        label, number = check_spelling(self.where, wanted, "the name of a value"), ""
        while label + number in self.names:
            number = str(int(number or 1) + 1)
        self.fresh[label + number] = label, number
        return self.argument(label + number)

    def member(self, family: Name, gate: Name) -> Name:
        """The tensor of a family that belongs to a gate: W[q]."""
        label = f"{family}_{gate}"
        self.used |= {str(family), str(gate)}
        found = self.names.setdefault(label, Name(label, self, str(family), str(gate)))
        if not found.family:
            raise DeriveError(
                f"{self.where}: {family}[{gate}] and the argument {label} would have one name; rename one"
            )
        if (found.family, found.member) != (str(family), str(gate)):
            raise DeriveError(
                f"{self.where}: {family}[{gate}] and {found.family}[{found.member}] would both be called {label}; "
                f"rename one of the arguments"
            )
        return found

    def members(self) -> list[str]:
        """The members of families, W[q], by their names."""
        return [str(name) for name in self.names.values() if name.member]

    def position(self, label: str) -> tuple[int, int]:
        """Where a tensor stands among the arguments: by its family, then by its gate."""
        item, arguments = self.names[label], list(self.names)
        return arguments.index(item.family or label), arguments.index(item.member) if item.member else 0

    def access(self, label: str, key: Any) -> sp.Expr:
        """A tensor at indices, as an expression."""
        self.used.add(label)
        self.accessed.add(label)
        indices = key if isinstance(key, tuple) else (key,)
        for position in indices:
            if isinstance(position, Name):
                raise DeriveError(
                    f"{self.where}: {label}[...] has {position} as an index, but {position} is an argument of the function, "
                    f"so it is a tensor here; rename one of the two"
                )
            if isinstance(position, bool) or not isinstance(position, (sp.Expr, int)):
                raise DeriveError(f"{self.where}: {label}[...] has {position!r} as an index; use t, n, j, k, ...")
            for symbol in position.free_symbols if isinstance(position, sp.Expr) else ():
                check_index(f"{self.where}: {label}[...]", symbol)
        indices = tuple(canonical(p) if isinstance(p, sp.Expr) else p for p in indices)
        return IndexedBase(label)[indices] if indices else sp.Symbol(label, real=True)

    def write(self, name: Name, key: Any, value: Any) -> None:
        """Note the equation name[key] = value, and the line on which it stands."""
        lhs = self.access(str(name), key)
        value = self.expression(lhs, value)
        when = lhs.indices[0] if isinstance(lhs, Indexed) else t
        if when != t and when.has(t):
            raise DeriveError(
                f"{self.where}: {lhs} = ... defines a value at time {when}; shift it to {name}[t, ...] = ..."
            )
        self.equations.append((lhs, self.checked(lhs, value)))
        self.lines.append(of_caller(inspect.currentframe()))

    def place(self, name: Name, index: sp.Symbol) -> None:
        """Note that name[index] is the position of the unit: of the equations, this one has an index as a value."""
        self.places.add(name.label)
        self.equations.append((self.access(name.label, index), index - 1))
        self.lines.append(of_caller(inspect.currentframe()))

    def number(self, value: Any) -> sp.Expr:
        """A number of Python as SymPy has it."""
        return sp.sympify(value)

    def expression(self, lhs: sp.Expr, value: Any) -> sp.Expr:
        """A right-hand side as an expression; DeriveError for what is none."""
        value = value if isinstance(value, bool) else as_number(value)
        if isinstance(value, numbers.Number) and not isinstance(value, (bool, sp.Basic)):
            value = self.number(value)
        if not isinstance(value, sp.Expr):
            plain = value is None or isinstance(value, (str, bool))
            shown = reprlib.repr(value) if plain else f"of type {type(value).__name__}"
            raise DeriveError(f"{self.where}: the right-hand side of {lhs} is {shown}, not an expression")
        return value

    def checked(self, lhs: sp.Expr, value: sp.Expr) -> sp.Expr:
        """A right-hand side in functions that the engine can differentiate; DeriveError for what has no meaning."""
        value = in_doubles(exact_exponents(in_records(value)))
        check_nodes(f"{self.where}: in the equation of {lhs}", value, bound=())
        return value
