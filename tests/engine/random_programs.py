"""Random small programs, drawn by hypothesis: everything that an equation may do, and names that invite capture.

A program has inputs, parameters and initial states, then three to six tensors.  Each is a sum of terms; a term is a
product of accesses, perhaps inside of a function or of a sum.  One index name means another dimension in the next
equation, bound names are names that are free elsewhere, and one tensor is read several times at different indices and
times.  States read each other at t-1 and, where they come later in a step, at t.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import sympy as sp
from hypothesis import strategies as st
from sympy.tensor.indexed import Indexed

from derive import ir
from derive.ir import Equation, Facts, Program, T, Tensor, t
from derive.ir.functions import expm1, normal_cdf, sigmoid, softplus
from derive.passes.normalize import normalize

DIMS = tuple(ir.dimension(d) for d in ("P", "Q", "R"))
NAMES = tuple(ir.index(s) for s in ("i", "j", "k", "n", "s"))
FUNCTIONS = (sp.tanh, sigmoid, sp.sin, softplus, sp.atan, sp.erf, normal_cdf, expm1)
STATES: ir.Span = (sp.Integer(0), T)


@dataclass
class _Draft:
    """The program so far; `ready` are the tensors that may be read at t."""

    draw: Any
    tensors: dict[str, Tensor] = field(default_factory=dict)
    ready: list[str] = field(default_factory=list)
    states: list[str] = field(default_factory=list)
    equations: list[Equation] = field(default_factory=list)

    def add(self, name: str, role: str, time: ir.Span | None, rank: int | None = None) -> Tensor:
        rank = self.draw(st.integers(0, 2)) if rank is None else rank
        dims = tuple(self.draw(st.sampled_from(DIMS)) for _ in range(rank))
        if time is None and role == "param" and not rank:
            dims = (self.draw(st.sampled_from(DIMS)),)
        indices = tuple(self.draw(st.permutations(NAMES))[: len(dims)])
        self.tensors[name] = Tensor(name, dims, indices, role, time, batched=role != "param")
        return self.tensors[name]

    def access(self, scope: dict[sp.Symbol, sp.Symbol], wanted: sp.Symbol | None = None) -> sp.Expr | None:
        """A read of some tensor at indices of the scope (`wanted` among them), or None where nothing fits."""
        reads = [(name, 0) for name in self.ready] + [(name, -1) for name in self.states]
        fitting = []
        for name, by in reads:
            tensor = self.tensors[name]
            choices: list[list[sp.Symbol]] = [[]]
            for dim in tensor.dims:  # no index twice: a diagonal is not in the notation
                choices = [[*c, s] for c in choices for s, d in scope.items() if d == dim and s not in c]
            fitting += [(tensor, by, tuple(c)) for c in choices if wanted is None or wanted in c]
        if not fitting:
            return None
        tensor, by, indices = self.draw(st.sampled_from(fitting))
        return tensor.at(t + by, *indices) if indices else tensor.at(t + by)

    def term(self, scope: dict[sp.Symbol, sp.Symbol], depth: int = 0) -> sp.Expr | None:
        kind = self.draw(st.sampled_from(("product", "product", "call", "sum", "sum", "power", "complement", "double")))
        if kind in ("sum", "double") and depth == 0:
            inner, bound = dict(scope), []
            for _ in range(2 if kind == "double" else 1):
                symbol = self.draw(st.sampled_from([s for s in NAMES if s not in inner]))
                inner[symbol] = self.draw(st.sampled_from(DIMS))
                bound.append(symbol)
            factors = [a for s in bound if (a := self.access(inner, s)) is not None]
            if len(factors) < len(bound):
                return None
            more = self.term(inner, 1) if self.draw(st.booleans()) else None
            return sp.Sum(
                sp.Mul(*factors, *([more] if more is not None else [])), *((s, sp.Integer(1), inner[s]) for s in bound)
            )
        factors = [a for _ in range(self.draw(st.integers(1, 3))) if (a := self.access(scope)) is not None]
        if not factors:
            return None
        if kind == "call":
            function = self.draw(st.sampled_from(FUNCTIONS))
            return sp.Mul(function(sp.Mul(*factors[:2])), *factors[2:])
        if kind == "power":
            return sp.Mul(factors[0] ** 2, *factors[1:])
        if kind == "complement":
            return sp.Mul(1 - factors[0], *factors[1:])
        return sp.Mul(*factors)

    def right_hand_side(self, tensor: Tensor) -> sp.Expr:
        scope = dict(zip(tensor.indices, tensor.dims, strict=True))
        found = [e for _ in range(self.draw(st.integers(1, 3))) if (e := self.term(scope)) is not None]
        scales = [sp.Integer(self.draw(st.sampled_from((1, 1, 2, -1)))) for _ in found]
        rhs = sp.Add(*(a * b for a, b in zip(scales, found, strict=True)))
        return rhs if rhs.has(Indexed) or rhs.free_symbols else sp.Integer(0)


@st.composite
def programs(draw: Any) -> Program:
    """A random program in normal form; its output is a scalar loss, or states and values with seeds of their own."""
    draft = _Draft(draw)
    draft.add("x", "input", ir.STEPS, 1)
    draft.add("w", "param", None)
    draft.add("v", "param", None)
    draft.ready = ["x", "w", "v"]
    states = [f"h{p}" for p in range(draw(st.integers(1, 3)))]
    for name in states:
        draft.add(name, "value", STATES)
        draft.states.append(name)
    values = [f"y{p}" for p in range(draw(st.integers(1, 3)))]
    for name in values:
        draft.add(name, "value", ir.STEPS)
    for name in draw(st.permutations([*states, *values])):
        tensor = draft.tensors[name]
        rhs = draft.right_hand_side(tensor)
        draft.equations.append(Equation(tensor.at(), rhs, f"E{len(draft.equations)}", ir.STEPS))
        draft.ready.append(name)
    for name in states:
        first = Tensor(f"{name}_0", draft.tensors[name].dims, draft.tensors[name].indices, "initial", None)
        draft.tensors[first.name] = first
        draft.equations.append(Equation(draft.tensors[name].at(sp.Integer(0)), first.at(), f"I{name}"))
    if draw(st.booleans()):
        outputs = tuple(dict.fromkeys(draw(st.lists(st.sampled_from([*states, *values]), min_size=1, max_size=2))))
    else:
        outputs = ("L",)
        draft.tensors["L"] = Tensor("L", (), (), "loss", None, batched=False)
        parts = []
        for name in dict.fromkeys(draw(st.lists(st.sampled_from([*states, *values]), min_size=1, max_size=2))):
            tensor = draft.tensors[name]
            limits = [(s, sp.Integer(1), d) for s, d in zip(tensor.indices, tensor.dims, strict=True)]
            parts.append(sp.Sum(tensor.at() ** draw(st.sampled_from((1, 2))), *limits, (t, sp.Integer(1), T)))
        draft.equations.append(Equation(draft.tensors["L"].at(), sp.Add(*parts), "L"))
    final = draw(st.booleans())
    if final and outputs != ("L",):
        for name in states:
            end = Tensor(f"{name}_T", draft.tensors[name].dims, draft.tensors[name].indices, "final", None)
            draft.tensors[end.name] = end
            draft.equations.append(Equation(end.at(), draft.tensors[name].at(T), f"F{name}"))
        outputs = (*outputs, *(f"{s}_T" for s in states))
    facts = Facts(states=tuple(states), output=outputs[0], inputs=("x",))
    return normalize(Program("random", draft.tensors, tuple(draft.equations), outputs, facts))
