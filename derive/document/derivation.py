"""Everything that the sections ask of the passes, for one cell and one loss: programs of each stage, letters, facts.

The step log of `vjp` is the source; nothing here knows any cell.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from functools import cached_property

import sympy as sp
from sympy.tensor.indexed import Indexed

from derive import ir, registry
from derive.document.blocks import Row
from derive.document.formula import Formula
from derive.document.matrix import Matrices, NoMatrixForm
from derive.document.names import Names
from derive.ir import Equation, Origin, Program, Tensor, t
from derive.notation import Cell, Loss
from derive.passes.adjoint import Step, adjoint_name, vjp
from derive.passes.normalize import is_transcendental
from derive.passes.simplify import Count, adjoints, fold_constants, inline, save_values
from derive.pipeline import model
from derive.signature import parameter

GRADIENT_ROLES = ("param", "input", "initial")


class Derivation:
    """A cell, what the passes made of it stage by stage, and how all of it is written."""

    def __init__(self, cell: Cell, loss: Loss | None = None) -> None:
        self.cell, self.loss = cell, loss or registry.loss("squared_error")
        self.made = model(cell, self.loss)
        self.primal = self.made.primal
        self.derived: Program = self.made.trace.after("adjoint").artefact
        output = self.primal.tensors[self.primal.facts.output]
        self.objective: Program = vjp(self.loss.of(output), [output.name])
        self.stages = self._stages()
        self.saved = self.stages[1][1]
        self.closed = inline(fold_constants(save_values(self.derived)))
        programs = [self.derived, *(p for _, p, _ in self.stages), self.closed]
        of_loss = {n: x for n, x in self.made.loss.tensors.items() if n not in self.primal.tensors}
        of_loss |= {
            n: x for n, x in self.objective.tensors.items() if n not in self.primal.tensors and n not in of_loss
        }
        objective = Program("loss", of_loss, ())
        self.names = Names(self.primal, *programs, objective)
        self.tensors: dict[str, Tensor] = {}
        for program in (*reversed(programs), self.derived):
            self.tensors = {**program.tensors, **self.tensors}
        self.tensors |= {n: x for n, x in of_loss.items() if n not in self.tensors}
        self.formula = Formula(self._ranked(), self.names)
        self.matrices = Matrices(self.formula)

    def _stages(self) -> list[tuple[str, Program, Count]]:
        """What vjp gave, then what each rule of simplify/ made of it, with the operations that are left."""
        first, *rest = self.made.counts
        trace = self.made.trace
        return [(first.stage, self.derived, first), *((c.stage, trace.after(c.stage).artefact, c) for c in rest)]

    def _ranked(self) -> dict[str, Tensor]:
        """Tensors in the order in which people read: parameters, inputs, values as they are computed, then adjoints."""
        placed = {name: p for p, name in enumerate(self.tensors)}
        return {n: self.tensors[n] for n in sorted(self.tensors, key=lambda n: placed[n])}

    # -- looking at the program -----------------------------------------------------------------------------------

    @property
    def states(self) -> tuple[str, ...]:
        return tuple(self.primal.facts.states)

    @property
    def gates(self) -> tuple[str, ...]:
        return tuple(self.primal.facts.gates)

    @cached_property
    def forward(self) -> list[Equation]:
        """The equations of a step."""
        return [e for e in self.primal.equations if not e.origin.is_end]

    @cached_property
    def ends(self) -> list[Equation]:
        """The equations of the two ends of time."""
        return [e for e in self.primal.equations if e.origin.is_end]

    @cached_property
    def backward(self) -> list[Equation]:
        """The derived equations, with derivatives written in saved values."""
        return adjoints(self.saved)

    @cached_property
    def compiled(self) -> list[Equation]:
        """The equations that the C computes."""
        return adjoints(self.made.adjoint)

    @cached_property
    def kept(self) -> list[Equation]:
        """Equations that the forward pass computes for the backward pass only."""
        return [e for e in self.made.adjoint.equations if e.origin is Origin.SAVED_DERIVATIVE]

    def readers(self, name: str) -> list[Equation]:
        """The equations that read a tensor."""
        return [e for e in self.primal.equations if any(ir.name_of(a) == name for a in self.reads(e))]

    def reads(self, equation: Equation) -> list[sp.Expr]:
        return self.formula.sequence.reads(equation.rhs)

    def steps_into(self, name: str) -> list[Step]:
        """The steps whose terms add up to the adjoint of a tensor."""
        return [s for s in self.derived.steps if s.read.partition("[")[0] == name]

    def adjoint_of(self, name: str) -> Equation | None:
        """The derived equation of the adjoint of a tensor, if it has one."""
        return next((e for e in self.backward if e.target == adjoint_name(name)), None)

    def in_saved(self, expr: sp.Expr) -> sp.Expr:
        """An expression with calls and powers replaced by the values that the forward pass keeps."""

        def leave(node: sp.Expr) -> sp.Expr:
            for equation in [*self.primal.equations, *self.kept]:
                if is_transcendental(equation.rhs) and node == equation.rhs:
                    return equation.lhs
                power = equation.rhs
                if isinstance(power, sp.Pow) and isinstance(node, sp.Pow) and node.base == power.base:
                    if (node.exp / power.exp).is_Integer:
                        return equation.lhs ** (node.exp / power.exp)
            return node

        return ir.walk(expr, leave)

    def gate_of(self, names: Iterable[str]) -> str:
        """The one gate that a set of tensors belongs to; empty where there are several or none."""
        found = {self._gate(n) for n in names} - {""}
        return found.pop() if len(found) == 1 else ""

    def _gate(self, name: str) -> str:
        tensor = self.tensors[name]
        return tensor.member or (name if name in self.gates else self.tensors[name].primal if self._own(name) else "")

    def _own(self, name: str) -> bool:
        return self.tensors[name].primal in self.gates

    def shape_key(self, *expressions: sp.Expr | str) -> str:
        """A text that is the same for expressions that differ by the name of one gate only."""
        names = {ir.name_of(a) for e in expressions if isinstance(e, sp.Basic) for a in ir.accesses(e, self.tensors)}
        gate = self.gate_of(names)
        swap: dict[str, str] = {}
        for name in names if gate else ():
            tensor = self.tensors[name]
            if tensor.family:
                swap[name] = f"{tensor.family}_<gate>"
            elif name == gate or tensor.primal == gate:
                swap[name] = name[: len(name) - len(gate)] + "<gate>"
        text = " | ".join(e if isinstance(e, str) else sp.srepr(_renamed(e, swap)) for e in expressions)
        return text

    def array(self, name: str) -> tuple[str, int]:
        """The public array of a parameter, and which gate of it the tensor is."""
        return parameter(self.primal, self.primal.tensors[name])

    # -- rows of print --------------------------------------------------------------------------------------------

    def row(self, equation: Equation, matrix: bool = True, id: str | None = None, braces: bool = False) -> Row:
        """An equation as a row of a display: in vectors and matrices where it can be, else with its indices."""
        return row_of(equation, self.formula, self.matrices if matrix else None, id, braces)

    def has_matrix_form(self, equation: Equation) -> bool:
        try:
            self.matrices.of(equation)
        except NoMatrixForm:
            return False
        return True

    def at(self, equation: Equation, when: sp.Expr) -> Equation | None:
        """An equation at one time, without the terms that have ended there; None where it does not hold."""
        if equation.when is None or not ir.contains(equation.when, (when, when)):
            return None
        kept = []
        for term in ir.terms(equation.rhs):
            spans = term.atoms(ir.span)
            alive = ir.support(term, self.tensors)
            if alive is not None and not ir.contains(alive, (when, when)):
                continue
            body = term.xreplace({s: sp.Integer(1) for s in spans})
            kept.append(body)
        rhs = sp.Add(*kept).xreplace({t: when})
        rhs = rhs.replace(
            lambda e: isinstance(e, Indexed), lambda e: e.func(e.base, *(sp.expand(i) for i in e.indices))
        )
        return replace(equation, lhs=equation.lhs.xreplace({t: when}), rhs=rhs, when=None)


def row_of(
    equation: Equation, formula: Formula, matrices: Matrices | None, id: str | None = None, braces: bool = False
) -> Row:
    """An equation as a row, in matrix form where `matrices` are given and have one; `id` replaces its number."""
    when = ir.time_of(equation.lhs, formula.tensors)
    lhs: str = formula.doprint(equation.lhs)
    parts: tuple[str, ...] = ()
    if matrices is not None:
        try:
            parts = tuple(matrices.parts(matrices.of(equation), braces))
            letter = formula.names.letters[equation.target]
            lhs = letter.latex((), "" if when is None else formula.doprint(when))
        except NoMatrixForm:
            parts = ()
    where, number = formula.when(equation), equation.id if id is None else id
    return Row(lhs, parts or tuple(formula.parts(equation.rhs)), where, number)


def _renamed(expr: sp.Expr, names: dict[str, str]) -> sp.Expr:
    swap: dict[sp.Basic, sp.Basic] = {}
    for access in expr.atoms(Indexed):
        new = names.get(ir.name_of(access))
        if new:
            swap[access] = sp.tensor.IndexedBase(new)[access.indices]
    return expr.xreplace(swap)
