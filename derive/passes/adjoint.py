"""Reverse and forward mode on programs: `vjp` and `jvp`, Program -> Program.

`vjp` looks at one equation Y[t,n] = f(...) and one tensor X that it reads at a time.  With fresh indices (s, m)

    local derivative   df/dX[s,m]                                  SymPy; Kronecker deltas appear
    contraction        Sum over t, n of Ybar[t,n] * df/dX[s,m]     one delta after the other is solved for an index
    result             a term of Xbar[s,m], and the range of s on which it holds

Nothing is known of any cell.  The delta of h[t-1] turns t into s+1; the range 1..T of t turns into 0..T-1 of s: this
is where the boundaries at T+1 and the gradients of the initial states come from.  Every step is logged.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import sympy as sp
from sympy.functions.special.tensor_functions import KroneckerDelta
from sympy.tensor.indexed import Indexed

from derive import ir
from derive.errors import DeriveError
from derive.ir import Equation, Program, Span, Tensor, span, t
from derive.shown import Shown

DIFFERENTIABLE = ("param", "input", "initial", "seed")


@dataclass(frozen=True)
class Step(Shown):
    """One edge of the graph: how the equation `parent` contributes to the adjoint of what it reads."""

    id: str
    parent: str
    read: str
    local: sp.Expr
    contraction: sp.Expr
    result: sp.Expr
    when: Span | None
    into: str = ""

    def __str__(self) -> str:
        where = ""
        if self.when:
            lo, hi = self.when
            where = f"   for t = {lo}" if lo == hi else f"   for t = {lo}..{hi}"
        goal = f"   -> {self.into}" if self.into else ""
        return (
            f"{self.id}  {self.parent} reads {self.read}:  {ir.text(self.local)}\n"
            f"     {ir.text(self.contraction)}\n     = {ir.text(self.result)}{where}{goal}"
        )


def adjoint_name(name: str, order: int = 1) -> str:
    """The adjoint of h is d_h; that of d_h is d2_d_h."""
    return f"d_{name}" if order == 1 else f"d{order}_{name}"


def accented(accent: str, latex: str) -> str:
    """A bar or a dot over a letter: the subscript stays outside, and over a longer name the bar is stretched."""
    letter, sign, subscript = latex.partition("_")
    if (letter.startswith("\\") and " " not in letter) or len(letter) == 1:
        return f"{accent}{{{letter}}}{sign}{subscript}"
    return rf"\overline{{{latex}}}"


def _order(program: Program) -> int:
    """How many times a program has been differentiated, this time included."""
    count = 1
    while program.primal is not None:
        program, count = program.primal, count + 1
    return count


def vjp(program: Program, wrt: Iterable[str] | None = None) -> Program:
    """The program followed by its adjoint: from seeds of the outputs to gradients with respect to `wrt`.

    Every output X gets a seed: `seed_X` where X is also read inside, `d_X` itself where it is not.  A scalar output has
    the seed 1.  Gradients are the tensors `d_<name>` of role "gradient"; they are the outputs of the result.
    """
    wrt = (
        tuple(wrt)
        if wrt is not None
        else tuple(x.name for x in program.tensors.values() if x.role in DIFFERENTIABLE and x.name in program.inputs)
    )
    for name in wrt:
        if name not in program.tensors:
            raise DeriveError(f"vjp of {program.name}: no tensor {name} to differentiate with respect to")
    return _Reverse(program, wrt).run()


class _Reverse:
    def __init__(self, program: Program, wrt: tuple[str, ...]) -> None:
        self.program, self.wrt, self.order = program, wrt, _order(program)
        self.prefix = program.facts.prefixes[1] * self.order
        self.tensors = dict(program.tensors)
        self.active = _depends_on(program, wrt)
        self.steps: list[Step] = []
        self.parts: dict[str, list[sp.Expr]] = {}

    def name(self, name: str) -> str:
        return adjoint_name(name, self.order)

    def run(self) -> Program:
        program = self.program
        backwards = [
            name for group in reversed(ir.order(program)) for name in reversed(ir.in_step(program, group.tensors))
        ]
        targets = [name for name in backwards if name in self.active]
        for name in [*targets, *self.wrt]:
            self._declare(name)
        for name in backwards:
            for equation in program.defined[name]:
                if name in self.active:
                    self._equation(equation)
        equations: list[Equation] = []
        for name in [*targets, *self.wrt]:
            adjoint = self.tensors[self.name(name)]
            if adjoint.role == "seed":
                continue
            rhs = sp.Add(*self.parts.get(name, []))
            equations.append(Equation(adjoint.at(), rhs, f"{self.prefix}{len(equations) + 1}", adjoint.time))
        gradients = tuple(self.name(name) for name in self.wrt)
        ids = {self.tensors[e.target].primal: e.id for e in equations}
        steps = tuple(replace(s, into=ids.get(s.read.partition("[")[0], "")) for s in self.steps)
        result = Program(
            f"vjp of {program.name}",
            self.tensors,
            (*program.equations, *equations),
            gradients,
            program.facts,
            steps,
            program,
        )
        return ir.verify(result)

    def _declare(self, name: str) -> None:
        """The adjoint tensor of `name`, and its seed where it is an output."""
        primal = self.program.tensors[name]
        is_output = name in self.program.outputs
        is_read = any(ir.name_of(a) == name for e in self.program.equations for a in ir.accesses(e.rhs, self.tensors))
        role = "gradient" if name in self.wrt else "adjoint"
        base = primal.latex or name
        adjoint = replace(
            primal,
            name=self.name(name),
            role=role,
            latex=accented(r"\bar", base),
            primal=name,
            family=self.name(primal.family) if primal.family else "",
        )
        if is_output and primal.rank == 0 and not primal.batched:
            self.parts.setdefault(name, []).append(sp.Integer(1))
        elif is_output and not is_read and primal.time is None:
            adjoint = replace(adjoint, role="seed")
        elif is_output:
            seed = replace(
                adjoint,
                name=f"{'seed' * self.order}_{name}",
                role="seed",
                time=ir.STEPS if primal.time else None,
                latex=rf"\partial_{{{base}}} L",
                family="",
                member="",
            )
            self._add(seed)
            self.parts.setdefault(name, []).append(seed.at())
        self._add(adjoint)

    def _add(self, tensor: Tensor) -> None:
        if tensor.name in self.tensors:
            raise DeriveError(
                f"{self.program.name}: the name {tensor.name} is taken, by the gradient of {tensor.primal}; "
                f"rename the argument {tensor.name}"
            )
        self.tensors[tensor.name] = tensor

    def _equation(self, equation: Equation) -> None:
        """All contributions of one equation, one tensor that it reads after the other."""
        tensors = self.program.tensors
        reads = [name for name in tensors if name in self.active or name in self.wrt]
        present = {ir.name_of(a) for a in ir.accesses(equation.rhs, tensors)}
        for name in [n for n in reads if n in present]:
            read = tensors[name]
            fresh = _fresh(read, equation)
            local = equation.rhs.diff(fresh)
            if local == 0:
                continue
            adjoint = self.tensors[self.name(equation.target)]
            seed = adjoint.at(*_indices(equation.lhs, tensors))
            self._contribution(equation, read, fresh, local, seed)

    def _contribution(self, equation: Equation, read: Tensor, fresh: sp.Expr, local: sp.Expr, seed: sp.Expr) -> None:
        limits = []
        target = self.tensors[equation.target]
        for symbol in equation.free:
            if symbol == t:
                assert equation.when is not None
                limits.append((t, *equation.when))
            else:
                position = ir.indices_of(equation.lhs, self.tensors).index(symbol)
                limits.append((symbol, sp.Integer(1), target.dims[position]))
        total: sp.Expr = sp.Integer(0)
        when: Span | None = None
        for factors, inner in _sum_terms(local):
            term, when = contract([seed, *factors], [*limits, *inner], read, fresh, self.tensors)
            total += term
        self.parts.setdefault(read.name, []).append(total)
        contraction = sp.Sum(seed * local, *limits) if limits else seed * local
        self.steps.append(Step(f"S{len(self.steps) + 1}", equation.id, str(fresh), local, contraction, total, when))


def _fresh(read: Tensor, equation: Equation) -> sp.Expr:
    """The access X[s, n'] by which an equation is differentiated: indices that stand nowhere in it."""
    taken = set(equation.lhs.atoms(sp.Symbol)) | set(equation.rhs.atoms(sp.Symbol))
    fresh = []
    for symbol in (ir.index("s"), *(ir.index(f"{i}'") for i in read.indices)):
        while symbol in taken:
            symbol = ir.index(f"{symbol}'")
        fresh.append(symbol)
        taken.add(symbol)
    return read.at(*fresh)


def _indices(lhs: sp.Expr, tensors: dict[str, Tensor]) -> tuple[sp.Expr, ...]:
    when = ir.time_of(lhs, tensors)
    return (when if when is not None else t, *ir.indices_of(lhs, tensors))


def _depends_on(program: Program, wrt: tuple[str, ...]) -> set[str]:
    """The tensors that depend on `wrt` and on which the outputs depend."""
    forward, backward = set(wrt), set(program.outputs)
    for _ in program.equations:
        before = len(forward) + len(backward)
        for equation in program.equations:
            if isinstance(equation.rhs, ir.Largest):
                continue  # its derivative is 0
            reads = {ir.name_of(a) for a in ir.accesses(equation.rhs, program.tensors)}
            if reads & forward:
                forward.add(equation.target)
            if equation.target in backward:
                backward |= reads
        if len(forward) + len(backward) == before:
            break
    return forward & backward


# -- contraction of Kronecker deltas ----------------------------------------------------------------------------------

Limit = tuple[sp.Symbol, sp.Expr, sp.Expr]


def _sum_terms(expr: sp.Expr) -> list[tuple[list[sp.Expr], list[Limit]]]:
    """An expression as a list of products under sums; factors without sum or delta are left whole (no expansion)."""
    if not expr.has(sp.Sum, KroneckerDelta):
        return [([expr], [])]
    if isinstance(expr, sp.Add):
        return [term for a in expr.args for term in _sum_terms(a)]
    if isinstance(expr, sp.Sum):
        return [(factors, [*inner, *expr.limits]) for factors, inner in _sum_terms(expr.function)]
    if isinstance(expr, sp.Mul):
        product: list[tuple[list[sp.Expr], list[Limit]]] = [([], [])]
        for argument in expr.args:
            product = [_times(a, b) for a in product for b in _sum_terms(argument)]
        return product
    if isinstance(expr, KroneckerDelta):
        return [([expr], [])]
    raise DeriveError(f"{ir.text(expr)}: a sum stands below {type(expr).__name__}; the program is not in normal form")


def _times(
    a: tuple[list[sp.Expr], list[Limit]], b: tuple[list[sp.Expr], list[Limit]]
) -> tuple[list[sp.Expr], list[Limit]]:
    """The product of two terms; bound indices of the second are renamed apart from those of the first."""
    taken = {symbol for symbol, *_ in a[1]}
    rename = {}
    for symbol, *_ in b[1]:
        new = symbol
        while new in taken:
            new = ir.index(f"{new}'")
        rename[symbol] = new
        taken.add(new)
    return [*a[0], *(f.xreplace(rename) for f in b[0])], [*a[1], *((rename[s], lo, hi) for s, lo, hi in b[1])]


def contract(
    factors: list[sp.Expr], limits: list[Limit], read: Tensor, fresh: sp.Expr, tensors: dict[str, Tensor]
) -> tuple[sp.Expr, Span | None]:
    """Sum over `limits` of the product of `factors`, with every delta solved; a term of the adjoint of `read`.

    The free indices of `fresh` become the indices of `read`.  Returns the term and the range of t on which it holds.
    """
    own = list(fresh.indices) if isinstance(fresh, Indexed) else []
    bounds = {symbol: (lo, hi) for symbol, lo, hi in limits}
    # A bound index of an inner sum may have the name of a free index of the equation; rename it apart first.
    if len(bounds) < len(limits):
        raise DeriveError(f"index capture in {limits}")
    deltas = [f for f in factors if isinstance(f, KroneckerDelta)]
    rest = [f for f in factors if not isinstance(f, KroneckerDelta)]
    when: Span | None = read.time
    restricted: list[Span] = []
    while deltas:
        delta = deltas.pop(0)
        difference = delta.args[0] - delta.args[1]
        symbol = next((s for s in (*bounds,) if difference.coeff(s) in (1, -1)), None)
        if symbol is None:
            # Nothing left to sum over: the delta says at which time the term lives, t = T or t = 0.
            time = own[0]
            value = sp.expand(time - difference / difference.coeff(time))
            restricted.append((value, value))
            continue
        value = sp.expand(symbol - difference / difference.coeff(symbol))
        lo, hi = bounds.pop(symbol)
        if read.time is not None and value.has(own[0]):
            restricted.append((lo - value + own[0], hi - value + own[0]))
        deltas = [d.xreplace({symbol: value}) for d in deltas]
        rest = [f.xreplace({symbol: value}) for f in rest]
    rename = {
        a: b for a, b in zip(own, _indices(read.at(), tensors) if read.time is not None else read.indices, strict=True)
    }
    rename |= _names_for(bounds, set(rename.values()), tensors)
    body = sp.Mul(*(f.xreplace(rename) for f in rest))
    kept = [(rename.get(s, s), lo, hi) for s, (lo, hi) in bounds.items()]
    for part in restricted:
        when = ir.intersect(when, part) if when else part
    if read.time is not None and when is not None and not _implied(body, when, read.time, tensors):
        body = span(t, *when) * body
    body, kept = _at_one_step(body, kept)
    return (sp.Sum(body, *kept) if kept else body), when


def _at_one_step(body: sp.Expr, limits: list[Limit]) -> tuple[sp.Expr, list[Limit]]:
    """Sum_t [t=T]*f[t] is f[T]: a guard that leaves one step of a sum over time is a delta."""
    guards = [g for g in ir.ordered(body.atoms(span)) if g.args[1] == g.args[2]]
    if not guards or all(symbol != t for symbol, *_ in limits):
        return body, limits
    step = guards[0].args[1]
    return body.xreplace({guards[0]: sp.Integer(1)}).xreplace({t: step}), [x for x in limits if x[0] != t]


def _names_for(
    bounds: dict[sp.Symbol, tuple[sp.Expr, sp.Expr]],
    taken: set[sp.Expr],
    tensors: dict[str, Tensor],
) -> dict[sp.Symbol, sp.Symbol]:
    """Names for the indices that stay summed: t for time, else the names that the cell uses for that dimension."""
    rename = {}
    used = set(taken)
    for symbol, (_lo, hi) in bounds.items():
        if symbol == t:
            used.add(t)
            continue
        names = [i for x in tensors.values() for i, d in zip(x.indices, x.dims, strict=True) if d == hi]
        choices = [*dict.fromkeys(names), *(ir.index(f"{names[0]}{mark}") for mark in ("'", "''", "'''"))]
        if symbol in choices and symbol not in used:
            choices.insert(0, symbol)
        rename[symbol] = next(c for c in choices if c not in used)
        used.add(rename[symbol])
    return rename


def _implied(body: sp.Expr, when: Span, lifetime: Span, tensors: dict[str, Tensor]) -> bool:
    """Whether the spans of the factors of a term already confine it to `when`."""
    reach = ir.support(body, tensors)
    return ir.contains(when, ir.intersect(reach, lifetime) if reach else lifetime)


# -- forward mode -----------------------------------------------------------------------------------------------------


def jvp(program: Program, wrt: Iterable[str] | None = None) -> Program:
    """The program followed by its tangent: from tangents `t_<name>` of `wrt` to tangents of the outputs."""
    chosen = (
        tuple(wrt)
        if wrt is not None
        else tuple(x.name for x in program.tensors.values() if x.role in DIFFERENTIABLE and x.name in program.inputs)
    )
    tensors = dict(program.tensors)
    moving = [n for n in program.tensors if n in chosen or n in _depends_on(program, chosen)]
    for name in moving:
        primal = program.tensors[name]
        tensors[f"t_{name}"] = replace(
            primal,
            name=f"t_{name}",
            role="tangent",
            latex=accented(r"\dot", primal.latex or name),
            primal=name,
            family=f"t_{primal.family}" if primal.family else "",
        )
    epsilon = sp.Symbol("epsilon", real=True)
    equations: list[Equation] = []
    for equation in program.equations:
        if equation.target not in moving:
            continue
        moved = {}
        for access in ir.accesses(equation.rhs, program.tensors):
            if ir.name_of(access) in moving:
                twin = tensors[f"t_{ir.name_of(access)}"]
                moved[access] = access + epsilon * twin.at(*_indices(access, program.tensors))
        rhs = _spread(equation.rhs.xreplace(moved).diff(epsilon).xreplace({epsilon: sp.Integer(0)}))
        lhs = tensors[f"t_{equation.target}"].at(*_indices(equation.lhs, program.tensors))
        equations.append(Equation(lhs, rhs, f"J{len(equations) + 1}", equation.when))
    outputs = tuple(f"t_{name}" for name in program.outputs if name in moving)
    return ir.verify(
        Program(
            f"jvp of {program.name}", tensors, (*program.equations, *equations), outputs, program.facts, (), program
        )
    )


def _spread(rhs: sp.Expr) -> sp.Expr:
    """Each sum over one product: Sum(a + b) as Sum(a) + Sum(b), which is what normal form asks of contractions."""

    def leave(node: sp.Expr) -> sp.Expr:
        if not isinstance(node, sp.Sum):
            return node
        return sp.Add(*(sp.Sum(term, *node.limits) for term in sp.Add.make_args(node.function)))

    return ir.walk(rhs, leave)
