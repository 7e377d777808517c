"""The rule `share_products`: what several equations of a step need is computed once.

    d_h*o in two equations         ->   one of them, or a tensor of its own, holds it
    d_y*g beside Sum_n -d_y*g      ->   both read one value: what is taken off by a mean is what was added to it
    a*(1 - s**2) beside a*s        ->   fma(-(a*s), s, a)

SymPy's cse cannot do this work: it does not look inside of products for pairs, and its order depends on names.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from functools import reduce
from itertools import combinations
from typing import Any

import sympy as sp
from sympy.tensor.indexed import Indexed

from derive import ir
from derive.ir import Equation, Origin, Program, Tensor, span, t
from derive.ir.functions import fma
from derive.passes.normalize import is_constant
from derive.passes.simplify.lifetimes import lifetime
from derive.passes.simplify.monomials import Monomial, factored, square_root_of_complement
from derive.passes.simplify.scope import adjoint_ids, free_ids


def share_products(program: Program) -> Program:
    """Compute once each product that several pointwise equations of a step need."""
    return _Sharing(program).run()


class _Sharing:
    def __init__(self, program: Program) -> None:
        self.program, self.tensors = program, dict(program.tensors)
        new = adjoint_ids(program)
        self.sites: dict[str, tuple[Equation, list[Monomial]]] = {}
        self.spaces: dict[tuple[Any, ...], list[Monomial]] = {}
        self.made: list[Equation] = []
        self.rows: dict[str, sp.Expr] = {}  # right-hand sides of row sums, by ID
        for equation in program.equations:
            if equation.id not in new or not equation.lhs.has(t):
                continue
            if not equation.rhs.has(sp.Sum, span):
                products = [Monomial(a) for a in ir.terms(factored(equation.rhs))]
            else:
                products = [Monomial(a) for a in ir.terms(equation.rhs) if not a.has(sp.Sum, span)]
            self.sites[equation.id] = (equation, products)
            target = self.tensors[equation.target]
            self.spaces.setdefault((target.dims, equation.free), []).extend(products)
        self.steps = reduce(ir.hull, [e.when for e in program.equations if e.when is not None], ir.STEPS)

    def run(self) -> Program:
        for (dims, free), products in self.spaces.items():
            indices = tuple(s for s in free if s != t)
            while (pair := self._best_pair(products)) is not None:
                self._share(pair, products, dims, indices)
            self._adopt()
            self._differences_of_squares(products, dims, indices)
            self._share_sums(products, dims, indices)
        for equation, _ in self.sites.values():
            if equation.rhs.has(sp.Sum):
                self.rows[equation.id] = sp.Add(*(self._row_sum(term) for term in ir.terms(equation.rhs)))
        return self._rebuild()

    @staticmethod
    def _best_pair(products: list[Monomial]) -> Counter[sp.Expr] | None:
        """The pair of factors that most products contain; ties go to the first in canonical order."""
        seen: Counter[tuple[sp.Expr, sp.Expr]] = Counter()
        for product in products:
            factors = ir.ordered(f for f in product.factors if not is_constant(f))
            for pair in combinations(factors, 2):
                seen[pair] += pair[0].has(t) or pair[1].has(t)
        best = [pair for pair, times in seen.items() if times >= 2]
        if not best:
            return None
        chosen = min(best, key=lambda pair: (-seen[pair], *(sp.default_sort_key(f) for f in pair)))
        return Counter(chosen)

    def _share(
        self,
        factors: Counter[sp.Expr],
        products: list[Monomial],
        dims: tuple[sp.Symbol, ...],
        indices: tuple[sp.Symbol, ...],
    ) -> sp.Expr:
        shared = self._tensor(sp.Mul(*factors.elements()), dims, indices)
        for product in products:
            if product.has(factors):
                product.take(factors, shared)
        return shared

    def _adopt(self) -> None:
        """A shared product that is the whole right-hand side of an adjoint needs no name of its own."""
        for equation, products in self.sites.values():
            if len(products) != 1 or products[0].coefficient != 1 or equation.rhs.has(sp.Sum, span):
                continue
            shared = products[0].expr()
            made = next((m for m in self.made if m.lhs == shared), None)
            if made is None or self.tensors[equation.target].time != self.tensors[made.target].time:
                continue
            self.made.remove(made)
            del self.tensors[made.target]
            for _, others in self.sites.values():
                for product in others:
                    if shared in product.factors:
                        product.factors = Counter(
                            {equation.lhs if f == shared else f: p for f, p in product.factors.items()}
                        )
            self.made = [replace(m, rhs=m.rhs.xreplace({shared: equation.lhs})) for m in self.made]
            products[:] = [Monomial(made.rhs)]

    def _differences_of_squares(
        self, products: list[Monomial], dims: tuple[sp.Symbol, ...], indices: tuple[sp.Symbol, ...]
    ) -> None:
        """a*(1 - s^2) where a*s is needed as well: fma(-(a*s), s, a) saves a multiplication."""
        for product in products:
            for factor in ir.ordered(product.factors):
                s = square_root_of_complement(factor)
                rest = product.factors - Counter([factor])
                if s is None or not s.has(t) or product.coefficient != 1 or sum(rest.values()) != 1:
                    continue
                (a,) = rest
                pair = Counter([a, s])
                if any(other.has(pair) for other in products if other is not product):
                    shared = self._share(pair, [x for x in products if x is not product], dims, indices)
                    product.factors = Counter([fma(-shared, s, a)])
                    break

    def _share_sums(
        self, products: list[Monomial], dims: tuple[sp.Symbol, ...], indices: tuple[sp.Symbol, ...]
    ) -> None:
        """A difference such as (s - mu) that stands in several products is formed once."""
        seen: Counter[sp.Expr] = Counter()
        for product in products:
            for factor in product.factors:
                if isinstance(factor, sp.Add) and factor.has(t):
                    seen[factor] += 1
        for factor in ir.ordered(f for f, times in seen.items() if times >= 2):
            shared = self._tensor(factor, dims, indices)
            for product in products:
                if factor in product.factors:
                    product.take(Counter({factor: product.factors[factor]}), shared ** product.factors[factor])

    def _row_sum(self, term: sp.Expr) -> sp.Expr:
        """A sum over the units of a row whose terms read the products that stand in pointwise equations as well.

        A mean that is taken off again then cancels what it has to, digit by digit: with one unit, all of it.
        """
        if not isinstance(term, sp.Sum) or len(term.limits) != 1 or term.limits[0][0] == t or term.has(span):
            return term
        symbol, _, dim = term.limits[0]
        body = [self._read_by_row(part, symbol, dim) for part in ir.terms(term.function)]
        return sp.Sum(sp.Add(*body), *term.limits)

    def _read_by_row(self, part: sp.Expr, symbol: sp.Symbol, dim: sp.Symbol) -> sp.Expr:
        wanted = Monomial(part)
        if sum(not is_constant(f) for f in wanted.factors) < 3:  # two are multiplied as soon as one is loaded
            return part
        for (dims, free), products in self.spaces.items():
            indices = tuple(s for s in free if s != t)
            if dims != (dim,) or len(indices) != 1:
                continue
            own = Counter({f.xreplace({symbol: indices[0]}): p for f, p in wanted.factors.items()})
            twins = [product for product in products if product.factors == own]
            if twins:
                constant = Counter({f: p for f, p in own.items() if is_constant(f)})
                shared = self._share(own - constant, twins, dims, indices)
                outside = sp.Mul(*(f**p for f, p in constant.items()))
                return wanted.coefficient * outside * shared.xreplace({indices[0]: symbol})
        return part

    def _tensor(self, rhs: sp.Expr, dims: tuple[sp.Symbol, ...], indices: tuple[sp.Symbol, ...]) -> sp.Expr:
        names = [ir.name_of(a) for a in ir.ordered(rhs.atoms(Indexed))]
        if not rhs.has(*indices):
            dims, indices = (), ()
        name = ir.unused_name("_".join(names[:3]), self.tensors)
        # c[t-1] lives at T+1 as well, where no equation reads the product.
        life = ir.intersect(lifetime(rhs, self.tensors), self.steps)
        latex = "".join(self.tensors[n].latex or n for n in names[:3])
        tensor = Tensor(name, dims, indices, "shared", life, latex=rf"({latex})")
        self.tensors[name] = tensor
        self.made.append(Equation(tensor.at(), rhs, "P", life, Origin.SHARED_PRODUCT))
        return tensor.at()

    def _rebuild(self) -> Program:
        equations = []
        for equation in self.program.equations:
            if equation.id in self.sites:
                products = self.sites[equation.id][1]
                rhs = self.rows.get(equation.id, equation.rhs)
                others = [a for a in ir.terms(rhs) if a.has(sp.Sum, span)]
                equation = replace(equation, rhs=sp.Add(*(p.expr() for p in products), *others))
            equations.append(equation)
        equations = _in_order(self.program.with_equations(equations, self.tensors), equations)
        for made in self.made:
            reads = ir.names_in(made.rhs)
            at = max((p for p, e in enumerate(equations) if e.target in reads), default=len(equations) - 1)
            equations.insert(at + 1, made)
        ids = free_ids("P", self.program)
        equations = [replace(e, id=next(ids)) if e.id == "P" else e for e in equations]
        return self.program.with_equations(equations, self.tensors)


def _in_order(program: Program, equations: list[Equation]) -> list[Equation]:
    """Adjoints that became values of others (adopted products) stand before their readers again."""
    result = list(equations)
    for _ in equations:
        place = {e.target: p for p, e in enumerate(result) if e.lhs.has(t)}
        late = next(
            (
                (p, q)
                for p, e in enumerate(result)
                for a in ir.ordered(e.rhs.atoms(Indexed))
                if (q := place.get(ir.name_of(a), -1)) > p
                and e.lhs.has(t)
                and a.has(t)
                and ir.offset(ir.time_of(a, program.tensors)) == 0
            ),
            None,
        )
        if late is None:
            break
        result.insert(late[0], result.pop(late[1]))
    return result
