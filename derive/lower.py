"""From equations to the shapes that a machine runs: products of matrices, pointwise stages, reductions.

    z_i[t,row,n] = Sum_j W_i[n,j]*x[t,row,j] + Sum_k U_i[n,k]*h[t-1,row,k] + b_i[n]

becomes two products, W_x_i and U_h_i, and a pointwise equation z_i = W_x_i + U_h_i + b_i.  A product is

    parallel    its operand is known for all t: one large GEMM before (or after) the loop over time
    recurrent   its operand is carried by the loop: one GEMM a step, the pointwise stage fused to its tiles
    reducing    it sums over time and rows, as dW does: one large GEMM after the loop, K = steps * rows

A sum over the units of a step (layer norm) splits the step into stages: what reads the sum belongs to a later one.
The result, a `Lowered`, is still mathematics: no layout, no tile, no C.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import cast

import sympy as sp
from sympy.tensor.indexed import Indexed

from derive import ir
from derive.errors import DeriveError
from derive.ir import ROW, B, Equation, Program, T, Tensor, span, t


@dataclass(frozen=True)
class Pair:
    """One summand of a product: weight times operand, summed over `index`; `known`: see fuse.py."""

    weight: sp.Expr
    operand: sp.Expr
    index: sp.Symbol
    known: bool = False


@dataclass(frozen=True)
class Product:
    """target[t,row,n] = sum of pairs (parallel, recurrent); target[n,j] += left[t,row,n]*right[t,row,j] (reducing)."""

    target: str
    kind: str
    pairs: tuple[Pair, ...]
    ids: tuple[str, ...]


@dataclass
class Stage:
    """Equations over the units of `dim`, evaluated together; a step of the loop is a list of stages.

    In order: `scalars` (one number a row), `products` (recurrent, into the tile), `pointwise`, then `sums` over the
    units of the row (read by later stages) and `totals` over time and rows (parameter gradients).
    """

    dim: sp.Symbol | None
    scalars: list[Equation] = field(default_factory=list)
    products: list[Product] = field(default_factory=list)
    pointwise: list[Equation] = field(default_factory=list)
    sums: list[Equation] = field(default_factory=list)
    totals: list[Equation] = field(default_factory=list)

    @property
    def equations(self) -> list[Equation]:
        return [*self.scalars, *self.pointwise, *self.sums, *self.totals]


@dataclass
class Phase:
    """Products for all steps at once, and the stages that follow; the next phase multiplies with what these made."""

    products: list[Product] = field(default_factory=list)
    stages: list[Stage] = field(default_factory=list)


@dataclass
class Lowered:
    """One kernel: what happens before, in and after the loop over time, and at its far edge (t = 0 of an adjoint)."""

    program: Program
    direction: int
    before: list[Phase]
    loop: list[Stage]
    after: list[Phase]
    edge: list[Stage]
    boundaries: list[Equation]

    def dump(self) -> str:
        """The kernel as a person reads it."""
        lines = [
            f"kernel {self.program.name}, time {'+' if self.direction > 0 else '-' if self.direction < 0 else '='}"
        ]
        for title, products, stages in (
            *(("before", p.products, p.stages) for p in self.before),
            ("loop", [], self.loop),
            ("edge", [], self.edge),
            *(("after", p.products, p.stages) for p in self.after),
        ):
            lines += [f"  {title}:"] if products or stages else []
            lines += [f"    {_product_text(p)}" for p in products]
            for number, stage in enumerate(stages, 1):
                lines += [f"    stage {number} over {stage.dim}"]
                lines += [f"      {_product_text(p)}" for p in stage.products]
                lines += [
                    f"      {kind:<9} {e}"
                    for kind in ("scalars", "pointwise", "sums", "totals")
                    for e in getattr(stage, kind)
                ]
        return "\n".join([*lines, *(f"  boundary {e}" for e in self.boundaries)])


def _product_text(product: Product) -> str:
    pairs = " + ".join(f"{p.weight}*{p.operand}" for p in product.pairs)
    return f"{product.kind} {product.target} = {pairs}   [{', '.join(product.ids)}]"


def lower(program: Program) -> Lowered:
    """Batched program in normal form -> kernel.  Raises DeriveError, with the equation, for what has no lowering."""
    return _Lowering(_split(program)).run()


# -- splitting sums off ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Split:
    program: Program
    products: dict[str, Product]
    sums: frozenset[str]


def _split(program: Program) -> _Split:
    """Give every sum of every equation a tensor of its own; pairs of one timing share a product."""
    tensors = dict(program.tensors)
    products: dict[str, Product] = {}
    sums: set[str] = set()
    equations: list[Equation] = []
    for equation in program.equations:
        splitter = _Splitter(program, equation, tensors, products, sums)
        rhs = splitter.visit(equation.rhs) if equation.rhs.has(sp.Sum) else equation.rhs
        made = splitter.made[-1] if splitter.made else None
        if made is not None and made.note == "product" and rhs == made.lhs and equation.when == made.when:
            # The equation is the product: no second name for it.
            product = products.pop(made.target)
            del tensors[made.target]
            products[equation.target] = replace(product, target=equation.target)
            equations.append(replace(made, lhs=equation.lhs, merged=equation.merged))
            continue
        equations += splitter.made
        if equation.target not in products:
            equations.append(replace(equation, rhs=rhs))
    return _Split(program.with_equations(equations, tensors), products, frozenset(sums))


class _Splitter:
    def __init__(
        self,
        program: Program,
        equation: Equation,
        tensors: dict[str, Tensor],
        products: dict[str, Product],
        sums: set[str],
    ) -> None:
        self.program, self.equation, self.tensors, self.products, self.sums = program, equation, tensors, products, sums
        self.made: list[Equation] = []

    def visit(self, expr: sp.Expr) -> sp.Expr:
        """Replace the sums of an expression: those of one Add together, so that they share a tensor."""
        if isinstance(expr, sp.Sum):
            return self._replace([expr])
        if isinstance(expr, sp.Add):
            totals = [a for a in expr.args if _as_sum(a) is not None]
            rest = [a if not a.has(sp.Sum) else self.visit(a) for a in expr.args if a not in totals]
            return sp.Add(self._replace([_as_sum(a) for a in totals]), *rest) if totals else sp.Add(*rest)
        if _as_sum(expr) is not None:
            return self._replace([_as_sum(expr)])
        if not expr.has(sp.Sum):
            return expr
        return expr.func(*(self.visit(a) for a in expr.args))

    def _replace(self, totals: list[sp.Expr]) -> sp.Expr:
        lhs = ir.indices_of(self.equation.lhs, self.tensors)
        over_time = [s for s in totals if any(symbol in (t, ROW) for symbol, *_ in s.limits)]
        if over_time:
            return self._over_time(totals)
        pairs = [(s, pair) for s in totals if (pair := self._pair(s)) is not None]
        others = [s for s in totals if self._pair(s) is None]
        result: sp.Expr = sp.Integer(0)
        groups: dict[object, list[Pair]] = {}
        for _, pair in pairs:
            groups.setdefault(self._timing(pair.operand), []).append(pair)
        for group in groups.values():
            result += self._product(group)
        by_range: dict[object, list[sp.Expr]] = {}
        for s in others:
            by_range.setdefault(s.limits, []).append(s.function)
        for limits, bodies in by_range.items():
            result += self._sum(sp.Sum(sp.Add(*bodies), *cast(tuple[sp.Tuple, ...], limits)), lhs)
        return result

    def _pair(self, total: sp.Expr) -> Pair | None:
        """Weight and operand, where the sum is a matrix with a vector."""
        if len(total.limits) != 1:
            return None
        symbol = total.limits[0][0]
        factors = list(sp.Mul.make_args(total.function))
        if len(factors) != 2 or not all(isinstance(f, Indexed) for f in factors):
            return None
        weights = [
            f for f in factors if not f.has(ROW) and len(ir.indices_of(f, self.tensors)) == 2 and symbol in f.indices
        ]
        if len(weights) != 1:
            return None
        operand = next(f for f in factors if f is not weights[0])
        return Pair(weights[0], operand, symbol)

    def _timing(self, operand: sp.Expr) -> object:
        """Operands that are known at once may share a product: those of one tensor family and one offset."""
        name = ir.name_of(operand)
        return (ir.offset(ir.time_of(operand, self.tensors)), name in self.program.defined)

    def _product(self, pairs: list[Pair]) -> sp.Expr:
        target = self.tensors[self.equation.target]
        first = pairs[0]
        weight, operand = self.tensors[ir.name_of(first.weight)], self.tensors[ir.name_of(first.operand)]
        name = f"{weight.family or weight.name}_{operand.family or operand.name}"
        member = target.member or (weight.member if len(pairs) == 1 else "")
        name = _unused(f"{name}_{member}" if member else name, self.tensors)
        ordered = tuple(sorted(pairs, key=lambda p: list(self.tensors).index(ir.name_of(p.weight))))
        life = self.equation.when
        for pair in pairs:
            by, own = ir.offset(ir.time_of(pair.operand, self.tensors)), self.tensors[ir.name_of(pair.operand)].time
            if by is not None and own is not None and life is not None:
                life = ir.meet(life, (own[0] - by, own[1] - by))
        tensor = replace(
            target,
            name=name,
            role="product",
            family=f"{weight.family}_{operand.name}" if member else "",
            member=member,
            latex="",
            primal="",
            time=life,
        )
        self.tensors[name] = tensor
        lhs = tensor.at()
        self.made.append(
            Equation(
                lhs,
                sp.Add(*(sp.Sum(p.weight * p.operand, (p.index, 1, T)) for p in ordered)),
                self.equation.id,
                life,
                "product",
            )
        )
        self.products[name] = Product(name, "", ordered, self.equation.ids)
        return lhs

    def _sum(self, total: sp.Expr, lhs: tuple[sp.Expr, ...]) -> sp.Expr:
        """A sum over the units of a row."""
        target = self.tensors[self.equation.target]
        if lhs != (ROW,):
            raise DeriveError(
                f"{self.program.name}, {self.equation.id}: {ir.text(total)} is neither a matrix times a vector nor "
                f"a sum over the units of one row; write the matrix as a parameter with two indices, or split it"
            )
        if self.equation.rhs == total:
            self.sums.add(target.name)
            return total
        name = _unused(f"sum_{target.name}", self.tensors)
        self.tensors[name] = replace(target, name=name, role="sum", latex="", primal="")
        self.sums.add(name)
        self.made.append(Equation(self.tensors[name].at(), total, self.equation.id, self.equation.when, "sum"))
        return self.tensors[name].at()

    def _over_time(self, totals: list[sp.Expr]) -> sp.Expr:
        """Parameter gradients and the loss: sums over time and rows."""
        target = self.tensors[self.equation.target]
        if self.equation.lhs.has(t) or len(totals) != len(ir.terms(self.equation.rhs)):
            raise DeriveError(f"{self.program.name}, {self.equation.id}: a sum over time stands beside other terms")
        if len(target.dims) == 2:
            pairs = []
            for total in totals:
                factors = list(sp.Mul.make_args(total.function))
                left = [f for f in factors if target.indices[0] in getattr(f, "indices", ())]
                right = [f for f in factors if target.indices[1] in getattr(f, "indices", ())]
                if len(factors) != 2 or len(left) != 1 or len(right) != 1:
                    raise DeriveError(
                        f"{self.program.name}, {self.equation.id}: {ir.text(total)} is no outer product of two "
                        f"sequences"
                    )
                pairs.append(Pair(left[0], right[0], t))
            self.products[target.name] = Product(target.name, "reducing", tuple(pairs), self.equation.ids)
            self.made.append(replace(self.equation, rhs=sp.Add(*totals), note="product"))
        return sp.Add(*totals)


def _as_sum(term: sp.Expr) -> sp.Expr | None:
    """The term as one Sum, with a constant factor moved inside; None if it is none."""
    if isinstance(term, sp.Sum):
        return term
    if isinstance(term, sp.Mul):
        totals = [a for a in term.args if isinstance(a, sp.Sum)]
        rest = [a for a in term.args if not isinstance(a, sp.Sum)]
        if len(totals) == 1 and not any(a.has(sp.Sum) for a in rest):
            return sp.Sum(sp.Mul(totals[0].function, *rest), *totals[0].limits)
    return None


def _unused(name: str, tensors: dict[str, Tensor]) -> str:
    while name in tensors:
        name += "_"
    return name


# -- phases and stages -------------------------------------------------------------------------------------------------


class _Lowering:
    def __init__(self, split: _Split) -> None:
        self.split, self.program = split, split.program
        self.tensors = split.program.tensors
        self.products = dict(split.products)

    def run(self) -> Lowered:
        program = self.program
        for equation in program.equations:
            if program.tensors[equation.target].time is None and program.tensors[equation.target].role == "value":
                raise DeriveError(
                    f"{program.name}, {equation.id}: {equation.lhs} = {ir.text(equation.rhs)} depends on parameters "
                    f"only; let it have a time index, in an equation of its own: {equation.target}[t, ...] = ..."
                )
        groups = ir.order(program)
        directions = {g.direction for g in groups} - {0}
        if len(directions) > 1:
            raise DeriveError(
                f"{program.name}: some equations run forwards in time and some backwards; lower them apart"
            )
        direction = directions.pop() if directions else 0
        names = [n for g in groups for n in (ir.in_step(program, g.tensors) if g.direction else g.tensors)]
        cyclic = {n for g in groups if g.direction for n in g.tensors} | self._read_elsewhere()
        boundaries = [e for e in program.equations if self._is_boundary(e)]
        body = [n for n in names if not all(self._is_boundary(e) for e in program.defined[n])]
        where = self._place(body, cyclic)
        chosen = {part: [n for n in body if where[n] == part] for part in ("before", "loop", "after")}
        self._kinds(where)
        before, after = self._phases(chosen["before"]), self._phases(chosen["after"])
        loop = self._stages(chosen["loop"], edge=False)
        return Lowered(program, direction, before, loop, after, self._edge(chosen["loop"]), boundaries)

    def _equation(self, name: str) -> Equation:
        """The equation of a tensor inside of the time range."""
        found = [e for e in self.program.defined[name] if not self._is_boundary(e)]
        if len(found) != 1:
            raise DeriveError(f"{self.program.name}: {name} has {len(found)} equations for t = 1..T")
        return found[0]

    def _is_boundary(self, equation: Equation) -> bool:
        """h[0] = h_0 and h_T = h[T]: one access on each side, at a fixed time."""
        sides = (equation.lhs, equation.rhs)
        if not all(isinstance(side, Indexed) for side in sides):
            return False
        times = [ir.time_of(side, self.tensors) for side in sides]
        return any(when is not None and not when.has(t) for when in times)

    def _read_elsewhere(self) -> set[str]:
        """Tensors that are read at another time than their own."""
        found = set()
        for equation in self.program.equations:
            if self._is_boundary(equation):
                continue
            for access in ir.accesses(equation.rhs, self.tensors):
                by = ir.offset(ir.time_of(access, self.tensors))
                if by and ir.name_of(access) in self.program.defined and equation.lhs.has(t):
                    found.add(ir.name_of(access))
        return found

    def _place(self, names: list[str], cyclic: set[str]) -> dict[str, str]:
        """before: knows nothing of the loop.  loop: in the cycle, or pointwise on it.  after: large products."""
        where: dict[str, str] = {}
        for name in names:
            reads = {where.get(ir.name_of(a), "before") for a in ir.accesses(self._equation(name).rhs, self.tensors)}
            if name in cyclic:
                where[name] = "loop"
            elif "after" in reads or ("loop" in reads and name in self.products):
                where[name] = "after"
            elif "loop" in reads:
                where[name] = "loop"
            else:
                where[name] = "after" if name in self.products and self.tensors[name].time is None else "before"
        # A total over what is known before the loop is no reason for a phase of its own, but it may stay there.
        return where

    def _kinds(self, where: dict[str, str]) -> None:
        for name, product in self.products.items():
            if product.kind != "reducing":
                kind = "recurrent" if where[name] == "loop" else "parallel"
                self.products[name] = replace(product, kind=kind)

    def _phases(self, names: list[str]) -> list[Phase]:
        """A product belongs to the phase after that in which its operand is made; reducing products wait for all."""
        number: dict[str, int] = {}
        for name in names:
            later = 1 if name in self.products and self.products[name].kind != "reducing" else 0
            reads = [ir.name_of(a) for a in ir.accesses(self._equation(name).rhs, self.tensors)]
            number[name] = max((number[r] + later for r in reads if r in number), default=0)
        count = max(number.values(), default=-1) + 1
        return [Phase(*self._phase([n for n in names if number[n] == k])) for k in range(count)]

    def _phase(self, names: list[str]) -> tuple[list[Product], list[Stage]]:
        order = list(self.tensors)
        products = [self.products[n] for n in names if n in self.products]
        products.sort(
            key=lambda p: (
                p.kind,
                order.index(ir.name_of(p.pairs[0].weight if p.kind != "reducing" else self.tensors[p.target].at())),
            )
        )
        return products, self._stages([n for n in names if n not in self.products], edge=False)

    def _stages(self, names: list[str], edge: bool) -> list[Stage]:
        level: dict[str, int] = {}
        equations = {n: self._alive(self._equation(n)) if edge else self._equation(n) for n in names}
        for name in names:
            level[name] = self._level(name, equations[name], level)
        stages: list[Stage] = []
        for number in range(max(level.values(), default=-1) + 1):
            here = [n for n in names if level[n] == number]
            dims = list(dict.fromkeys(d for n in here if (d := self._dim(n)) is not None))
            made = {d: Stage(d) for d in dims or [None]}
            for name in here:
                stage = made.get(self._dim(name)) or next(iter(made.values()))
                self._put(stage, name, equations[name])
            stages += made.values()
        return stages

    def _put(self, stage: Stage, name: str, equation: Equation) -> None:
        if name in self.products:
            stage.products.append(self.products[name])
        elif self.tensors[name].time is None:
            stage.totals.append(equation)
        elif name in self.split.sums:
            stage.sums.append(equation)
        elif self._is_scalar(name):
            stage.scalars.append(equation)
        else:
            stage.pointwise.append(equation)

    def _is_scalar(self, name: str) -> bool:
        return all(d == B for d in self.tensors[name].dims)

    def _dim(self, name: str) -> sp.Symbol | None:
        """The dimension over whose units an equation runs; of a sum or a total, that of its integrand."""
        dims = [d for d in self.tensors[name].dims if d != B]
        if dims:
            return dims[0]
        if self.tensors[name].time is not None and name not in self.split.sums:
            return None
        limits = [
            hi
            for s in ir.ordered(self._equation(name).rhs.atoms(sp.Sum))
            for symbol, _, hi in s.limits
            if symbol not in (t, ROW)
        ]
        return limits[0] if limits else None

    def _level(self, name: str, equation: Equation, level: dict[str, int]) -> int:
        """The stage that computes a tensor.

        A sum is ready one stage after that in which its terms are added up; a product needs its whole operand row.
        """
        found = 0
        for access in ir.accesses(equation.rhs, self.tensors):
            read = ir.name_of(access)
            if read not in level or (
                self.tensors[name].time is not None and ir.offset(ir.time_of(access, self.tensors))
            ):
                continue
            later = read in self.split.sums or (name in self.products) or self._dim(read) not in (self._dim(name), None)
            found = max(found, level[read] + (1 if later else 0))
        return found

    # -- the edge ------------------------------------------------------------------------------------------------------

    def _edge(self, names: list[str]) -> list[Stage]:
        """The step t = 0 of an adjoint: what lives there, with the terms that are not zero there."""
        alive = []
        for name in names:
            tensor = self.tensors[name]
            if tensor.time is None or tensor.time[0] != 0 or not self._equation(name).when:
                continue
            when = self._equation(name).when
            if when is not None and when[0] == 0:
                alive.append(name)
        needed = {
            ir.name_of(e.rhs)
            for e in self.program.equations
            if self._is_boundary(e) and ir.time_of(e.rhs, self.tensors) == 0
        }
        for name in reversed(alive):
            if name in needed:
                reads = ir.accesses(self._alive(self._equation(name)).rhs, self.tensors)
                needed |= {ir.name_of(a) for a in reads if not ir.offset(ir.time_of(a, self.tensors))}
        # Products that an edge equation reads are defined on its own span.
        chosen = [n for n in names if n in needed and n in alive]
        return self._stages(chosen, edge=True)

    def _alive(self, equation: Equation) -> Equation:
        """The equation at t = 0, without the terms that read outside of a span there."""
        kept = [
            term
            for term in ir.terms(equation.rhs)
            if all(self._lives(a, 0) for a in ir.accesses(term, self.tensors))
            and all(f.args[1] == 0 for f in term.atoms(span))
        ]
        return replace(equation, rhs=sp.Add(*kept))

    def _lives(self, access: sp.Expr, when: int) -> bool:
        by = ir.offset(ir.time_of(access, self.tensors))
        life = self.tensors[ir.name_of(access)].time
        if by is None or life is None:
            return True
        at = when + by
        return bool(life[0] <= at) and not (life[1].is_Integer and life[1] < at)
