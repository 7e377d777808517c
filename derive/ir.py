"""The index notation that every pass speaks: tensors, equations, programs.

A `Program` is a system of recurrence equations over indexed tensors, for one sequence (a later pass adds the batch).
The right-hand sides are ordinary SymPy expressions made of `Indexed`, `Sum` and functions, so that they can be
inspected, substituted and printed.  What SymPy does not know is kept here: which tensors exist, over which range of
time each lives, and that h[t] depends on h[t-1].

Three rules give a program its meaning:

1. Every tensor is defined by its equations and by nothing else; order in the list is for the reader.
2. A tensor that has a time axis lives on a span, such as 1..T or 0..T.  **Read outside of its span it is zero**, and so
   is every product of which it is a factor.  Boundary conditions of adjoints, such as "nothing arrives from T+1", are
   this rule and no equation.
3. `span(t, lo, hi)` is 1 where lo <= t <= hi and 0 elsewhere: it restricts one term of a sum to part of the time.
"""

from __future__ import annotations

import hashlib
import importlib
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property, reduce
from typing import Any

import sympy as sp
from sympy.printing.str import StrPrinter
from sympy.tensor.indexed import Indexed, IndexedBase

from derive.errors import DeriveError

t = sp.Symbol("t", integer=True)
T = sp.Symbol("T", integer=True, positive=True)
ROW = sp.Symbol("row", integer=True)
B = sp.Symbol("B", integer=True, positive=True)


class span(sp.Function):  # noqa: N801  (a function of mathematics, spelled like one)
    """Indicator of a range of time: span(t, lo, hi) is 1 for lo <= t <= hi and 0 elsewhere."""

    nargs = 3

    def fdiff(self, argindex: int = 1) -> sp.Expr:
        return sp.Integer(0)


def dimension(name: str) -> sp.Symbol:
    """The symbol of a tensor dimension, such as H."""
    return sp.Symbol(name, integer=True, positive=True)


def index(name: str) -> sp.Symbol:
    """The symbol of an index, such as n."""
    return sp.Symbol(name, integer=True)


Span = tuple[sp.Expr, sp.Expr]
STEPS: Span = (sp.Integer(1), T)


class Shown:
    """What a notebook shows as formulas. derive/document knows how; it is asked when it comes to that, and only then."""

    def _repr_latex_(self) -> str:
        found: str = importlib.import_module("derive.document.show").latex(self)
        return found

    def _repr_html_(self) -> str:
        found: str = importlib.import_module("derive.document.show").html(self)
        return found


@dataclass(frozen=True)
class Tensor:
    """A named tensor: its axes, the time on which it lives and the part that it plays.

    `role` is one of: input, target, param, initial, final, seed, value, loss, adjoint, gradient, tangent, shared.
    `indices` are the index names with which it is written when it stands on the left of an equation.
    """

    name: str
    dims: tuple[sp.Symbol, ...]
    indices: tuple[sp.Symbol, ...]
    role: str = "value"
    time: Span | None = None
    batched: bool = True
    latex: str = ""
    family: str = ""
    member: str = ""
    primal: str = ""

    def __post_init__(self) -> None:
        if len(self.dims) != len(self.indices):
            raise DeriveError(f"tensor {self.name}: {len(self.dims)} dimensions but {len(self.indices)} index names")

    @property
    def rank(self) -> int:
        return len(self.dims) + (self.time is not None)

    def at(self, when: Any = t, *indices: sp.Expr) -> sp.Expr:
        """The access of this tensor at a time (ignored where it has none) and at indices (default: its own)."""
        where = (*((when,) if self.time is not None else ()), *(indices or self.indices))
        return IndexedBase(self.name)[where] if where else sp.Symbol(self.name, real=True)

    @property
    def shape(self) -> str:
        axes = [f"{self.time[0]}..{self.time[1]}"] if self.time else []
        return "(" + ", ".join([*axes, *map(str, self.dims)]) + ")"


@dataclass(frozen=True)
class Equation:
    """lhs = rhs, for every value of the indices on the left; where time is free it runs over `when`."""

    lhs: sp.Expr
    rhs: sp.Expr
    id: str = ""
    when: Span | None = None
    note: str = ""
    merged: tuple[str, ...] = ()

    @property
    def target(self) -> str:
        """The name of the tensor that is defined."""
        return name_of(self.lhs)

    @property
    def free(self) -> tuple[sp.Symbol, ...]:
        """The free indices, time included."""
        indices = self.lhs.indices if isinstance(self.lhs, Indexed) else ()
        return tuple(i for i in indices if isinstance(i, sp.Symbol) and i != T)

    @property
    def ids(self) -> tuple[str, ...]:
        """Its own ID and those of the equations that simplification merged into it."""
        return (*self.merged, self.id)

    def __str__(self) -> str:
        where = f"   for t = {self.when[0]}..{self.when[1]}" if self.when is not None else ""
        return f"{self.id:>4}: {text(self.lhs)} = {text(self.rhs)}{where}"


@dataclass(frozen=True, repr=False)
class Program(Shown):
    """A list of equations with the tensors that they speak of.

    `outputs` are the names of interest; what nobody defines is an input.  `steps` holds the log of the pass that made
    the program (see adjoint.py), `meta` what the notation said about the cell (states, gates, public names).
    """

    name: str
    tensors: dict[str, Tensor]
    equations: tuple[Equation, ...]
    outputs: tuple[str, ...] = ()
    meta: dict[str, Any] = field(default_factory=dict, hash=False)
    steps: tuple[Any, ...] = ()
    primal: Program | None = None

    def __repr__(self) -> str:
        return f"<program {self.name}: {len(self.equations)} equations>"

    @cached_property
    def defined(self) -> dict[str, tuple[Equation, ...]]:
        found: dict[str, tuple[Equation, ...]] = {}
        for equation in self.equations:
            found[equation.target] = (*found.get(equation.target, ()), equation)
        return found

    @property
    def inputs(self) -> tuple[str, ...]:
        return tuple(name for name in self.tensors if name not in self.defined)

    def of_role(self, *roles: str) -> tuple[Tensor, ...]:
        return tuple(tensor for tensor in self.tensors.values() if tensor.role in roles)

    def equation(self, id: str) -> Equation:
        for equation in self.equations:
            if id in equation.ids:
                return equation
        raise DeriveError(f"{self.name} has no equation {id}; it has {', '.join(e.id for e in self.equations)}")

    def with_equations(self, equations: Iterable[Equation], tensors: dict[str, Tensor] | None = None) -> Program:
        return replace(self, equations=tuple(equations), tensors=self.tensors if tensors is None else tensors)

    @property
    def digest(self) -> str:
        """A hash of the mathematics: stable under hash seeds, changed by any change of any equation."""
        lines = [f"{x.name} {x.shape} {x.role}" for x in self.tensors.values()]
        lines += [f"{e.lhs} = {sp.srepr(e.rhs)} {e.when}" for e in self.equations]
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]

    def dump(self) -> str:
        """The program as a person reads it: tensors, then equations."""
        width = max((len(x.name) for x in self.tensors.values()), default=0)
        head = [f"  {x.name:<{width}}  {x.role:<8}  {x.shape}" for x in self.tensors.values()]
        return "\n".join([f"program {self.name}", *head, "", *(f"  {e}" for e in self.equations)])


# -- looking at expressions -------------------------------------------------------------------------------------------


def name_of(access: sp.Expr) -> str:
    """The tensor that an access reads."""
    label = access.base.label if isinstance(access, Indexed) else access
    return str(label.name if label.is_Symbol else label)


def accesses(expr: sp.Expr, tensors: dict[str, Tensor]) -> list[sp.Expr]:
    """The distinct accesses in an expression, sorted by name and index so that runs agree."""
    found = {a for a in expr.atoms(Indexed) if name_of(a) in tensors}
    found |= {s for s in expr.free_symbols if s.is_Symbol and s.name in tensors and tensors[s.name].rank == 0}
    return sorted(found, key=sp.default_sort_key)


def time_of(access: sp.Expr, tensors: dict[str, Tensor]) -> sp.Expr | None:
    """The time index of an access, or None where the tensor has no time axis."""
    return access.indices[0] if tensors[name_of(access)].time is not None else None


def indices_of(access: sp.Expr, tensors: dict[str, Tensor]) -> tuple[sp.Expr, ...]:
    """The indices of an access other than time."""
    if not isinstance(access, Indexed):
        return ()
    return access.indices[1:] if tensors[name_of(access)].time is not None else access.indices


def offset(when: sp.Expr | None) -> int | None:
    """The k of t+k; None where time is absent or fixed."""
    if when is None:
        return None
    difference = when - t
    return int(difference) if difference.is_Integer else None


def shifted(expr: sp.Expr, by: int, tensors: dict[str, Tensor]) -> sp.Expr:
    """The expression with every access moved in time: h[t-1] shifted by +1 is h[t]."""
    return expr.xreplace({t: t + by}) if by else expr


def terms(expr: sp.Expr) -> list[sp.Expr]:
    """The summands of an expression."""
    return list(sp.Add.make_args(expr))


def ordered(expressions: Iterable[sp.Expr]) -> list[sp.Expr]:
    """Expressions in an order that does not depend on the run."""
    return sorted(expressions, key=sp.default_sort_key)


def walk(expr: sp.Expr, leave: Callable[[sp.Expr], sp.Expr]) -> sp.Expr:
    """Rebuild bottom-up, calling `leave` on every node; an unchanged node is not rebuilt (SymPy would reorder it)."""
    if expr.args and not isinstance(expr, Indexed):
        children = [walk(a, leave) if isinstance(a, sp.Expr) else a for a in expr.args]
        if any(new is not old for new, old in zip(children, expr.args, strict=True)):
            expr = expr.func(*children)
    return leave(expr)


class _Text(StrPrinter):
    """One line of Unicode: Σ_j W_i[n,j]·x[t,j]; with `ascii`, of ASCII: Sum_j W_i[n,j]*x[t,j]."""

    def __init__(self, ascii: bool) -> None:
        super().__init__()
        self.sigma, self.delta, self.total, self.dot = (
            ("sigmoid", "delta", "Sum", "*") if ascii else ("σ", "δ", "Σ", "·")
        )
        self.squares = {} if ascii else {"**2": "²", "**3": "³"}

    def line(self, expr: sp.Expr) -> str:
        found = str(self.doprint(expr))
        for power, mark in self.squares.items():
            found = re.sub(re.escape(power) + r"(?![0-9])", mark, found)
        return found.replace("**", "^").replace("*", self.dot)

    def _print_Add(self, expr: sp.Add, order: Any = None) -> str:  # noqa: N802
        scale, rest = expr.primitive()
        if scale == 1 or not isinstance(rest, sp.Add):
            return str(super()._print_Add(expr, order))
        return f"{self._print(scale)}*({super()._print_Add(rest, order)})"

    def _print_Sum(self, expr: sp.Sum) -> str:  # noqa: N802
        body = self._print(expr.function)
        body = f"({body})" if isinstance(expr.function, sp.Add) else body
        return f"{self.total}_{{{','.join(str(s) for s, *_ in expr.limits)}}} {body}".replace(
            "_{" + str(expr.limits[0][0]) + "}", f"_{expr.limits[0][0]}"
        )

    def _print_Indexed(self, expr: Indexed) -> str:  # noqa: N802
        return f"{expr.base.label}[{','.join(self._print(i).replace(' ', '') for i in expr.indices)}]"

    def _print_sigmoid(self, expr: sp.Expr) -> str:
        return f"{self.sigma}({self._print(expr.args[0])})"

    def _print_KroneckerDelta(self, expr: sp.Expr) -> str:  # noqa: N802
        return f"{self.delta}({', '.join(self._print(a) for a in expr.args)})"

    def _print_span(self, expr: sp.Expr) -> str:
        _, lo, hi = expr.args
        return f"[t={lo}]" if lo == hi else f"[{lo}<=t<={hi}]"

    def _print_fma(self, expr: sp.Expr) -> str:
        a, b, c = expr.args
        return f"({self._print(c)} {'-' if a.could_extract_minus_sign() else '+'} {self._print(abs_of(a) * b)})"


def abs_of(expr: sp.Expr) -> sp.Expr:
    """The expression without its leading minus sign."""
    return -expr if expr.could_extract_minus_sign() else expr


def text(expr: sp.Expr, ascii: bool = False) -> str:
    """An expression on one line, for dumps, terminals and comments."""
    return _Text(ascii).line(expr)


def meet(a: Span, b: Span) -> Span:
    """The intersection of two ranges whose ends are integers or T plus integers."""
    return _extreme(a[0], b[0], -1), _extreme(a[1], b[1], 1)


def hull(a: Span, b: Span) -> Span:
    """The smallest range that holds two ranges."""
    return _extreme(a[0], b[0], 1), _extreme(a[1], b[1], -1)


def within(a: Span, b: Span) -> bool:
    """Whether the range a lies inside of b."""
    return meet(a, b) == a


def reach(expr: sp.Expr, tensors: dict[str, Tensor]) -> Span | None:
    """The range of t outside of which an expression is zero because what it multiplies is; None: no such range.

    d_h[t+1]*o[t+1]  with d_h on 0..T, o on 1..T    ->  0..T-1
    d_h[t]*(1 - o[t])                               ->  0..T: outside of its span o is 0, and 1 - o is not
    """
    if isinstance(expr, span):
        by = offset(expr.args[0])
        return (expr.args[1] - by, expr.args[2] - by) if by is not None else None
    if isinstance(expr, Indexed):
        by, life = offset(time_of(expr, tensors)), tensors[name_of(expr)].time
        return (life[0] - by, life[1] - by) if by is not None and life is not None else None
    if isinstance(expr, sp.Sum):
        return reach(expr.function, tensors) if all(symbol != t for symbol, *_ in expr.limits) else None
    if isinstance(expr, sp.Pow) and expr.exp.is_positive:
        return reach(expr.base, tensors)
    if not isinstance(expr, (sp.Mul, sp.Add)):
        return None
    parts = [reach(a, tensors) for a in expr.args]
    if isinstance(expr, sp.Mul):
        return reduce(meet, found) if (found := [p for p in parts if p is not None]) else None
    return None if None in parts else reduce(hull, [p for p in parts if p is not None])


def _extreme(a: sp.Expr, b: sp.Expr, sign: int) -> sp.Expr:
    difference = sp.expand(a - b) * sign
    if difference.is_Integer:
        return a if difference <= 0 else b
    # T is large against every constant: 0 < T.
    return a if difference.coeff(T) < 0 else b


# -- the verifier -----------------------------------------------------------------------------------------------------


def verify(program: Program) -> Program:
    """Check ranks, index ranges, single definition and capture; return the program or raise a `DeriveError`."""
    tensors = program.tensors
    seen: dict[str, list[Span]] = {}
    for equation in program.equations:
        where = f"{program.name}, equation {equation.id or equation.lhs}"
        if equation.target not in tensors:
            raise DeriveError(f"{where}: defines {equation.target}, which is no tensor of the program")
        tensor = tensors[equation.target]
        if len(getattr(equation.lhs, "indices", ())) != tensor.rank:
            raise DeriveError(f"{where}: {equation.lhs} on the left must have {tensor.rank} indices")
        domain = dict(zip(indices_of(equation.lhs, tensors), tensor.dims, strict=True))
        if len(domain) != len(tensor.dims):
            raise DeriveError(f"{where}: an index stands twice on the left in {equation.lhs}")
        _verify_ranges(equation.rhs, {**domain, t: "time"} if equation.when else domain, tensors, where)
        _verify_single(equation, tensor, seen, where)
    return program


def _verify_single(equation: Equation, tensor: Tensor, seen: dict[str, list[Span]], where: str) -> None:
    if tensor.time is None:
        part: Span = (sp.Integer(0), sp.Integer(0))
    else:
        when = equation.lhs.indices[0]
        part = equation.when if when == t and equation.when else (when, when)
    for lo, hi in seen.get(tensor.name, []):
        if not (sp.simplify(part[0] - hi).is_positive or sp.simplify(lo - part[1]).is_positive):
            raise DeriveError(
                f"{where}: {tensor.name} is defined twice for t = {lo}..{hi}; give one equation a new name"
            )
    seen.setdefault(tensor.name, []).append(part)


def _verify_ranges(expr: sp.Expr, domain: dict[Any, Any], tensors: dict[str, Tensor], where: str) -> None:
    if isinstance(expr, sp.Sum):
        inner = dict(domain)
        for symbol, _lo, hi in expr.limits:
            if symbol in domain:
                raise DeriveError(f"{where}: the summed index {symbol} is also free there; give the sum its own index")
            inner[symbol] = "time" if (hi - T).is_Integer else hi
        return _verify_ranges(expr.function, inner, tensors, where)
    if isinstance(expr, Indexed):
        name = name_of(expr)
        if name not in tensors:
            raise DeriveError(f"{where}: reads {name}, which is no tensor of the program")
        tensor = tensors[name]
        if len(expr.indices) != tensor.rank:
            raise DeriveError(f"{where}: {expr} has {len(expr.indices)} indices, {name} has {tensor.rank}")
        if len(set(indices_of(expr, tensors))) < len(tensor.dims):
            raise DeriveError(f"{where}: an index stands twice in {expr}; a diagonal matrix is written as a vector")
        for position, dim in zip(indices_of(expr, tensors), tensor.dims, strict=True):
            if position not in domain:
                raise DeriveError(f"{where}: index {position} of {expr} is neither on the left nor summed")
            if domain[position] != dim:
                raise DeriveError(
                    f"{where}: index {position} of {expr} runs over {domain[position]}, {name} has {dim} there"
                )
        return None
    for argument in expr.args:
        if isinstance(argument, sp.Expr):
            _verify_ranges(argument, domain, tensors, where)
    return None


# -- the order of evaluation ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Group:
    """Tensors that are computed together: in one loop over time (direction +1 or -1), or for all t at once (0)."""

    tensors: tuple[str, ...]
    direction: int


def dependencies(equation: Equation, tensors: dict[str, Tensor]) -> Iterator[tuple[str, int | None]]:
    """(tensor, offset in time) of all that an equation reads; None where the time is fixed, summed or absent."""
    for access in accesses(equation.rhs, tensors):
        free = equation.lhs.has(t)
        yield name_of(access), offset(time_of(access, tensors)) if free else None


def order(program: Program) -> list[Group]:
    """Strongly connected components of the dependencies, in an order in which they can be computed."""
    from sympy.utilities.iterables import strongly_connected_components

    names = [name for name in program.tensors if name in program.defined]
    edges: dict[tuple[str, str], set[int | None]] = {}
    for name in names:
        for equation in program.defined[name]:
            for read, by in dependencies(equation, program.tensors):
                if read in program.defined:
                    edges.setdefault((name, read), set()).add(by)
    groups = []
    for component in strongly_connected_components((names, list(edges))):
        inside = {by for (a, b), offsets in edges.items() if a in component and b in component for by in offsets}
        signs = {(by > 0) - (by < 0) for by in inside if by is not None} - {0}
        if len(signs) > 1 or None in inside or (inside and not signs):
            when = "at the same time step" if not signs else "both forwards and backwards in time"
            names_of = (
                f"{', '.join(sorted(component))} depend on each other"
                if len(component) > 1
                else f"{component[0]} depends on itself"
            )
            raise DeriveError(f"{program.name}: {names_of} {when}")
        groups.append(Group(tuple(n for n in names if n in component), -signs.pop() if signs else 0))
    return groups


def in_step(program: Program, names: Iterable[str]) -> list[str]:
    """The tensors of one loop in an order that respects what they read of each other within a step."""
    from sympy.utilities.iterables import topological_sort

    inside = list(names)
    edges = []
    for name in inside:
        for equation in program.defined[name]:
            edges += [
                (read, name) for read, by in dependencies(equation, program.tensors) if by == 0 and read in inside
            ]
    try:
        return list(topological_sort((inside, edges), key=inside.index))
    except ValueError as error:
        raise DeriveError(f"{program.name}: {', '.join(inside)} depend on each other at the same time step") from error
