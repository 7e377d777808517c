"""Tensors, equations and programs: the records that every pass takes and gives.

What they mean is said in the package (`derive/ir/__init__.py`); verifier.py checks them, dependence.py finds an order
in which they can be computed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from functools import cached_property
from typing import Any

import sympy as sp
from sympy.tensor.indexed import Indexed, IndexedBase

from derive.errors import DeriveError
from derive.ir.line import text
from derive.ir.symbols import Span, T, t
from derive.shown import Shown


@dataclass(frozen=True)
class Tensor:
    """A named tensor: its axes, the time on which it lives and the part that it plays.

    `role` is one of: input, param, initial, final, seed, value, adjoint, gradient, tangent, shared; of a loss target, weight,
    count and loss; in a lowered program also product and sum.
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


class Origin(Enum):
    """What brought an equation into a program; the value is the origin in words."""

    EQUATION = "equation"  # a person wrote it, or differentiation derived it
    INITIAL_STATE = "initial state"  # h(0) = h_0
    FINAL_STATE = "final state"  # h_T = h(T)
    PART = "part of an equation"  # normal form split it from the equation of the tensor `whole`
    SAVED_DERIVATIVE = "saved derivative"  # the forward pass computes it for the backward pass only
    SHARED_PRODUCT = "shared product"  # simplification found it in several equations
    SUM = "sum"  # lowering: a sum over the units of a row
    PRODUCT = "product"  # lowering: a matrix product

    @property
    def is_end(self) -> bool:
        """Whether the equation stands at one end of time and not in a step."""
        return self in (Origin.INITIAL_STATE, Origin.FINAL_STATE)


@dataclass(frozen=True)
class Equation:
    """lhs = rhs, for every value of the indices on the left; where time is free it runs over `when`.

    `merged` are the IDs of equations that simplification put into this one.  A part of another equation names in `whole`
    the tensor that the other one defines; raises DeriveError for a part without a whole, and for a whole without a part.
    """

    lhs: sp.Expr
    rhs: sp.Expr
    id: str = ""
    when: Span | None = None
    origin: Origin = Origin.EQUATION
    merged: tuple[str, ...] = ()
    whole: str = ""

    def __post_init__(self) -> None:
        if (self.origin is Origin.PART) != bool(self.whole):
            raise DeriveError(
                f"equation {self.id or self.lhs}: the origin is {self.origin.name} and the whole is {self.whole!r}; "
                f"a part, and nothing else, has a whole, the tensor whose equation it was split from"
            )

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


@dataclass(frozen=True)
class Facts:
    """What the notation says about a cell, a head or a loss beside its equations.

    `states` come in the order of the decorator and `gates` in the order in which public arrays stack them; `inputs` are
    the sequences that are read, `output` is the tensor that callers get.  `public` maps a parameter (a family, or a
    tensor of none) to its public name where the decorator gives one, `sizes` a dimension to its keyword (H:
    hidden_size).  `init` maps a parameter (a family, or a tensor of none) to the rule of its first values, or a gate of it
    to one.  `classes` maps a target of whole numbers to the dimension of the units that they name, from 0.  `keep` are values of a
    step that callers read afterwards.  `lines` maps a
    tensor to the line that defines it or reads it first, which prints as the end of a message.  `prefixes` begin the IDs of
    the equations and of their adjoints.
    """

    states: tuple[str, ...] = ()
    gates: tuple[str, ...] = ()
    inputs: tuple[str, ...] = ()
    output: str = ""
    public: Mapping[str, str] = field(default_factory=dict)
    sizes: Mapping[str, str] = field(default_factory=dict)
    init: Mapping[str, object] = field(default_factory=dict)
    classes: Mapping[str, str] = field(default_factory=dict)
    keep: tuple[str, ...] = ()
    lines: Mapping[str, object] = field(default_factory=dict)
    prefixes: tuple[str, str] = ("F", "B")


@dataclass(frozen=True, repr=False)
class Program(Shown):
    """A list of equations with the tensors that they speak of.

    `outputs` are the names of interest; what no equation defines is an input.  `steps` holds the log of the pass that made
    the program (see adjoint.py), `facts` what the notation says beside the equations.
    """

    name: str
    tensors: dict[str, Tensor]
    equations: tuple[Equation, ...]
    outputs: tuple[str, ...] = ()
    facts: Facts = field(default_factory=Facts, hash=False)
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


def name_of(access: sp.Expr) -> str:
    """The tensor that an access reads."""
    label = access.base.label if isinstance(access, Indexed) else access
    return str(label.name if label.is_Symbol else label)


def unused_name(name: str, tensors: Container[str]) -> str:
    """The name, with as many underscores behind it as it takes to be that of no tensor yet."""
    while name in tensors:
        name += "_"
    return name
