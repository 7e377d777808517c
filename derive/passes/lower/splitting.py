"""Sums get tensors of their own: products of a matrix with a vector, sums over the units of a row, totals over time."""

from __future__ import annotations

from dataclasses import dataclass, replace

import sympy as sp
from sympy.tensor.indexed import Indexed

from derive import ir
from derive.errors import DeriveError
from derive.ir import ROW, STEPS, B, Equation, Origin, Program, Tensor, span, t
from derive.passes.contraction import contraction, contraction_of
from derive.passes.lower.lowered import Pair, Product
from derive.passes.results import is_optional


@dataclass(frozen=True)
class Split:
    """A program whose sums stand in equations of their own: its products by target, and the targets of sums over units."""

    program: Program
    products: dict[str, Product]
    sums: frozenset[str]


def split_sums(program: Program) -> Split:
    """Give every sum of every equation a tensor of its own; pairs of one timing share a product."""
    tensors = dict(program.tensors)
    products: dict[str, Product] = {}
    sums: set[str] = set()
    equations: list[Equation] = []
    for equation in program.equations:
        splitter = _Splitter(program, equation, tensors, products, sums)
        rhs = splitter.visit(equation.rhs) if equation.rhs.has(sp.Sum) else equation.rhs
        if isinstance(rhs, ir.Largest):
            sums.add(equation.target)
        made = splitter.made[-1] if splitter.made else None
        if made is not None and made.origin is Origin.PRODUCT and rhs == made.lhs and equation.when == made.when:
            # The equation is the product: no second name for it.
            product = products.pop(made.target)
            del tensors[made.target]
            products[equation.target] = replace(product, target=equation.target)
            equations.append(replace(made, lhs=equation.lhs, merged=equation.merged))
            continue
        equations += splitter.made
        if made is None or made.target != equation.target:  # the gradient of a matrix is a product as it stands
            equations.append(replace(equation, rhs=rhs))
    return Split(program.with_equations(equations, tensors), products, frozenset(sums))


class _Splitter:
    """Splits the right-hand side of one equation; `made` are the equations that it had to invent."""

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
        over_time = [s for s in totals if any(symbol in (t, ROW) for symbol, *_ in s.limits)]
        if over_time:
            return self._over_time(totals)
        result: sp.Expr = sp.Integer(0)
        groups: dict[object, list[Pair]] = {}
        others = []
        for total in totals:
            bare, life = self._confined(total)
            number, body = bare.function.as_coeff_Mul()
            pair = self._pair(sp.Sum(body, *bare.limits))
            if pair is None:
                others.append(total)
            else:
                key = (*self._timing(pair.operand), pair.shape.batch, life, number)
                groups.setdefault(key, []).append(pair)
        for (*_, life, number), group in groups.items():  # type: ignore[misc]
            result += number * self._product(group, life)
        for total in self._together(others):
            result += self._sum(total)
        return result

    def _together(self, totals: list[sp.Sum]) -> list[sp.Sum]:
        """Sums over the same indices as one, where their values lie in one order in memory."""
        found: list[sp.Sum] = []
        for total in (sp.Sum(term, *s.limits) for s in totals for term in ir.terms(s.function)):
            for position, other in enumerate(found):
                if other.limits == total.limits and self._has_order(other.function + total.function):
                    found[position] = sp.Sum(other.function + total.function, *total.limits)
                    break
            else:
                found.append(total)
        return found

    def _has_order(self, body: sp.Expr) -> bool:
        try:
            ir.ordered_axes([self.equation.lhs, *ir.accesses(body, self.tensors)], self.tensors)
            return True
        except DeriveError:
            return False

    def _confined(self, total: sp.Expr) -> tuple[sp.Expr, ir.Span | None]:
        """A sum without the guards in it, and the range of time to which they confine it: that on which its product lives."""
        life = self.equation.when
        for guard in ir.ordered(total.function.atoms(span)):
            assert life is not None and guard.args[0] == t
            life = ir.intersect(life, (guard.args[1], guard.args[2]))
        return sp.Sum(ir.without_guards(total.function), *total.limits), life

    def _pair(self, total: sp.Expr) -> Pair | None:
        """Weight and operand, where the sum is a contraction whose result has the indices of the equation."""
        found = contraction(total, self.tensors)
        if found is None or not isinstance(found[1], Indexed):
            return None
        weight, operand = found
        read = ir.unit_indices(operand, self.tensors)
        shape = contraction_of(weight.indices, read, [symbol for symbol, *_ in total.limits])
        if shape is None or shape.result != ir.unit_indices(self.equation.lhs, self.tensors):
            return None
        return Pair(weight, operand, shape)

    def _timing(self, operand: sp.Expr) -> tuple[int | None, bool]:
        """Operands that are known at once may share a product: those of one tensor family and one offset."""
        name = ir.name_of(operand)
        return (ir.offset(ir.time_of(operand, self.tensors)), name in self.program.defined)

    def _product(self, pairs: list[Pair], life: ir.Span | None) -> sp.Expr:
        target = self.tensors[self.equation.target]
        first = pairs[0]
        weight, operand = self.tensors[ir.name_of(first.weight)], self.tensors[ir.name_of(first.operand)]
        name = f"{weight.family or weight.name}_{operand.family or operand.name}"
        member = target.member or (weight.member if len(pairs) == 1 else "")
        name = ir.unused_name(f"{name}_{member}" if member else name, self.tensors)
        ordered = tuple(sorted(pairs, key=lambda p: list(self.tensors).index(ir.name_of(p.weight))))
        for pair in pairs:
            by, own = ir.offset(ir.time_of(pair.operand, self.tensors)), self.tensors[ir.name_of(pair.operand)].time
            if by is not None and own is not None and life is not None:
                life = ir.intersect(life, (own[0] - by, own[1] - by))
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
                sp.Add(*(sp.Sum(p.weight * p.operand, *self._limits(p)) for p in ordered)),
                self.equation.id,
                life,
                Origin.PRODUCT,
            )
        )
        self.products[name] = Product(name, "", ordered, self.equation.ids)
        return lhs

    def _sum(self, total: sp.Expr) -> sp.Expr:
        """A sum over units of a row."""
        target = self.tensors[self.equation.target]
        # What a caller may leave out is no place to add something up.
        if self.equation.rhs == total and not is_optional(target.name, self.program):
            self.sums.add(target.name)
            return total
        name = ir.unused_name(f"sum_{target.name}", self.tensors)
        bare, life = self._confined(total)
        reach = ir.support(bare.function, self.tensors)
        life = ir.intersect(life, reach) if life is not None and reach is not None else life
        return self._made_sum(name, replace(target, name=name, role="sum", latex="", primal="", time=life), bare)

    def _made_sum(self, name: str, tensor: Tensor, total: sp.Expr) -> sp.Expr:
        self.tensors[name] = tensor
        self.sums.add(name)
        self.made.append(Equation(tensor.at(), total, self.equation.id, tensor.time, Origin.SUM))
        return tensor.at()

    def _over_time(self, totals: list[sp.Expr]) -> sp.Expr:
        """Parameter gradients and the loss: sums over time and rows."""
        target = self.tensors[self.equation.target]
        if self.equation.lhs.has(t):
            raise DeriveError(
                f"{self.program.name}, {self.equation.id}: a sum over time stands in an equation of a step"
            )
        alone = len(totals) == len(ir.terms(self.equation.rhs))
        if not alone:  # what is added to it is there when the sum is whole
            name = ir.unused_name(f"total_{target.name}", self.tensors)
            target = self.tensors[name] = replace(target, name=name, role="sum", latex="", family="", member="")
        total = sp.Add(*totals)
        if len(target.dims) > 1 and (pairs := self._outer_products(totals)) is not None:
            self.products[target.name] = Product(target.name, "reducing", tuple(pairs), self.equation.ids)
            made = replace(self.equation, lhs=target.at(), rhs=total, origin=Origin.PRODUCT, whole="")
            self.made.append(made)
            return total if alone else target.at()
        rows = sp.Add(*(self._by_rows(total) for total in totals))
        if alone:
            return rows
        self.made.append(replace(self.equation, lhs=target.at(), rhs=rows, origin=Origin.SUM, whole=""))
        return target.at()

    def _limits(self, pair: Pair) -> list[tuple[sp.Expr, int, sp.Expr]]:
        dims = ir.dims_of(pair.weight, self.tensors)
        return [(symbol, 1, dims[symbol]) for symbol in pair.shape.inner]

    def _outer_products(self, totals: list[sp.Expr]) -> list[Pair] | None:
        """The pairs of a weight gradient; None where a term is not the product of two values, side by side in memory."""
        pairs: list[Pair] = []
        for total in totals:
            # Two values that are one product have one adjoint: its outer product counts twice.
            number, body = total.function.as_coeff_Mul()
            factors = list(sp.Mul.make_args(body))
            if len(factors) != 2 or not (number.is_Integer and number > 0) or total.function.has(span):
                return None
            pair = self._outer_product(*factors) or self._outer_product(*reversed(factors))
            if pair is None or {symbol for symbol, *_ in total.limits} != {t, ROW}:
                return None
            pairs += [pair] * int(number)
        return pairs if len({p.shape.batch for p in pairs}) == 1 else None

    def _outer_product(self, left: sp.Expr, right: sp.Expr) -> Pair | None:
        target = ir.indices_of(self.equation.lhs, self.tensors)
        if not all(isinstance(f, Indexed) and self.tensors[ir.name_of(f)].time is not None for f in (left, right)):
            return None
        rows, columns = (ir.unit_indices(f, self.tensors) for f in (left, right))
        shape = contraction_of(target, columns, [i for i in columns if i not in rows])
        if shape is None or shape.transposed or shape.result != rows:
            return None
        return Pair(left, right, shape)

    def _by_rows(self, total: sp.Expr) -> sp.Expr:
        """A sum over time and rows of one value of a row: what it sums over units besides becomes a value of its own."""
        inner = [limit for limit in total.limits if limit[0] not in (t, ROW)]
        outer = [limit for limit in total.limits if limit not in inner]
        if not inner:
            return total
        target = self.tensors[self.equation.target]
        name = ir.unused_name(f"sum_{target.name}", self.tensors)
        tensor = replace(
            target,
            name=name,
            role="sum",
            dims=(B, *target.dims),
            indices=(ROW, *target.indices),
            time=STEPS,
            batched=True,
            latex="",
            primal="",
            family="",
            member="",
        )
        return sp.Sum(self._made_sum(name, tensor, sp.Sum(total.function, *inner)), *outer)


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
