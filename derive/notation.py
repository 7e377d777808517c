"""The notation of a cell file: `@cell` turns a function whose body is equations into a `Program`.

    @cell(states="h c", gates="i f g o")
    def lstm(x, h, c, W, U, b, z, i, f, g, o):
        for q in (i, f, g, o):
            z[q][t, n] = Sum(W[q][n, j] * x[t, j], j) + Sum(U[q][n, k] * h[t - 1, k], k) + b[q][n]
        ...

The arguments *are* the tensors.  `W[q]` is the tensor W of gate q; `h[t, n] = ...` writes an equation.  A tensor that
is assigned is a value (a state, if named so); one that is not is the input when it has a time index, a parameter when
it has none.  Which index runs over what is found by unification: j is an input index because x[t, j] is an input.
Keyword arguments of `@cell` give parameters their public names: `bias_ih="b"`.
"""

from __future__ import annotations

import inspect
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import sympy as sp
from sympy.tensor.indexed import Indexed, IndexedBase

from derive import ir
from derive.errors import DeriveError
from derive.functions import BY_CLASS, absolute, record_of, relu, sigmoid, signum, softplus
from derive.ir import Equation, Program, T, Tensor, t
from derive.normalize import normalize

exp, log, sqrt, tanh = sp.exp, sp.log, sp.sqrt, sp.tanh
Rational = sp.Rational
i, j, k, m, n, o = (ir.index(name) for name in "ijkmno")
H = ir.dimension("H")

__all__ = [
    "H",
    "Rational",
    "Sum",
    "cell",
    "exp",
    "head",
    "i",
    "j",
    "k",
    "log",
    "loss",
    "m",
    "n",
    "o",
    "relu",
    "sigmoid",
    "softplus",
    "sqrt",
    "t",
    "tanh",
]

_PUBLIC = {"W": "weight_ih", "U": "weight_hh", "b": "bias"}
_SIZES = {"I": "input_size", "H": "hidden_size", "O": "output_size"}


def Sum(expr: sp.Expr, *indices: sp.Symbol) -> sp.Expr:  # noqa: N802  (as SymPy spells it)
    """SymPy's Sum over the whole range of each index; the range is found from the tensors that carry the index."""
    if not indices:
        raise DeriveError(f"Sum({expr}) names no index; write Sum(..., j), or Sum(..., j, k) for two")
    limits = []
    for symbol in indices:
        if not isinstance(symbol, sp.Symbol):
            raise DeriveError(f"Sum(..., {symbol}): the second argument must be an index such as j, found {symbol!r}")
        limits.append((symbol, 1, T) if symbol == t else (symbol, 1, sp.Symbol(f"|{symbol}|")))
    return sp.Sum(expr, *limits)


class Name:
    """An argument of a cell function: indexing reads it, assigning to an index writes an equation."""

    def __init__(self, label: str, writer: _Writer, family: str = "", member: str = "") -> None:
        self._label, self._writer, self._family, self._member = label, writer, family, member

    def __getitem__(self, key: Any) -> Any:
        if isinstance(key, Name):
            return self._writer.member(self, key)
        return self._writer.access(self._label, key)

    def __setitem__(self, key: Any, value: Any) -> None:
        where, label = self._writer.where, self._label
        if isinstance(key, Name):
            raise DeriveError(f"{where}: {label}[{key}] = ... lacks indices; write {label}[{key}][t, n] = ...")
        if isinstance(value, Name):
            raise DeriveError(f"{where}: {label}[...] = {value} assigns a tensor without indices")
        self._writer.write(self, key, value)

    def __iter__(self) -> Iterator[Any]:
        raise DeriveError(
            f"{self._writer.where}: {self._label} is one tensor; loop over a tuple of gates, as in (i, f, g, o)"
        )

    def _bare(self, *_: Any) -> Any:
        raise DeriveError(
            f"{self._writer.where}: {self._label} stands without indices in a formula; write {self._label}[t, n] where it "
            f"has a value at each step, {self._label}[n] where it has not"
        )

    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __truediv__ = __rtruediv__ = __pow__ = __rpow__ = (
        _bare
    )
    __matmul__ = __rmatmul__ = __neg__ = __pos__ = __abs__ = __lt__ = __le__ = __gt__ = __ge__ = __float__ = _bare
    _sympy_ = _bare

    def __str__(self) -> str:
        return self._label


class _Writer:
    """Collects what a cell function writes."""

    def __init__(self, where: str) -> None:
        self.where = where
        self.equations: list[tuple[sp.Expr, sp.Expr]] = []
        self.names: dict[str, Name] = {}
        self.used: set[str] = set()

    def argument(self, label: str) -> Name:
        return self.names.setdefault(label, Name(label, self))

    def member(self, family: Name, gate: Name) -> Name:
        label = f"{family}_{gate}"
        self.used |= {str(family), str(gate)}
        found = self.names.setdefault(label, Name(label, self, str(family), str(gate)))
        if not found._family:
            raise DeriveError(
                f"{self.where}: {family}[{gate}] and the argument {label} would have one name; rename one"
            )
        return found

    def position(self, label: str) -> tuple[int, int]:
        """Where a tensor stands among the arguments: by its family, then by its gate."""
        item, arguments = self.names[label], list(self.names)
        return arguments.index(item._family or label), arguments.index(item._member) if item._member else 0

    def access(self, label: str, key: Any) -> sp.Expr:
        self.used.add(label)
        indices = key if isinstance(key, tuple) else (key,)
        for position in indices:
            if isinstance(position, Name):
                raise DeriveError(
                    f"{self.where}: {label}[...] has {position} as an index, but {position} is an argument of the function, "
                    f"so it is a tensor here; rename one of the two"
                )
            if not isinstance(position, (sp.Expr, int)):
                raise DeriveError(f"{self.where}: {label}[...] has {position!r} as an index; use t, n, j, k, ...")
        return IndexedBase(label)[indices] if indices else sp.Symbol(label, real=True)

    def write(self, name: Name, key: Any, value: Any) -> None:
        lhs = self.access(str(name), key)
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            value = sp.sympify(value)
        if not isinstance(value, sp.Expr):
            raise DeriveError(f"{self.where}: the right-hand side of {lhs} is {value!r}, not an expression")
        when = lhs.indices[0] if isinstance(lhs, Indexed) else t
        if when != t and when.has(t):
            raise DeriveError(
                f"{self.where}: {lhs} = ... defines a value at time {when}; shift it to {name}[t, ...] = ..."
            )
        value = value.replace(sp.Abs, absolute).replace(sp.sign, signum) if value.has(sp.Abs, sp.sign) else value
        _check_nodes(f"{self.where}: in the equation of {lhs}", value, bound=())
        self.equations.append((lhs, value))


def _check_nodes(where: str, expr: sp.Expr, bound: tuple[sp.Symbol, ...]) -> None:
    """Raise for what stands in a formula and has no meaning there: an unknown function, a time or an index as a number."""
    if isinstance(expr, Indexed):
        return
    if isinstance(expr, sp.Sum):
        _check_nodes(where, expr.function, (*bound, *(symbol for symbol, *_ in expr.limits)))
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
        _check_nodes(where, argument, bound)


def _shown(kind: str, name: str, program: Program) -> str:
    return "\n".join([f"<{kind} {name}", *(f"  {equation}" for equation in program.equations)]) + ">"


@dataclass(frozen=True, eq=False, repr=False)
class Cell(ir.Shown):
    """A cell: its name, its documentation and, on demand, its program (the equations in normal form)."""

    name: str
    doc: str
    source: Program

    def program(self) -> Program:
        return normalize(self.source)

    def __repr__(self) -> str:
        return _shown("cell", self.name, self.source)

    def then(self, other: Head, name: str, doc: str = "") -> Cell:
        """The cell with a head on top: the head reads the cell's output, and its own output becomes the output."""
        return Cell(name, doc or f"{self.doc}\n\nWith a head:\n\n{other.doc}", _join(self.source, other.source, name))


@dataclass(frozen=True, eq=False, repr=False)
class Head(ir.Shown):
    """Equations without states that read a sequence: a readout, or a loss when `total` names the scalar."""

    name: str
    doc: str
    source: Program

    def program(self) -> Program:
        return normalize(self.source)

    def __repr__(self) -> str:
        return _shown("head", self.name, self.source)

    def of(self, prediction: Tensor) -> Program:
        """The program with its first argument bound to the tensor that it judges."""
        return normalize(_rebind(self.source, prediction))


def cell(states: str = "h", gates: str = "", **public: str) -> Callable[[Callable[..., None]], Cell]:
    """Decorator: the body of the function is the cell.  The first state is the output.

    `states` are the tensors that may be read at t-1 (each gets an initial value), `gates` the order in which the public
    weight arrays stack the gates, `**public` the public names of parameters: `bias_hh="v"`.
    Raises DeriveError with the cell, the equation and the index for anything that is no recurrent cell.
    """

    if callable(states):
        raise DeriveError(
            f'cell {getattr(states, "__name__", "")}: write @cell(states="h") above it, with the names of its states'
        )
    if not isinstance(states, str) or not isinstance(gates, str):
        raise DeriveError(
            f'@cell(states={states!r}, gates={gates!r}): write the names in one string, as in states="h c"'
        )
    if not states.split():
        raise DeriveError(
            '@cell(states=""): a cell has at least one state, and the first is its output; for equations '
            "without states there is @head"
        )

    def build(function: Callable[..., None]) -> Cell:
        return Cell(function.__name__, _doc(function), _build(function, states.split(), gates.split(), public))

    return build


def head(**public: str) -> Callable[[Callable[..., None]], Head]:
    """Decorator: a readout.  The first argument is what it reads; the last equation defines the new output."""
    return lambda function: Head(function.__name__, _doc(function), _build(function, [], [], public))


def loss(function: Callable[..., None]) -> Head:
    """Decorator: a loss.  First argument the prediction, second the target; the last equation is the scalar L[()]."""
    program = _build(function, [], [], {})
    if len(program.meta["inputs"]) != 2 or program.equations[-1].lhs.args:
        raise DeriveError(f"loss {function.__name__}: expected a prediction, a target and at last a scalar L[()] = ...")
    target = program.meta["inputs"][1]
    tensors = {**program.tensors, target: replace(program.tensors[target], role="target")}
    return Head(
        function.__name__,
        _doc(function),
        replace(program, tensors=tensors, meta={**program.meta, "prefixes": ("L", "D")}),
    )


def _doc(function: Callable[..., None]) -> str:
    module = inspect.getmodule(function)
    return inspect.getdoc(function) or (inspect.getdoc(module) if module else "") or ""


# -- from what was written to a program -------------------------------------------------------------------------------


def _build(function: Callable[..., None], states: list[str], gates: list[str], public: dict[str, str]) -> Program:
    where = f"cell {function.__name__}" if states else f"{function.__name__}"
    writer = _Writer(where)
    arguments = list(inspect.signature(function).parameters)
    for unknown in [name for name in (*states, *gates, *public.values()) if name not in arguments]:
        raise DeriveError(
            f"{where}: {unknown!r} in the decorator is no argument of the function ({', '.join(arguments)})"
        )
    _check_arguments(where, function, states, gates)
    _write(where, function, writer, arguments)
    if not writer.equations:
        raise DeriveError(f"{where}: the function writes no equation; write h[t, n] = ...")
    for unused in [a for a in arguments if a not in writer.used]:
        raise DeriveError(f"{where}: the argument {unused} is never used; remove it or use it")
    if len({str(lhs) for lhs, _ in writer.equations}) < len(writer.equations):
        twice = [str(lhs) for p, (lhs, _) in enumerate(writer.equations) if lhs in [x for x, _ in writer.equations[:p]]]
        raise DeriveError(f"{where}: {twice[0]} is assigned twice; give one of the two a new name")
    sizes = _Sizes(where, writer, states)
    program = ir.verify(_program(function.__name__, where, writer, states, gates, public, sizes))
    for group in ir.order(program):
        ir.in_step(program, group.tensors)
    return program


def _check_arguments(where: str, function: Callable[..., None], states: list[str], gates: list[str]) -> None:
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


def _write(where: str, function: Callable[..., None], writer: _Writer, arguments: list[str]) -> None:
    """Run the function; whatever goes wrong in it becomes an error that names the cell and the line."""
    try:
        function(*(writer.argument(a) for a in arguments))
    except DeriveError as error:
        raise error if str(error).startswith(where) else DeriveError(f"{where}: {error}") from error
    except Exception as error:
        lines = [
            frame.lineno
            for frame in traceback.extract_tb(error.__traceback__)
            if frame.filename == function.__code__.co_filename
        ]
        raise DeriveError(
            f"{where}, line {lines[-1]}: {type(error).__name__}: {error}; equations call the functions of derive.notation, "
            f"not those of math or NumPy"
        ) from error


def _program(
    name: str, where: str, writer: _Writer, states: list[str], gates: list[str], public: dict[str, str], sizes: _Sizes
) -> Program:
    assigned = [ir.name_of(lhs) for lhs, _ in writer.equations]
    tensors: dict[str, Tensor] = {}
    for label in sizes.order:
        timed, dims, indices = sizes.tensor(label)
        item = writer.names[label]
        role = "value" if label in assigned else ("input" if timed else "param")
        tensors[label] = Tensor(
            label,
            dims,
            indices,
            role,
            ir.STEPS if timed else None,
            batched=role != "param",
            latex=_latex(item),
            family=item._family,
            member=item._member,
        )
    for state in states:
        if state not in assigned:
            raise DeriveError(f"{where}: the state {state} is never assigned; write {state}[t, n] = ...")
        if tensors[state].time is None:
            raise DeriveError(f"{where}: the state {state} has no time index; write {state}[t, n] = ...")
    equations = [
        Equation(lhs, sizes.resolve(p, rhs), f"F{p + 1}", ir.STEPS if lhs.has(t) else None)
        for p, (lhs, rhs) in enumerate(writer.equations)
    ]
    _check_times(where, equations, states, tensors)
    equations += _boundaries(where, states, tensors, len(equations))
    inputs = [x.name for x in tensors.values() if x.role == "input"]
    last = tensors[assigned[-1]]
    output = states[0] if states else last.name
    if last.rank == 0:
        tensors[last.name] = replace(last, role="loss", batched=False)
    meta = {
        "states": tuple(states),
        "gates": tuple(gates),
        "inputs": tuple(inputs),
        "output": output,
        "public": {symbol: given for given, symbol in public.items()},
        "sizes": {str(d): _SIZES.get(str(d), f"{str(d).lower()}_size") for d in sizes.dims},
    }
    outputs = (output, *(f"{s}_T" for s in states))
    return Program(name, tensors, tuple(equations), outputs, meta)


def _boundaries(where: str, states: list[str], tensors: dict[str, Tensor], count: int) -> list[Equation]:
    """h(0) = h_0 and h_T = h(T): the two ends of the chain are equations like all others, and so are their adjoints."""
    found: list[Equation] = []
    for state in states:
        for name in (f"{state}_0", f"{state}_T"):
            if name in tensors:
                raise DeriveError(
                    f"{where}: the name {name} is taken, by the state {state} at one end of time; rename the argument"
                )
        body = tensors[state]
        tensors[state] = body = replace(body, time=(sp.Integer(0), T))
        base = body.latex or state
        first = replace(body, name=f"{state}_0", role="initial", time=None, latex=f"{base}_0")
        final = replace(body, name=f"{state}_T", role="final", time=None, latex=f"{base}_T")
        tensors[first.name], tensors[final.name] = first, final
        found.append(Equation(body.at(sp.Integer(0)), first.at(), f"F{count + len(found) + 1}", note="initial state"))
        found.append(Equation(final.at(), body.at(T), f"F{count + len(found) + 1}", note="final state"))
    return found


def _check_times(where: str, equations: list[Equation], states: list[str], tensors: dict[str, Tensor]) -> None:
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


def _latex(item: Name) -> str:
    greek = {"mu": r"\mu", "gamma": r"\gamma", "beta": r"\beta", "rho": r"\rho", "nu": r"\nu", "eta": r"\eta"}
    base = greek.get(item._family or str(item), item._family or str(item))
    head, *rest = base.split("_")
    below = ",".join([*rest, *([item._member] if item._member else [])])
    return rf"{greek.get(head, head)}_{{{below}}}" if below else greek.get(head, head)


class _Sizes:
    """Unification: which dimension each tensor axis and each index has."""

    def __init__(self, where: str, writer: _Writer, states: list[str]) -> None:
        self.where, self.writer = where, writer
        self.parent: dict[Any, Any] = {}
        self.order: list[str] = []
        self.rank: dict[str, int] = {}
        self.constants: list[tuple[sp.Expr, sp.Symbol]] = []
        self.timed: dict[str, bool] = {}
        self.spelling: dict[str, tuple[sp.Symbol, ...]] = {}
        for p, (lhs, rhs) in enumerate(writer.equations):
            scope = {s: (p, "free", s) for s in (lhs.indices if isinstance(lhs, Indexed) else ()) if s != t}
            self._visit(lhs, scope, p)
            self._visit(rhs, scope, p)
        for lhs, _ in writer.equations:  # a tensor is spelled as on the left of its equation
            if isinstance(lhs, Indexed):
                self.spelling[ir.name_of(lhs)] = lhs.indices[1:] if self.timed[ir.name_of(lhs)] else lhs.indices
        self.order.sort(key=writer.position)
        self.names: dict[Any, sp.Symbol] = {}
        self._name(states)
        for lhs, symbol in self.constants:
            if symbol not in self.names.values():
                raise DeriveError(
                    f"{self.where}: in the equation of {lhs}, {symbol} is neither an argument of the function nor "
                    f"a size ({', '.join(map(str, self.dims))})"
                )

    def _find(self, node: Any) -> Any:
        while self.parent.setdefault(node, node) != node:
            node = self.parent[node]
        return node

    def _visit(self, expr: sp.Expr, scope: dict[sp.Symbol, Any], equation: int) -> None:
        if isinstance(expr, sp.Sum):
            inner = dict(scope)
            for position, (symbol, _, _) in enumerate(expr.limits):
                if symbol in scope:
                    lhs = self.writer.equations[equation][0]
                    place = "also stands on the left" if scope[symbol][1] == "free" else "is summed around it as well"
                    raise DeriveError(f"{self.where}: in the equation of {lhs}, {symbol} is summed and {place}")
                inner[symbol] = (equation, expr, position)
            self._visit(expr.function, inner, equation)
            return
        if isinstance(expr, Indexed) or (expr.is_Symbol and str(expr) in self.writer.names):
            self._access(expr, scope, equation)
            return
        if expr.is_Symbol:
            self._constant(expr, scope, equation)
        for argument in expr.args:
            self._visit(argument, scope, equation)

    def _constant(self, symbol: sp.Symbol, scope: dict[sp.Symbol, Any], equation: int) -> None:
        """A symbol that is no tensor: the size of a dimension, which is checked when all sizes are known."""
        lhs = self.writer.equations[equation][0]
        if symbol in scope:
            raise DeriveError(
                f"{self.where}: in the equation of {lhs}, the index {symbol} stands outside of any tensor; "
                f"an index has no value of its own"
            )
        self.constants.append((lhs, symbol))

    def _access(self, access: sp.Expr, scope: dict[sp.Symbol, Any], equation: int) -> None:
        label, lhs = ir.name_of(access), self.writer.equations[equation][0]
        indices = access.indices if isinstance(access, Indexed) else ()
        timed = any(i.has(t) for i in indices[:1])
        positions = indices[1:] if timed else indices
        for fixed in (s for s in indices if not s.free_symbols or s == T):
            raise DeriveError(
                f"{self.where}: in the equation of {lhs}, {access} is read or defined at {fixed}; an index is a name "
                f"such as n, time is t or t-1, and the initial states come by themselves"
            )
        if len(set(positions)) < len(positions):
            raise DeriveError(
                f"{self.where}: in the equation of {lhs}, an index stands twice in {access}; a diagonal matrix is "
                f"written as a vector"
            )
        if label not in self.rank:
            self.order.append(label)
            self.rank[label], self.timed[label] = len(positions), timed
            self.spelling[label] = tuple(positions)
        elif (self.rank[label], self.timed[label]) != (len(positions), timed):
            raise DeriveError(
                f"{self.where}: in the equation of {lhs}, {access} has other indices than {label} elsewhere"
            )
        for slot, symbol in enumerate(positions):
            if symbol == t or symbol.has(t):
                raise DeriveError(
                    f"{self.where}: in the equation of {lhs}, {access} has time in the wrong place; time comes first"
                )
            if not symbol.is_Symbol or symbol not in scope:
                raise DeriveError(
                    f"{self.where}: in the equation of {lhs}, the index {symbol} of {access} is neither on the left nor summed"
                )
            self.parent[self._find((label, slot))] = self._find(scope[symbol])

    def _name(self, states: list[str]) -> None:
        written = {ir.name_of(lhs) for lhs, _ in self.writer.equations}
        inputs = [x for x in self.order if self.timed[x] and x not in written and self.rank[x]]
        wanted = [(x, "H") for x in states[:1]] + [(x, "I" if states else "H") for x in inputs[:1]]
        if not states and inputs:
            wanted = [(inputs[0], "H")]
        for label, name in wanted:
            root = self._find((label, 0)) if self.rank.get(label) else None
            if root is not None and self.names.setdefault(root, ir.dimension(name)) != ir.dimension(name):
                raise DeriveError(
                    f"{self.where}: the index of {label} runs over {self.names[root]} as well as over {name}; "
                    f"use different indices for the input and the units"
                )
        for label in self.order:
            for slot in range(self.rank[label]):
                root = self._find((label, slot))
                if root not in self.names:
                    letter = str(self.spelling[label][slot]).upper()
                    taken = {str(d) for d in self.names.values()} | {"T", "B", *self.order}
                    self.names[root] = ir.dimension(letter if letter not in taken else f"{letter}_{len(taken)}")

    @property
    def dims(self) -> list[sp.Symbol]:
        first = [d for d in (ir.dimension("I"), ir.dimension("H")) if d in self.names.values()]
        return list(dict.fromkeys([*first, *self.names.values()]))

    def tensor(self, label: str) -> tuple[bool, tuple[sp.Symbol, ...], tuple[sp.Symbol, ...]]:
        dims = tuple(self.names[self._find((label, slot))] for slot in range(self.rank[label]))
        return self.timed[label], dims, self.spelling[label]

    def resolve(self, equation: int, expr: sp.Expr) -> sp.Expr:
        """Put the found dimensions into the limits of the sums."""
        if isinstance(expr, sp.Sum):
            limits = []
            for position, (symbol, lo, hi) in enumerate(expr.limits):
                root = self._find((equation, expr, position))
                if symbol != t and root not in self.names:
                    raise DeriveError(f"{self.where}: the summed index {symbol} stands on no tensor")
                limits.append((symbol, lo, hi if symbol == t else self.names[root]))
            return sp.Sum(self.resolve(equation, expr.function), *limits)
        if not expr.has(sp.Sum):
            return expr
        return expr.func(*(self.resolve(equation, a) for a in expr.args))


# -- joining ----------------------------------------------------------------------------------------------------------


def _rebind(program: Program, prediction: Tensor) -> Program:
    """A head with its first argument replaced by another tensor, dimension and all."""
    slot = program.tensors[program.meta["inputs"][0]]
    if len(slot.dims) != len(prediction.dims):
        raise DeriveError(
            f"{program.name} reads a tensor with {len(slot.dims)} axes beside time, {prediction.name} has "
            f"{len(prediction.dims)}"
        )
    dims = dict(zip(slot.dims, prediction.dims, strict=True))
    swap = {IndexedBase(slot.name): IndexedBase(prediction.name), **dims}

    def renamed(tensor: Tensor) -> Tensor:
        return replace(tensor, dims=tuple(dims.get(d, d) for d in tensor.dims))

    tensors = {x.name: renamed(x) for x in program.tensors.values() if x.name != slot.name}
    tensors = {prediction.name: replace(prediction, role="input", time=ir.STEPS), **tensors}
    equations = [replace(e, lhs=e.lhs.xreplace(swap), rhs=_swap_sums(e.rhs, swap)) for e in program.equations]
    output = prediction.name if program.meta["output"] == slot.name else program.meta["output"]
    inputs = (prediction.name, *program.meta["inputs"][1:])
    sizes = {str(dims.get(ir.dimension(d), d)): s for d, s in program.meta["sizes"].items()}
    return replace(
        program,
        tensors=tensors,
        equations=tuple(equations),
        meta={**program.meta, "inputs": inputs, "output": output, "sizes": sizes},
    )


def _swap_sums(expr: sp.Expr, swap: dict[Any, Any]) -> sp.Expr:
    return expr.xreplace(
        {
            **swap,
            **{sp.Symbol(str(a.label)): sp.Symbol(str(b.label)) for a, b in swap.items() if isinstance(a, IndexedBase)},
        }
    )


def _join(lower: Program, upper: Program, name: str) -> Program:
    upper = _rebind(upper, lower.tensors[lower.meta["output"]])
    clash = (set(lower.tensors) & set(upper.tensors)) - {lower.meta["output"]}
    if clash:
        raise DeriveError(f"{name}: {', '.join(sorted(clash))} means two things; rename it in the head or in the cell")
    body = [e for e in lower.equations if not e.note]
    ends = [e for e in lower.equations if e.note]
    equations = [*body, *upper.equations, *ends]
    numbered = [replace(e, id=f"F{p + 1}") for p, e in enumerate(equations)]
    tensors = {**lower.tensors, **{x: y for x, y in upper.tensors.items() if x not in lower.tensors}}
    output = upper.meta["output"]
    meta = {
        **lower.meta,
        "output": output,
        "public": {**lower.meta["public"], **upper.meta["public"]},
        "sizes": {**lower.meta["sizes"], **upper.meta["sizes"]},
    }
    outputs = (output, *(f"{s}_T" for s in lower.meta["states"]))
    return ir.verify(Program(name, tensors, tuple(numbered), outputs, meta))


def public_name(program: Program, tensor: Tensor) -> str:
    """The name of a parameter in the Python and C interfaces, without the gate."""
    symbol = tensor.family or tensor.name
    given: str = {**_PUBLIC, **program.meta["public"]}.get(symbol, symbol)
    return given
