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
"""

from __future__ import annotations

import importlib.util
import inspect
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import sympy as sp
from sympy.tensor.indexed import Indexed, IndexedBase

from derive import ir, registry
from derive.adjoint import adjoint_name
from derive.audit.reference import Reference, reference
from derive.errors import DeriveError
from derive.ir import T, Tensor, t
from derive.notation import Cell, Head
from derive.notation.writer import Name, Writer

CLAIM = re.compile(r"^\s*(?:d|∂)L\s*/\s*(?:d|∂)\s*(\w+)\s*$")


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


@dataclass(frozen=True)
class Written:
    """One equation as the author wrote it: the access on the left, the right-hand side, the line of the file."""

    label: str
    lhs: sp.Expr
    rhs: sp.Expr
    line: int

    @property
    def when(self) -> sp.Expr | None:
        """The time on the left: t, t-1, T, ...; None where there is none."""
        first = self.lhs.indices[0] if isinstance(self.lhs, Indexed) else None
        return first if first is not None and (first.has(t) or first.has(T) or first.is_Integer) else None


@dataclass(frozen=True, eq=False)
class Derivation:
    """A derivation by hand.

    `claims` maps the author's names to adjoints of the reference, `aliases` to tensors of the cell; `direct` is the
    author's name for the direct derivative of the loss by the output; `last` says that the loss looks at h(T) only.
    """

    name: str
    doc: str
    reference: Reference
    equations: tuple[Written, ...]
    claims: dict[str, str]
    aliases: dict[str, str]
    direct: str | None
    last: bool

    @property
    def title(self) -> str:
        """The first line of the documentation."""
        return next(iter(self.doc.splitlines()), "")

    def assigned(self, label: str) -> bool:
        """Whether an equation defines a name."""
        return any(e.label == label for e in self.equations)

    def tensor(self, label: str) -> Tensor | None:
        """The tensor that a name stands for; None for an intermediate quantity."""
        of = self.reference
        name = self.claims.get(label) or self.aliases.get(label) or (of.seed if label == self.direct else label)
        if label in of.targets and of.loss is not None:
            return of.loss.tensors[label]
        return of.program.tensors.get(name) if name != label or not self.assigned(label) else None


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


def derivation(
    of: str | Cell, *, loss: str | Head | None = None, last: bool = False, **names: str
) -> Callable[[Callable[..., None]], Derivation]:
    """Decorator: the body of the function is a derivation by hand of the gradients of the cell `of`.

    `of` is a cell, or the name of one; `loss` a loss (its gradient then replaces the direct derivative, and its target
    can be read by name), `last` says that the loss looks at the last step only, and `names` what the author's names
    mean: `delta="dL/dz"`, `R="U"`.
    """
    if callable(of) and not isinstance(of, Cell):
        raise DeriveError(
            f'derivation {getattr(of, "__name__", "")}: say of which cell it is, @derivation("lstm"); there are: '
            f"{', '.join(registry.cells())}; or give a cell of your own, made by @cell above it"
        )
    one = registry.cell(of) if isinstance(of, str) else of
    judge = registry.loss(loss) if isinstance(loss, str) else loss
    if not isinstance(one, Cell):
        raise DeriveError(f"@derivation({of!r}): the first argument is a cell, or the name of one")

    def build(function: Callable[..., None]) -> Derivation:
        return _build(function, one, judge, last, names)

    return build


def _build(
    function: Callable[..., None], one: Cell, judge: Head | None, last: bool, names: dict[str, str]
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
    of = reference(one, judge)
    meaning = _Meaning(where, of, writer, names)
    claims, aliases, direct = meaning.all()
    if not claims:
        raise DeriveError(
            f"{where}: nothing can be compared, for no quantity is said to be a derivative of the loss; name one "
            f'as dW or d_W, or say what it is: @derivation("{one.name}", delta="dL/dz")'
        )
    doc = inspect.getdoc(function) or _module_doc(function)
    equations = [_at_the_end(e, of, direct) if last and direct else e for e in writer.found]
    found = Derivation(function.__name__, doc, of, tuple(equations), claims, aliases, direct, last)
    _check_equations(where, found)
    return found


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


class _Meaning:
    """What each name of the author stands for."""

    def __init__(self, where: str, of: Reference, writer: _Audited, names: dict[str, str]) -> None:
        self.where, self.of, self.writer, self.names = where, of, writer, names
        self.primal = of.primal
        self.assigned = {e.label for e in writer.found}

    def all(self) -> tuple[dict[str, str], dict[str, str], str | None]:
        claims: dict[str, str] = {}
        aliases: dict[str, str] = {}
        strangers: list[str] = []
        labels = {ir.name_of(a) for e in self.writer.found for side in (e.lhs, e.rhs) for a in side.atoms(Indexed)}
        labels |= {e.label for e in self.writer.found}
        for label in sorted(labels):
            item = self.writer.names[label]
            said = self.names.get(label) or self.names.get(item.family)
            if said is not None:
                self._said(label, item, said, claims, aliases)
            elif label in self.primal.tensors:
                if label in self.assigned:
                    raise DeriveError(
                        f"{self.where}: {label} is a tensor of the cell {self.of.name} and is assigned; forward equations "
                        f"belong into the cell (give one of your own, by @cell), gradients need names of their own"
                    )
            elif (claim := self._by_name(label, item)) is not None:
                claims[label] = claim
            elif label not in self.assigned and label not in self.of.targets:
                strangers.append(label)
        if len(strangers) > 1 or (strangers and self.of.loss is not None):
            known = ", ".join([*self.primal.tensors, *self.of.targets])
            raise DeriveError(
                f"{self.where}: {', '.join(strangers)} {'is' if len(strangers) == 1 else 'are'} read, but no equation defines "
                f"{'it' if len(strangers) == 1 else 'them'}; "
                f"{'' if self.of.loss is not None else 'one such name may be the direct derivative of the loss by the output; '}"
                f'write the equation, or say what it is: {strangers[0]}="dL/dh" or {strangers[0]}="W". The cell has: {known}'
            )
        return claims, aliases, strangers[0] if strangers else None

    def _said(self, label: str, item: Name, said: str, claims: dict[str, str], aliases: dict[str, str]) -> None:
        match = CLAIM.match(said)
        target = match.group(1) if match else said.strip()
        family = label not in self.names and bool(item.member)
        full = f"{target}_{item.member}" if family else target
        if full not in self.primal.tensors and family and target == "net" and item.member in self.primal.tensors:
            full = self.of.argument_of(item.member) or full
        elif full.startswith("net_") and full not in self.primal.tensors:
            full = self.of.argument_of(full.removeprefix("net_")) or full
        if full not in self.primal.tensors:
            members = sorted(x.name for x in self.primal.tensors.values() if x.family == target)
            hint = (
                f"{target} is a family: {', '.join(members)}"
                if members
                else f"the cell {self.of.name} has: {', '.join(self.primal.tensors)}; net_X is the argument of the function in X"
            )
            raise DeriveError(
                f'{self.where}: {label}="{said}" speaks of {full}, which is no tensor of the cell; {hint}'
            )
        if not match:
            if label in self.assigned:
                raise DeriveError(
                    f'{self.where}: {label}="{said}" makes {label} another name for {full}, but it is assigned; if it is a '
                    f'gradient, write {label}="dL/d{said}"'
                )
            aliases[label] = full
            return
        adjoint = adjoint_name(full)
        if adjoint not in self.of.program.tensors:
            raise DeriveError(f"{self.where}: the loss does not depend on {full}, so there is no dL/d{full}")
        claims[label] = adjoint

    def _by_name(self, label: str, item: Name) -> str | None:
        """dW_f and d_W_f are the derivative by W_f."""
        family, member = item.family or label, item.member
        for start in ("d_", "d"):
            base = family.removeprefix(start)
            full = f"{base}_{member}" if member else base
            full = full if full in self.primal.tensors else re.sub(r"^([a-z]+)0$", r"\1_0", full)
            if family.startswith(start) and adjoint_name(full) in self.of.program.tensors:
                return adjoint_name(full)
        return None


def _check_equations(where: str, found: Derivation) -> None:
    """Left-hand sides, numbers of indices, and that every index of a right-hand side is on the left or summed."""
    rank: dict[str, sp.Expr] = {}
    for equation in found.equations:
        line = f"{where}, line {equation.line}"
        _check_left(line, equation, found)
        before = rank.setdefault(equation.label, equation.lhs)
        if len(getattr(before, "indices", ())) != len(getattr(equation.lhs, "indices", ())):
            raise DeriveError(f"{line}: {ir.text(equation.lhs)} has other indices than {ir.text(before)} above")
    for equation in found.equations:
        line = f"{where}, line {equation.line}, in the equation of {ir.text(equation.lhs)}"
        _check_right(line, equation.rhs, set(getattr(equation.lhs, "free_symbols", ())), found, rank)


def _check_left(line: str, equation: Written, found: Derivation) -> None:
    indices, when = getattr(equation.lhs, "indices", ()), equation.when
    left = ir.text(equation.lhs)
    if when is not None and when.has(t) and when not in (t, t - 1, t + 1):
        raise DeriveError(f"{line}: {left} is defined at time {when}; write t, t-1, t+1 or a fixed time such as T")
    if len(set(indices)) < len(indices):
        raise DeriveError(f"{line}: {left} has an index twice")
    for index in indices[1:] if when is not None else indices:
        if not index.is_Symbol:
            raise DeriveError(
                f"{line}: {left} has {index} as an index; an index is a name such as n, and time comes first"
            )
    if equation.label in found.claims:
        tensor = found.reference.program.tensors[found.claims[equation.label]]
        if len(indices) != tensor.rank or (when is not None) != (tensor.time is not None):
            raise DeriveError(
                f"{line}: {left} claims to be the derivative of the loss by {tensor.primal} and must be written as "
                f"{_spelled(equation.label, tensor)}"
            )


def _check_right(line: str, expr: sp.Expr, scope: set[sp.Symbol], found: Derivation, rank: dict[str, sp.Expr]) -> None:
    if isinstance(expr, sp.Sum):
        own = {symbol for symbol, *_ in expr.limits}
        if own & scope:
            raise DeriveError(f"{line}, {ir.text(sp.Tuple(*(own & scope))[0])} is summed and also stands on the left or in "
                              f"another sum around it; give the sum an index of its own")  # fmt: skip
        return _check_right(line, expr.function, scope | own, found, rank)
    if not isinstance(expr, Indexed):
        for argument in expr.args:
            _check_right(line, argument, scope, found, rank)
        return None
    label, read = ir.name_of(expr), ir.text(expr)
    tensor = found.tensor(label)
    if tensor is not None and len(expr.indices) != tensor.rank:
        raise DeriveError(f"{line}, {read} has {len(expr.indices)} indices, it must be {_spelled(label, tensor)}")
    if tensor is None and len(expr.indices) != len(rank[label].indices):
        raise DeriveError(f"{line}, {read} has other indices than {ir.text(rank[label])}")
    timed = (
        tensor.time is not None
        if tensor is not None
        else any(e.label == label and e.when is not None for e in found.equations)
    )
    for place, index in enumerate(expr.indices):
        if place == 0 and timed:
            by = sp.expand(index - (t if index.has(t) else T if index.has(T) else 0))
            if not by.is_Integer:
                raise DeriveError(
                    f"{line}, {read} is read at time {index}; write t, t+1, t-1, T, 1 or the like, time first"
                )
        elif not index.is_Symbol or index in (t, T):
            raise DeriveError(
                f"{line}, {read} has {index} as an index; an index is a name such as n, and time comes first"
            )
        elif index not in scope:
            raise DeriveError(
                f"{line}, the index {index} of {read} is neither on the left nor summed; write Sum(..., {index}) around it"
            )
    return None


def _spelled(label: str, tensor: Tensor) -> str:
    return f"{label}[{', '.join([*(['t'] if tensor.time is not None else []), *map(str, tensor.indices)])}]"


def in_file(path: Path) -> list[Derivation]:
    """The derivations that a Python file defines, in order.  DeriveError for a file without one, or that cannot run."""
    if not path.is_file():
        raise DeriveError(f"no file {path}")
    spec = importlib.util.spec_from_file_location(f"derive._audited.{path.stem}", path)
    if spec is None or spec.loader is None:
        raise DeriveError(f"{path} is no Python file; derivations are written in one, as in examples/audit/")
    module = importlib.util.module_from_spec(spec)
    sys.modules[module.__name__] = module
    try:
        spec.loader.exec_module(module)
    except DeriveError:
        raise
    except Exception as error:
        line = getattr(error, "lineno", None) if isinstance(error, SyntaxError) else _line_of(error, path)
        place = f"{path}, line {line}" if line else str(path)
        raise DeriveError(f"{place}: {type(error).__name__}: {error}") from error
    finally:
        del sys.modules[module.__name__]
    found = [x for x in vars(module).values() if isinstance(x, Derivation)]
    if not found:
        raise DeriveError(
            f'{path} defines no derivation; put @derivation("lstm") above a function whose body is the equations'
        )
    return found


def _line_of(error: BaseException, path: Path) -> int | None:
    line, trace = None, error.__traceback__
    while trace is not None:
        if Path(trace.tb_frame.f_code.co_filename) == path:
            line = trace.tb_lineno
        trace = trace.tb_next
    return line
