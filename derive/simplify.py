"""Fewer operations, and better conditioned ones: the passes between `vjp` and the kernels.

    save_values     tanh(c[t,n]) in a derivative -> the saved tanh_c[t,n]; no transcendental is left in an adjoint
    make_carries    d_c[t+1]*f[t+1] -> carry_c[t+1] with carry_c[t] = d_c[t]*f[t]: one value crosses the step
    fold_constants  the adjoint of L is 1: constants disappear into their readers
    inline          adjoints that are read once disappear into their reader (their IDs stay with it)
    share_products  d_h*o stands in two equations -> computed once; a*(1-s^2) beside a*s -> fma(-(a*s), s, a)
    fold_copies     d_p = seed_p: readers read the original

Products stay products: s*(1-s) is never expanded, for s - s^2 loses all accuracy where the gate saturates.  The one
difference that is formed, fma(-(a*s), s, a), errs by a rounding of a*s, which is what the rounding of s itself costs.
SymPy's cse cannot do this work: it does not look inside of products for pairs, and its order depends on names.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial, reduce
from itertools import combinations, permutations
from itertools import count as count_from
from typing import Any

import sympy as sp
from sympy.tensor.indexed import Indexed

from derive import ir
from derive.adjoint import accented
from derive.functions import fma
from derive.ir import Equation, Program, Tensor, span, t
from derive.normalize import is_constant, is_transcendental


@dataclass(frozen=True)
class Count:
    """Operations per unit and step of the pointwise adjoint equations."""

    stage: str
    multiplications: int
    additions: int
    divisions: int
    calls: int

    def __str__(self) -> str:
        return (
            f"{self.stage:<16} {self.multiplications:>4} multiplications {self.additions:>4} additions "
            f"{self.divisions:>3} divisions {self.calls:>3} calls"
        )


def simplify(program: Program) -> tuple[Program, list[Count]]:
    """All passes in order, and the operation counts before the first and after each."""
    counts = [count(program, "derived")]
    for rule in RULES:
        program = ir.verify(rule(program))
        counts.append(count(program, rule.__name__))
    return program, counts


def adjoints(program: Program) -> list[Equation]:
    """The equations that the last differentiation added."""
    first = len(program.primal.equations) if program.primal is not None else 0
    forward = {e.id for e in program.primal.equations} if program.primal is not None else set()
    return [e for e in program.equations[first:] if e.id not in forward and e.note != "saved derivative"]


# -- counting ---------------------------------------------------------------------------------------------------------


def count(program: Program, stage: str) -> Count:
    """Operations of the adjoint equations that are pointwise in time and units; boundary terms not counted."""
    total: Counter[str] = Counter()
    for equation in adjoints(program):
        if equation.lhs.has(t) and not equation.rhs.has(sp.Sum):
            _count(sp.Add(*(a for a in ir.terms(equation.rhs) if not a.has(span))), total)
    return Count(stage, total["mul"], total["add"], total["div"], total["call"])


def operations(expr: sp.Expr) -> Counter[str]:
    """Operations of one evaluation of an expression without sums: "mul", "add", "div" and "call"."""
    total: Counter[str] = Counter()
    _count(expr, total)
    return total


def _count(expr: sp.Expr, total: Counter[str]) -> None:
    if isinstance(expr, Indexed) or not expr.args:
        return
    if isinstance(expr, fma):
        total["mul"] += 1
        total["add"] += 1
        expr = expr.func(*(-a if a.could_extract_minus_sign() else a for a in expr.args))
    elif isinstance(expr, sp.Add):
        total["add"] += len(expr.args) - 1
    elif isinstance(expr, sp.Mul):
        factors = [a for a in expr.args if not is_constant(a)]
        scale = sp.Mul(*(a for a in expr.args if is_constant(a)))
        factors += [] if scale in (1, -1) else [sp.Symbol("scale")]
        below = [a for a in factors if isinstance(a, sp.Pow) and a.exp.is_negative]
        total["div"] += len(below)
        total["mul"] += max(len(factors) - len(below) - 1, 0)
    elif isinstance(expr, sp.Pow):
        power = abs(expr.exp)
        total["mul"] += int(power) - 1 if power.is_Integer else 0
        total["call"] += 0 if power.is_Integer else 1
        _count(expr.base, total)
        return
    else:
        total["call"] += 1
    for argument in expr.args:
        _count(argument, total)


# -- saved values -----------------------------------------------------------------------------------------------------


def save_values(program: Program) -> Program:
    """Write derivatives with the values that the forward pass computed anyway.

    Where a derivative calls a function that the forward pass does not (softplus' = sigmoid), the forward pass gets a
    new equation for it, marked "saved derivative".
    """
    new = {e.id for e in adjoints(program)}
    keeper = _Saved(program)
    equations = [keeper.rewrite(e) if e.id in new else e for e in program.equations]
    first = next((p for p, e in enumerate(equations) if e.id in new), len(equations))
    for equation in keeper.added:
        at = max(
            (
                p
                for p, e in enumerate(equations[:first])
                if e.target in {ir.name_of(a) for a in ir.accesses(equation.rhs, keeper.tensors)}
            ),
            default=first - 1,
        )
        equations.insert(at + 1, equation)
        first += 1
    return program.with_equations(equations, keeper.tensors)


class _Saved:
    def __init__(self, program: Program) -> None:
        self.program, self.tensors = program, dict(program.tensors)
        self.added: list[Equation] = []
        self.ids = _free("F'", program)
        self.defined = [e for e in program.equations if is_transcendental(e.rhs) or isinstance(e.rhs, sp.Pow)]

    def rewrite(self, equation: Equation) -> Equation:
        """Each term on its own: where a term lives decides which saved values are there for it."""
        parts = ir.terms(equation.rhs)
        made = []
        for part in parts:
            life = _living(part, equation, self.tensors)
            made.append(ir.walk(part, partial(self._substitute, life=life)))
        return equation if made == parts else replace(equation, rhs=sp.Add(*made))

    def _substitute(self, node: sp.Expr, life: ir.Span | None) -> sp.Expr:
        if is_transcendental(node):
            return self._find(node, life) or self._add(node, life)
        if isinstance(node, sp.Pow) and node.exp.is_Rational and not node.exp.is_Integer:
            return self._power(node, life)
        return node

    def _find(self, node: sp.Expr, life: ir.Span | None) -> sp.Expr | None:
        for equation in [*self.defined, *self.added]:
            for move in self._moves(equation, node, life):
                if equation.rhs.xreplace(move) == node:
                    return equation.lhs.xreplace(move)
        return None

    def _power(self, node: sp.Pow, life: ir.Span | None) -> sp.Expr:
        for equation in self.defined:
            if isinstance(equation.rhs, sp.Pow) and (node.exp / equation.rhs.exp).is_Integer:
                for move in self._moves(equation, node, life):
                    if equation.rhs.base.xreplace(move) == node.base:
                        return equation.lhs.xreplace(move) ** (node.exp / equation.rhs.exp)
        return node

    def _moves(self, equation: Equation, node: sp.Expr, life: ir.Span | None) -> Iterator[dict[Any, Any]]:
        """Renamings of indices and shifts of time that could turn the saved expression into the node.

        tanh(c[t]) is saved on 1..T: a term on 0..T-1 that has tanh(c[t]) of h[t+1] = tanh(c[t]) finds it elsewhere.
        """
        reads = ir.accesses(node, self.tensors)
        symbols = ir.ordered({i for a in reads for i in ir.indices_of(a, self.tensors)})
        own = [s for s in equation.free if s != t]
        for by in (0, 1, -1):
            if life and equation.when and not ir.within((life[0] + by, life[1] + by), equation.when):
                continue
            for names in permutations(symbols, len(own)) if len(symbols) == len(own) else ():
                yield {t: t + by, **dict(zip(own, names, strict=True))}

    def _add(self, node: sp.Expr, life: ir.Span | None) -> sp.Expr:
        # Saved at the step of the equation whose derivative it is: the first on which the term lives becomes step 1.
        by = int(life[0]) - 1 if life is not None and life[0].is_Integer else 0
        here = node.xreplace({t: t + by})
        reads = ir.accesses(here, self.tensors)
        shapes = {
            i: d
            for a in reads
            for i, d in zip(ir.indices_of(a, self.tensors), self.tensors[ir.name_of(a)].dims, strict=True)
        }
        indices = tuple(ir.ordered(shapes))
        name = _unused(f"{type(node).__name__}_{'_'.join(ir.name_of(a) for a in reads[:1])}", self.tensors)
        timed = any(ir.time_of(a, self.tensors) is not None for a in reads)
        tensor = Tensor(
            name,
            tuple(shapes[i] for i in indices),
            indices,
            "value",
            ir.STEPS if timed else None,
            any(self.tensors[ir.name_of(a)].batched for a in reads),
            latex=name.replace("_", r"\_"),
        )
        self.tensors[name] = tensor
        self.added.append(Equation(tensor.at(), here, next(self.ids), tensor.time, "saved derivative"))
        return tensor.at().xreplace({t: t - by})


def _living(term: sp.Expr, equation: Equation, tensors: dict[str, Tensor]) -> ir.Span | None:
    """The range of t on which a term of an equation may be other than zero; None where time is fixed or absent."""
    limits = [(lo, hi) for total in term.atoms(sp.Sum) for symbol, lo, hi in total.limits if symbol == t]
    life = limits[0] if limits else equation.when
    body = term.xreplace({total: total.function for total in term.atoms(sp.Sum)}) if limits else term
    confined = ir.reach(body, tensors)
    return ir.meet(life, confined) if life and confined else life


# -- carries ----------------------------------------------------------------------------------------------------------


def make_carries(program: Program) -> Program:
    """Terms that live wholly in the neighbouring step are computed there, and one value is carried over."""
    tensors = dict(program.tensors)
    equations: list[Equation] = []
    carries: list[Equation] = []
    new = {e.id for e in adjoints(program)}
    for equation in program.equations:
        moved: dict[int, list[sp.Expr]] = {}
        if equation.id in new and equation.lhs.has(t):
            for term in ir.terms(equation.rhs):
                by = _common_shift(term, tensors)
                if by:
                    moved.setdefault(by, []).append(term)
        # One value that is there anyway needs no second name.
        moved = {by: group for by, group in moved.items() if len(group) > 1 or not isinstance(group[0], Indexed)}
        kept = sp.Add(*(a for a in ir.terms(equation.rhs) if not any(a in ts for ts in moved.values())))
        for by, group in sorted(moved.items()):
            target = tensors[equation.target]
            here = sp.Add(*group).xreplace({t: t - by})
            name = _unused(f"carry_{target.primal or target.name}", tensors)
            assert equation.when is not None
            read = (equation.when[0] + by, equation.when[1] + by)
            life = ir.meet(read, reduce(ir.hull, [_lifetime(a, tensors) for a in ir.terms(here)]))
            value = replace(
                target,
                name=name,
                role="adjoint",
                time=life,
                family="",
                member="",
                latex=accented(r"\tilde", tensors[target.primal].latex or target.primal) if target.primal else "",
            )
            tensors[name] = value
            marks = "'" * (1 + sum(c.id.rstrip("'") == equation.id for c in carries))
            carries.append(Equation(value.at(), here, f"{equation.id}{marks}", life))
            kept = kept + value.at(t + by)
        equations.append(replace(equation, rhs=kept) if moved else equation)
    for carry in carries:  # after what it reads; it keeps the primed ID of the equation that needed it
        at = max(p for p, e in enumerate(equations) if e.id == carry.id.rstrip("'") or e.target in _reads(carry))
        equations.insert(at + 1, carry)
    return program.with_equations(equations, tensors)


def _unused(name: str, tensors: dict[str, Tensor]) -> str:
    while name in tensors:
        name += "_"
    return name


def _free(prefix: str, program: Program) -> Iterator[str]:
    """prefix1, prefix2, ... that no equation has yet: a program may be simplified again after it was differentiated."""
    taken = {i for e in program.equations for i in e.ids}
    return (name for number in count_from(1) if (name := f"{prefix}{number}") not in taken)


def _reads(equation: Equation) -> set[str]:
    return {str(a.base.label) for a in equation.rhs.atoms(Indexed)}


def _common_shift(term: sp.Expr, tensors: dict[str, Tensor]) -> int:
    """The k for which every access of a pointwise term stands at t+k; 0 if there is none."""
    if term.has(sp.Sum, span):
        return 0
    offsets = {ir.offset(when) for a in ir.accesses(term, tensors) if (when := ir.time_of(a, tensors)) is not None}
    return offsets.pop() or 0 if len(offsets) == 1 else 0


def _lifetime(expr: sp.Expr, tensors: dict[str, Tensor]) -> ir.Span:
    """Where no access of an expression is outside of its span.

    Terms of adjoints read nothing outside of its span on the range on which they live, so that this range holds it.
    """
    life: ir.Span | None = None
    for access in ir.accesses(expr, tensors):
        own = ir.reach(access, tensors)
        if own is not None:
            life = own if life is None else ir.meet(life, own)
    assert life is not None
    return life


# -- constants --------------------------------------------------------------------------------------------------------


def fold_constants(program: Program) -> Program:
    """Adjoints that read nothing are put into their readers; the first reader keeps their IDs."""

    def is_one(equation: Equation) -> bool:
        plain = not equation.rhs.has(Indexed, span) and is_constant(equation.rhs)
        return plain and _read_within(equation, list(program.equations), program.tensors)

    return _fold(program, is_one)


def fold_copies(program: Program) -> Program:
    """Adjoints that are another tensor at the same indices disappear; their readers read the original."""

    def is_copy(equation: Equation) -> bool:
        rhs, tensors = equation.rhs, program.tensors
        return (
            isinstance(rhs, Indexed)
            and rhs.indices == equation.lhs.indices
            and tensors[ir.name_of(rhs)].time == tensors[equation.target].time
        )

    return _fold(program, is_copy)


def _fold(program: Program, foldable: Callable[[Equation], bool]) -> Program:
    """Put the right-hand sides of foldable adjoints into their readers, at the readers' indices."""
    equations = list(program.equations)
    new = {e.id for e in adjoints(program)}
    while found := next(
        (e for e in equations if e.id in new and program.tensors[e.target].role == "adjoint" and foldable(e)),
        None,
    ):
        equations.remove(found)
        ids = found.ids
        for p, reader in enumerate(equations):
            uses = {a for a in ir.accesses(reader.rhs, program.tensors) if ir.name_of(a) == found.target}
            if uses:
                own = found.lhs.indices if isinstance(found.lhs, Indexed) else ()
                swap = {a: found.rhs.xreplace(dict(zip(own, a.indices, strict=True)) if own else {}) for a in uses}
                equations[p] = replace(reader, rhs=reader.rhs.xreplace(swap), merged=(*ids, *reader.merged))
                ids = ()
    return program.with_equations(equations, _live(program, equations))


def _read_within(found: Equation, equations: list[Equation], tensors: dict[str, Tensor]) -> bool:
    """Whether a tensor is only read inside of its span: outside it is zero, and what would stand for it may not be."""
    life = tensors[found.target].time
    for reader in equations if life is not None else ():
        for term in ir.terms(reader.rhs):
            for use in (a for a in ir.accesses(term, tensors) if ir.name_of(a) == found.target):
                when, by = ir.time_of(use, tensors), ir.offset(ir.time_of(use, tensors))
                assert life is not None and when is not None
                rest = term.xreplace({use: sp.Integer(1)})
                read = _living(rest, reader, tensors) if by is not None else (when, when)
                if read is None or not ir.within((read[0] + (by or 0), read[1] + (by or 0)), life):
                    return False
    return True


def _live(program: Program, equations: list[Equation]) -> dict[str, Tensor]:
    targets = {e.target for e in equations}
    return {n: x for n, x in program.tensors.items() if n in targets or n not in program.defined}


# -- inlining ---------------------------------------------------------------------------------------------------------


def inline(program: Program) -> Program:
    """Substitute adjoints that one pointwise equation of the same indices reads once; merge equal right-hand sides."""
    equations = list(program.equations)
    new = {e.id for e in adjoints(program)}
    changed = True
    while changed:
        changed = False
        for equation in equations:
            if (
                equation.id not in new
                or equation.rhs.has(sp.Sum, span)
                or program.tensors[equation.target].role != "adjoint"
            ):
                continue
            readers = [(p, e) for p, e in enumerate(equations) if equation.target in _reads(e)]
            if len(readers) != 1:
                continue
            p, reader = readers[0]
            uses = [a for a in reader.rhs.atoms(Indexed) if ir.name_of(a) == equation.target]
            if reader.rhs.has(sp.Sum, span) or len(uses) != 1 or not _same_step(uses[0], equation, reader):
                continue
            if sum(a.count(uses[0]) for a in ir.terms(reader.rhs)) != 1:
                continue
            body = equation.rhs.xreplace(dict(zip(equation.lhs.indices, uses[0].indices, strict=True)))
            term = next(a for a in ir.terms(reader.rhs) if a.has(uses[0])).xreplace({uses[0]: body})
            life = _living(term, reader, program.tensors)
            if life is None or equation.when is None or not ir.within(life, equation.when):
                continue
            rhs = _factored(reader.rhs.xreplace({uses[0]: _factored(body)}))
            equations[p] = replace(reader, rhs=rhs, merged=(*equation.ids, *reader.merged))
            equations.remove(equation)
            changed = True
            break
    return program.with_equations(equations, _live(program, equations))


def _same_step(use: sp.Expr, equation: Equation, reader: Equation) -> bool:
    return use.indices[0] == t and len(use.indices) == len(equation.lhs.indices) == len(reader.lhs.indices)


def _factored(expr: sp.Expr) -> sp.Expr:
    """a*b - a*c -> a*(b - c), for a sum of products that share an access."""
    parts = ir.terms(expr)
    if len(parts) < 2 or expr.has(span):
        return expr
    shared = set.intersection(*(set(sp.Mul.make_args(p)) for p in parts))
    common = [f for f in ir.ordered(shared) if isinstance(f, Indexed)]
    if not common:
        return expr
    factor = sp.Mul(*common)
    return sp.Mul(factor, sp.Add(*(p / factor for p in parts)))


# -- shared products --------------------------------------------------------------------------------------------------


class _Product:
    """A coefficient times a multiset of factors: one term of one equation."""

    def __init__(self, expr: sp.Expr) -> None:
        self.coefficient, rest = expr.as_coeff_Mul()
        self.factors: Counter[sp.Expr] = Counter()
        for factor in sp.Mul.make_args(rest):
            if isinstance(factor, sp.Pow) and factor.exp.is_Integer and factor.exp > 0:
                self.factors[factor.base] += int(factor.exp)
            elif factor != 1:
                self.factors[factor] += 1

    def expr(self) -> sp.Expr:
        return sp.Mul(self.coefficient, *(f**p for f, p in self.factors.items()))

    def has(self, factors: Counter[sp.Expr]) -> bool:
        return all(self.factors[f] >= p for f, p in factors.items())

    def take(self, factors: Counter[sp.Expr], by: sp.Expr) -> None:
        self.factors -= factors
        self.factors[by] += 1


def share_products(program: Program) -> Program:
    """Compute once each product that several pointwise equations of a step need."""
    return _Sharing(program).run()


class _Sharing:
    def __init__(self, program: Program) -> None:
        self.program, self.tensors = program, dict(program.tensors)
        new = {e.id for e in adjoints(program)}
        self.sites: dict[str, tuple[Equation, list[_Product]]] = {}
        self.spaces: dict[tuple[Any, ...], list[_Product]] = {}
        self.made: list[Equation] = []
        for equation in program.equations:
            if equation.id not in new or not equation.lhs.has(t):
                continue
            if not equation.rhs.has(sp.Sum, span):
                products = [_Product(a) for a in ir.terms(_factored(equation.rhs))]
            else:
                products = [_Product(a) for a in ir.terms(equation.rhs) if not a.has(sp.Sum, span)]
            self.sites[equation.id] = (equation, products)
            target = self.tensors[equation.target]
            self.spaces.setdefault((target.dims, equation.free), []).extend(products)

    def run(self) -> Program:
        for (dims, free), products in self.spaces.items():
            indices = tuple(s for s in free if s != t)
            while (pair := self._best_pair(products)) is not None:
                self._share(pair, products, dims, indices)
            self._adopt()
            self._differences_of_squares(products, dims, indices)
            self._share_sums(products, dims, indices)
        return self._rebuild()

    @staticmethod
    def _best_pair(products: list[_Product]) -> Counter[sp.Expr] | None:
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
        products: list[_Product],
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
            products[:] = [_Product(made.rhs)]

    def _differences_of_squares(
        self, products: list[_Product], dims: tuple[sp.Symbol, ...], indices: tuple[sp.Symbol, ...]
    ) -> None:
        """a*(1 - s^2) where a*s is needed as well: fma(-(a*s), s, a) saves a multiplication."""
        for product in products:
            for factor in ir.ordered(product.factors):
                s = _square_root_of_complement(factor)
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
        self, products: list[_Product], dims: tuple[sp.Symbol, ...], indices: tuple[sp.Symbol, ...]
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

    def _tensor(self, rhs: sp.Expr, dims: tuple[sp.Symbol, ...], indices: tuple[sp.Symbol, ...]) -> sp.Expr:
        names = [ir.name_of(a) for a in ir.ordered(rhs.atoms(Indexed))]
        if not rhs.has(*indices):
            dims, indices = (), ()
        name = _unused("_".join(names[:3]), self.tensors)
        life = _lifetime(rhs, self.tensors)
        latex = "".join(self.tensors[n].latex or n for n in names[:3])
        tensor = Tensor(name, dims, indices, "shared", life, latex=rf"({latex})")
        self.tensors[name] = tensor
        self.made.append(Equation(tensor.at(), rhs, "P", life, "shared product"))
        return tensor.at()

    def _rebuild(self) -> Program:
        equations = []
        for equation in self.program.equations:
            if equation.id in self.sites:
                products = self.sites[equation.id][1]
                others = [a for a in ir.terms(equation.rhs) if a.has(sp.Sum, span)]
                equation = replace(equation, rhs=sp.Add(*(p.expr() for p in products), *others))
            equations.append(equation)
        equations = _in_order(self.program.with_equations(equations, self.tensors), equations)
        for made in self.made:
            reads = _reads(made)
            at = max((p for p, e in enumerate(equations) if e.target in reads), default=len(equations) - 1)
            equations.insert(at + 1, made)
        ids = _free("P", self.program)
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


def _square_root_of_complement(expr: sp.Expr) -> sp.Expr | None:
    """s for 1 - s^2, else None."""
    if isinstance(expr, sp.Add) and len(expr.args) == 2 and sp.Integer(1) in expr.args:
        other = next(a for a in expr.args if a != 1)
        if isinstance(-other, sp.Pow) and (-other).exp == 2:
            return (-other).base
    return None


RULES: tuple[Callable[[Program], Program], ...] = (
    save_values,
    make_carries,
    fold_constants,
    inline,
    share_products,
    fold_copies,
)
