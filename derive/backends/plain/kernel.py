"""A lowered kernel as C: blocks, each a loop over units, in one loop over time; and what is done before and after it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import sympy as sp
from sympy.tensor.indexed import Indexed

from derive import ir
from derive.backends.plain.addresses import Addresses, Row, spelled, width
from derive.backends.shared import orientation
from derive.backends.shared.printer import Expression, Real
from derive.backends.shared.sizes import size
from derive.backends.shared.values import from_afar, has_units, integrand, is_gradient_of_input, live, only_at_end
from derive.ir import Equation, Space
from derive.passes.lower import Pair, Phase, Product, Stage
from derive.passes.storage import Place
from derive.pipeline import LoweredKernel

REGISTERS = ("local", "tile")  # places that are variables


@dataclass
class Block:
    """Statements over the units of a space: `before` and `after` stand around the loops, `body` in the innermost one.

    `wanted` is a condition: there is nothing to do without it.
    """

    ids: str
    space: Space
    wanted: str = ""
    before: list[str] = field(default_factory=list)
    body: list[str] = field(default_factory=list)
    after: list[str] = field(default_factory=list)

    @property
    def loops(self) -> list[tuple[str, str]]:
        """The loops over the units, outermost first: variable and size of each."""
        return [(variable, str(dim)) for variable, dim in zip(variables(self.space), self.space, strict=True)]


@dataclass
class Steps:
    """Blocks in the order of their execution, with the rows that they read and write."""

    rows: dict[str, Row] = field(default_factory=dict)
    blocks: list[Block] = field(default_factory=list)


class Kernel:
    """The C of one kernel, for its template; `single`: of one step of inference."""

    def __init__(self, made: LoweredKernel, arrays: dict[str, str], real: Real, single: bool = False) -> None:
        self.name, self.real, self.single = made.name, real, single
        self.lowered, self.storage, self.tensors = made.lowered, made.storage, made.lowered.program.tensors
        self.direction = made.lowered.direction
        self.addresses = Addresses(arrays, single, made.mirrored)
        self.written: set[str] = set()
        self.before, self.steps, self.edge, self.after = Steps(), Steps(), Steps(), Steps()
        reducing: list[Product] = []
        for part in self.lowered.parts:
            if isinstance(part, Phase):
                reducing += [p for p in part.products if p.kind == "reducing"]
                self._products([p for p in part.products if p.kind != "reducing"])
            for stage in part.stages:
                self._stage(stage, self.steps)
        self._reducing(reducing)
        for stage in self.lowered.edge:
            self._stage(stage, self.edge, edge=True)
        for stages, steps in ((self.lowered.before, self.before), (self.lowered.after, self.after)):
            for stage in stages:
                self._stage(stage, steps)
        self.begin, self.finals = Steps(), Steps()
        totals = [e.target for s in self.lowered.stages for e in s.totals]
        for target in dict.fromkeys([*totals, *(p.target for p in reducing), *(e.target for e in self.lowered.zeros)]):
            self._fill(target)
        self._finals()
        regions = self.storage.regions
        self.buffers = [(r.name, self.addresses.rows(r), width(r)) for r in regions]
        # What a backward loop reads a step after the last is zero.
        self.cleared = [(r.name, width(r)) for r in regions if r.neighbour and self.direction < 0]

    @property
    def _all(self) -> tuple[Steps, ...]:
        return (self.begin, self.before, self.steps, self.edge, self.finals, self.after)

    @property
    def title(self) -> str:
        """What the header calls it, in capitals."""
        return "STEP" if self.single else self.name.upper()

    @property
    def members(self) -> list[str]:
        """The members of `at`: those whose values are read only, those that are written."""
        names = dict.fromkeys(n for steps in self._all for n in steps.rows)
        read, written = ([f"*{n}" for n in names if (n in self.written) == how] for how in (False, True))
        return [f"const real {', '.join(read)};"] * bool(read) + [f"real {', '.join(written)};"] * bool(written)

    @property
    def fixed(self) -> list[Row]:
        """The rows that stay where they are."""
        rows = {**self.begin.rows, **self.before.rows, **self.steps.rows, **self.after.rows}
        return [r for r in rows.values() if not r.moves]

    @property
    def moving(self) -> list[Row]:
        return [r for r in self.steps.rows.values() if r.moves]

    @property
    def at_edge(self) -> list[Row]:
        """The rows that are elsewhere at t = 0."""
        return [r for r in self.edge.rows.values() if self.steps.rows.get(r.name) != r]

    @property
    def at_last(self) -> list[Row]:
        """The rows of the last step and of the final states, where they are not set already."""
        return [r for r in self.finals.rows.values() if r.moves or self.steps.rows.get(r.name) != r]

    @property
    def size(self) -> str:
        """The numbers in all buffers."""
        return " + ".join(f"{rows} * ({wide})" if rows > 1 else wide for _, rows, wide in self.buffers) or "0"

    # -- rows and variables --------------------------------------------------------------------------------------------

    def _place(self, name: str, by: int, edge: bool) -> Place:
        return self.storage.edge.get(name, self.storage.places[name]) if edge and not by else self.storage.places[name]

    def _row(self, steps: Steps, name: str, by: int = 0, written: bool = False, edge: bool = False) -> str:
        """The member of `at` for a tensor at an offset."""
        place = self._place(name, by, edge)
        row = self.addresses.row(self.tensors[name], by, place, edge, self._is_optional(name))
        steps.rows.setdefault(row.name, row)
        if written:
            self.written.add(row.name)
        return f"at.{row.name}"

    def _load(self, steps: Steps, access: sp.Expr, equation: Equation, edge: bool, at_end: bool) -> str:
        name, by = ir.name_of(access), ir.offset(ir.time_of(access, self.tensors)) or 0
        row = self._row(steps, name, by, edge=edge)
        value = f"{row}[{self._element(access, equation)}]"
        value = f"t == T && {row} ? {value} : {self.real.literal(0.0)}" if at_end else value
        return f"const real {self._spelled(access, equation)} = {value};"

    def _loads(
        self, steps: Steps, readers: Iterable[Equation], known: set[str], edge: bool
    ) -> tuple[list[str], list[str]]:
        """Lines that load what equations read and no line before has made: numbers of the row, values of units."""
        rows: list[str] = []
        units: list[str] = []
        for reader in readers:
            at_end = only_at_end(reader.rhs, self.tensors)
            for access in ir.accesses(reader.rhs, self.tensors):
                name = self._spelled(access, reader)
                if name not in known:
                    known.add(name)
                    lines = units if has_units(self.tensors[ir.name_of(access)]) else rows
                    lines.append(self._load(steps, access, reader, edge, access in at_end))
        return rows, units

    def _element(self, access: sp.Expr, equation: Equation) -> str:
        """Where the value of an access lies in its row, in the loops over the space of the equation that reads or makes it."""
        axes = ir.axes(equation, self.tensors)
        named = dict(zip(axes, variables(tuple(axes.values())), strict=True))
        own = ir.unit_indices(access, self.tensors)
        return flat([(named[i], str(axes[i])) for i in own])

    def _spelled(self, access: sp.Expr, equation: Equation) -> str:
        return orientation.variable(access, equation, self.tensors, spelled)

    def _expression(self, equation: Equation, rhs: sp.Expr | None = None) -> str:
        rhs = equation.rhs if rhs is None else rhs
        last = from_afar(rhs, self.tensors)
        spell = Expression(lambda a: self._spelled(a, equation), lambda access: False, last, self.real.literal)
        return spell.print(ir.without_guards(rhs))

    def _stored(self, steps: Steps, name: str, unit: str, edge: bool, wanted: bool = False) -> list[str]:
        """The line that stores a value, where its place is in memory; `wanted`: the caller is known to want it."""
        if self._place(name, 0, edge).kind in REGISTERS:
            return []
        row = self._row(steps, name, written=True, edge=edge)
        asks = not wanted and self._is_optional(name)
        return [f"{f'if ({row}) ' if asks else ''}{row}[{unit}] = {spelled(name)};"]

    def _is_optional(self, name: str) -> bool:
        """Whether the caller may do without: with the gradient of an input, but not with the seed that a loss makes."""
        return self.direction < 0 and is_gradient_of_input(name, self.tensors)

    # -- stages --------------------------------------------------------------------------------------------------------

    def _stage(self, stage: Stage, steps: Steps, edge: bool = False) -> None:
        block = Block(_ids([*(p.ids for p in stage.products), *(e.ids for e in stage.equations)]), stage.space)
        known: set[str] = set()
        for equation in stage.scalars:
            block.before += self._loads(steps, [equation], known, edge)[0]
            block.before += self._defined(steps, equation, edge)
            known.add(spelled(equation.target))
        block.body += self._multiplied(steps, stage.products, stage.space, edge)
        known |= {spelled(p.target) for p in stage.products}
        stored = {e.target for e in stage.pointwise if self._place(e.target, 0, edge).kind not in REGISTERS}
        pointwise = live(stage.pointwise, stored, [*stage.sums, *stage.totals], self.tensors)
        made = {spelled(e.target) for e in pointwise}
        others = [*pointwise, *stage.sums, *stage.totals]
        rows, units = self._loads(steps, others, known | made, edge)
        block.before += rows
        block.body += units
        for equation in pointwise:
            block.body += self._defined(steps, equation, edge)
        for equation in stage.sums:
            self._sum(steps, block, equation, edge)
        for equation in stage.totals:
            target = self._row(steps, equation.target, written=True, edge=edge)
            lines = block.body if stage.space else block.before
            lines.append(f"{target}[{self._element(equation.lhs, equation)}] += {self._term_of_sum(equation)}")
        steps.blocks.append(block)

    def _sum(self, steps: Steps, block: Block, equation: Equation, edge: bool) -> None:
        """A sum over units of the row: over all of them in a variable, over some of them where its values lie."""
        target, zero = self._row(steps, equation.target, written=True, edge=edge), self.real.literal(0.0)
        if (length := ir.width(self.tensors[equation.target])) is not None:
            block.before += _loop(size(length), [f"{target}[k] = {zero};"])
            block.body.append(f"{target}[{self._element(equation.lhs, equation)}] += {self._term_of_sum(equation)}")
            return
        number = spelled(equation.target)
        if isinstance(equation.rhs, ir.Largest):
            value = self._expression(equation, equation.rhs.function)
            block.before.append(f"real {number} = -INFINITY;")
            block.body.append(f"if ({value} > {number}) {number} = {value};{_comment(equation)}")
        else:
            block.before.append(f"real {number} = {zero};")
            block.body.append(f"{number} += {self._term_of_sum(equation)}")
        block.after.append(f"{target}[0] = {number};")

    def _term_of_sum(self, equation: Equation) -> str:
        return f"{self._expression(equation, integrand(equation.rhs))};{_comment(equation)}"

    def _defined(self, steps: Steps, equation: Equation, edge: bool) -> list[str]:
        unit = self._element(equation.lhs, equation)
        found = f"(real){unit}" if ir.is_position(equation) else self._expression(equation)
        line = f"const real {spelled(equation.target)} = {found};{_comment(equation)}"
        return [line, *self._stored(steps, equation.target, unit, edge)]

    # -- products ------------------------------------------------------------------------------------------------------

    def _products(self, products: list[Product]) -> None:
        """Products of a phase: a block for those of one dimension; what the caller may do without has its own."""
        groups: dict[tuple[Space, str], list[Product]] = {}
        for product in products:
            wanted = self._row(self.steps, product.target) if self._is_optional(product.target) else ""
            groups.setdefault((ir.units(self.tensors[product.target]), wanted), []).append(product)
        for (space, wanted), group in groups.items():
            lines = self._multiplied(self.steps, group, space, edge=False)
            self.steps.blocks.append(Block(_ids(p.ids for p in group), space, wanted, body=lines))

    def _multiplied(self, steps: Steps, products: list[Product], space: Space, edge: bool) -> list[str]:
        """Loops that add up products of the unit: those of one length share a loop."""
        lines = [f"real {spelled(p.target)} = {self.real.literal(0.0)};" for p in products]
        for position in range(max((len(p.pairs) for p in products), default=0)):
            loops: dict[sp.Expr, list[str]] = {}
            for product in (p for p in products if position < len(p.pairs)):
                length, term = self._term(steps, product, product.pairs[position], edge)
                loops.setdefault(length, []).append(f"{spelled(product.target)} += {term};")
            for length, terms in loops.items():
                lines += _loop(size(length), terms)
        for product in products:
            lines += self._stored(steps, product.target, flat(Block("", space).loops), edge, wanted=True)
        return lines

    def _term(self, steps: Steps, product: Product, pair: Pair, edge: bool) -> tuple[sp.Expr, str]:
        """One summand of a product at index k, and how far k runs."""
        weight, operand = self.tensors[ir.name_of(pair.weight)], self.tensors[ir.name_of(pair.operand)]
        by = ir.offset(ir.time_of(pair.operand, self.tensors)) or 0
        dims, shape = ir.dims_of(pair.weight, self.tensors), pair.shape
        length = sp.Mul(*(dims[i] for i in shape.inner))
        space = tuple(dims[i] for i in shape.result)
        named = {i: (v, str(dims[i])) for i, v in zip(shape.result, variables(space), strict=True)}
        batch, rows, inner = [named[i] for i in shape.batch], [named[i] for i in shape.rows], ("k", size(length))
        element = flat([*batch, inner, *rows] if shape.transposed else [*batch, *rows, inner])
        left = f"{self._row(steps, weight.name, edge=edge)}[{element}]"
        return length, f"{left} * {self._row(steps, operand.name, by, edge=edge)}[{flat([*batch, inner])}]"

    def _reducing(self, products: list[Product]) -> None:
        """Products that sum over time: every step adds an outer product to the gradient of a weight."""
        groups: dict[tuple[Space, Space, Space], list[Product]] = {}
        for product in products:
            dims, shape = ir.dims_of(self.tensors[product.target].at(), self.tensors), product.pairs[0].shape
            batch, rows, inner = (tuple(dims[i] for i in part) for part in (shape.batch, shape.rows, shape.inner))
            groups.setdefault((batch, rows, inner), []).append(product)
        for (batch, rows, inner), group in groups.items():
            lines = []
            space, length = (*batch, *rows), size(sp.Mul(*inner))
            result = flat(loops := Block("", space).loops)
            column = flat([*loops[: len(batch)], ("k", length)])
            for product in group:
                target = self._row(self.steps, product.target, written=True)
                for pair in product.pairs:
                    left, right = (
                        self._row(self.steps, ir.name_of(a), ir.offset(ir.time_of(a, self.tensors)) or 0)
                        for a in (pair.weight, pair.operand)
                    )
                    element = flat([*loops, ("k", length)])
                    lines.append(f"{target}[{element}] += {left}[{result}] * {right}[{column}];")
            self.steps.blocks.append(Block(_ids(p.ids for p in group), space, body=_loop(length, lines)))

    # -- before and after the loop -------------------------------------------------------------------------------------

    def _fill(self, name: str) -> None:
        """What is added up begins with zero; so does what nothing depends on, and stays so."""
        row = self._row(self.begin, name, written=True)
        length = size(sp.Mul(*(d for d in self.tensors[name].dims if d != ir.B)))
        zero = f" = {self.real.literal(0.0)};"
        lines = [f"{row}[0]{zero}"] if length == "1" else _loop(length, [f"{row}[k]{zero}"])
        self.begin.blocks.append(Block("", (), before=lines))

    def _finals(self) -> None:
        """Final states are copied when all steps are done."""
        for boundary in self.lowered.boundaries:
            if not isinstance(boundary.rhs, Indexed) or ir.time_of(boundary.rhs, self.tensors) != ir.T:
                continue
            name = ir.name_of(boundary.rhs)
            source = self._row(self.finals, name)
            target = self._row(self.finals, boundary.target, written=True)
            lines = _loop(size(ir.width(self.tensors[name]) or sp.Integer(1)), [f"{target}[k] = {source}[k];"])
            self.finals.blocks.append(Block(_ids([boundary.ids]), (), before=lines))


def variables(space: Space) -> list[str]:
    """The variables of the loops over a space, outermost first: the innermost is `unit`."""
    outer = len(space) - 1
    return [*(f"group{n + 1}" if outer > 1 else "group" for n in range(outer)), "unit"][: len(space)]


def flat(axes: Sequence[tuple[str, str]]) -> str:
    """An element of an array of several axes by its indices, each with the length of its axis: (n * D + d) * J + j."""
    text = "0" if not axes else axes[0][0]
    for variable, length in axes[1:]:
        text = f"{f'({text})' if ' ' in text else text} * {f'({length})' if ' ' in length else length} + {variable}"
    return text


def _ids(groups: Iterable[Iterable[str]]) -> str:
    return ", ".join(dict.fromkeys(i for group in groups for i in group))


def _comment(equation: Equation) -> str:
    return f" /* {', '.join(equation.ids)} */"


def _loop(length: str, lines: list[str]) -> list[str]:
    """A loop over k; of one statement, on one line."""
    head = f"for (size_t k = 0; k < {length}; ++k)"
    return [f"{head} {lines[0]}"] if len(lines) == 1 else [f"{head} {{", *(f"    {line}" for line in lines), "}"]
