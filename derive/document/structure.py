"""What can be said of a cell without knowing it: who plays which part, and the Jacobian of one step.

The block Jacobian d s(t) / d s'(t-1) is collected along the paths of one step from the local derivatives of the step
log.  Its diagonal part (state entry to the same state entry, through no matrix) is the part that can stay near 1.
"""

from __future__ import annotations

from dataclasses import dataclass

import sympy as sp
from sympy.functions.special.tensor_functions import KroneckerDelta
from sympy.tensor.indexed import Indexed

from derive import ir
from derive.document.derivation import Derivation
from derive.document.messages import Messages
from derive.ir import Equation, t
from derive.ir.functions import record_of, sigmoid
from derive.passes.normalize import is_transcendental

# Where the derivative of a function is largest, and how large it is there.
_SLOPES = {sigmoid: sp.Rational(1, 4), sp.tanh: sp.Integer(1), sp.sin: sp.Integer(1), sp.cos: sp.Integer(1)}


def defining(d: Derivation, name: str) -> Equation | None:
    """The equation of a step that defines a tensor."""
    return next((e for e in d.forward if e.target == name), None)


def candidates(d: Derivation) -> list[tuple[str, str]]:
    """(candidate, state): values squashed by tanh that enter a state multiplied by something else."""
    found = []
    for state in d.states:
        equation = defining(d, state)
        for term in ir.terms(equation.rhs) if equation is not None else ():
            factors = sp.Mul.make_args(term)
            for factor in factors if len(factors) > 1 else ():
                for access in d.formula.sequence.reads(factor):
                    name = ir.name_of(access)
                    made = defining(d, name)
                    if made is not None and isinstance(made.rhs, sp.tanh) and name in d.gates:
                        found.append((name, state))
    return found


def gates(d: Derivation) -> list[str]:
    """Values of a sigmoid that multiply something: gates."""
    return [e.target for e in d.forward if isinstance(e.rhs, sigmoid)]


def input_and_recurrent(d: Derivation) -> tuple[str, str, str, str] | None:
    """(W, U, x, h) of the first matrices that meet the input and the previous state; None where there are none."""
    x, u = _matrix_with(d, "input"), _matrix_with(d, "state")
    return (x[0], u[0], x[1], u[1]) if x and u else None


def _matrix_with(d: Derivation, kind: str) -> tuple[str, str] | None:
    for equation in d.forward:
        for total in ir.ordered(equation.rhs.atoms(sp.Sum)):
            reads = d.formula.sequence.reads(total.function)
            matrix = [
                a for a in reads if d.tensors[ir.name_of(a)].role == "param" and len(d.tensors[ir.name_of(a)].dims) == 2
            ]
            vector = [a for a in reads if a not in matrix]
            if len(matrix) == 1 and len(vector) == 1:
                name, read = ir.name_of(matrix[0]), ir.name_of(vector[0])
                is_input = d.tensors[read].role == "input"
                is_state = read in d.states and ir.offset(ir.time_of(vector[0], d.tensors)) == -1
                if (kind == "input" and is_input) or (kind == "state" and is_state):
                    return name, read
    return None


def recurrent_matrix(d: Derivation) -> str:
    """The matrix that meets the previous state."""
    found = _matrix_with(d, "state")
    return found[0] if found else ""


def meaning(d: Derivation, say: Messages, name: str) -> str:
    """In words, what part a tensor plays; all of it read off the equations."""
    tensor = d.primal.tensors[name]
    if tensor.role == "input":
        return say("role.input")
    if tensor.role == "initial":
        return say("role.initial", s=d.names.plain(name.removesuffix("_0")))
    if tensor.role == "param":
        return _parameter(d, say, name)
    if name == d.primal.facts.output and name in d.states:
        return say("role.state_output")
    if name == d.primal.facts.output:
        return say("role.output")
    if name in d.states:
        return say("role.state")
    equation = defining(d, name)
    assert equation is not None
    if name in dict(candidates(d)):
        return say("role.candidate", s=d.names.plain(dict(candidates(d))[name]))
    if name in gates(d):
        return say("role.gate", of=f"[[{equation.id}]]")
    readers = d.readers(name)
    if readers and all(is_transcendental(e.rhs) and ir.name_of(e.rhs.args[0]) == name for e in readers):
        return say("role.preactivation", of=say.list([f"${d.names.plain(e.target)}$" for e in readers]))
    if equation.whole:
        whole = d.names.plain(equation.whole)
        return say("role.part", of=f"${whole}$", rhs=f"${'+ '.join(d.row(equation).parts)}$")
    return say("role.value" if tensor.dims else "role.scalar", of=f"[[{equation.id}]]")


def _parameter(d: Derivation, say: Messages, name: str) -> str:
    tensor = d.primal.tensors[name]
    readers = d.readers(name)
    met = {
        ir.name_of(a)
        for e in readers
        for total in e.rhs.atoms(sp.Sum)
        if any(ir.name_of(b) == name for b in d.formula.sequence.reads(total))
        for a in d.formula.sequence.reads(total.function)
    } - {name}
    goal = say.list([f"${d.names.plain(e.target)}$" for e in readers])
    if len(tensor.dims) == 2 and met:
        return say("role.matrix", of=say.list([f"${d.names.plain(m)}$" for m in sorted(met)]), to=goal)
    alone = all(any(term == tensor.at(*_own(e, tensor)) for term in ir.terms(e.rhs)) for e in readers)
    return say("role.bias" if alone else "role.weight", to=goal)


def _own(equation: Equation, tensor: ir.Tensor) -> tuple[sp.Expr, ...]:
    free = [s for s in equation.free if s != t]
    return (t, *free)


# -- the Jacobian of one step -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Jacobian:
    """d row(t) / d column(t-1): its diagonal, its terms diag(left) matrix diag(right), and whether there are others.

    Others are paths through several matrices or through sums over all units, such as those of a normalisation.
    """

    row: str
    column: str
    direct: tuple[sp.Expr, ...]
    through: tuple[tuple[sp.Expr, str, sp.Expr], ...]
    others: bool


def kind(block: Jacobian) -> str:
    """Of a state on itself: carousel (one factor, of values alone), diagonal (no matrix), or part of a larger sum."""
    if block.through or block.others:
        return "part"
    alone = len(block.direct) == 1 and all(isinstance(f, Indexed) for f in sp.Mul.make_args(block.direct[0]))
    return "carousel" if alone else "diagonal"


def in_matrices(d: Derivation) -> bool:
    """Whether the Jacobian of a step is made of vectors, diagonals and matrices: each state is a vector, nothing has three axes."""
    most = {True: 1, False: 2}  # axes of what has time, and of what has none
    return all(len(d.tensors[s].dims) == 1 for s in d.states) and all(
        len(x.dims) <= most[x.time is not None] for x in d.primal.tensors.values()
    )


Path = tuple[sp.Expr, str, tuple[tuple[str, sp.Expr], ...]]
"""Factor in front, state that is reached at t-1, and each matrix on the way with the factor behind it."""


def jacobian(d: Derivation) -> list[Jacobian]:
    """All blocks that are not zero."""
    found = []
    for row in d.states:
        paths = _paths(d, row, {})
        for column in d.states:
            direct: list[sp.Expr] = []
            through: list[tuple[sp.Expr, str, sp.Expr]] = []
            others = False
            for factor, name, chain in paths:
                if name != column:
                    continue
                if not chain:
                    direct.append(factor)
                elif len(chain) > 1 or chain[0][0] == "":
                    others = True
                else:
                    through.append((factor, *chain[0]))
            if direct or through or others:
                through.sort(key=lambda term: list(d.tensors).index(term[1]))
                found.append(Jacobian(row, column, tuple(direct), tuple(through), others))
    return found


def _paths(d: Derivation, row: str, known: dict[str, list[Path]]) -> list[Path]:
    """Every path of one step that ends in `row`."""
    if row in known:
        return known[row]
    equation = defining(d, row)
    found: list[Path] = []
    for step in d.derived.steps if equation is not None else ():
        name = step.read.partition("[")[0]
        if equation is None or step.parent != equation.id or d.tensors[name].role != "value":
            continue
        for factor, matrix, earlier in _links(d, step.local):
            chain = () if matrix is None else ((matrix, sp.Integer(1)),)
            if earlier:
                found.append((factor, name, chain))
                continue
            for inner, state, more in _paths(d, name, known):
                if chain:
                    found.append((factor, state, ((chain[0][0], inner), *more)))
                else:
                    found.append((factor * inner, state, more))
    known[row] = found
    return found


def _links(d: Derivation, local: sp.Expr) -> list[tuple[sp.Expr, str | None, bool]]:
    """A local derivative as terms: a diagonal factor, a matrix (None: diagonal, "": another sum), whether from t-1."""
    found: list[tuple[sp.Expr, str | None, bool]] = []
    for term in ir.terms(d.in_saved(local)):
        earlier = any(
            isinstance(k, KroneckerDelta) and any(a.has(t) and (a - t) == -1 for a in k.args)
            for k in term.atoms(KroneckerDelta)
        )
        body = term.xreplace({k: sp.Integer(1) for k in term.atoms(KroneckerDelta)})
        body = body.replace(lambda e: isinstance(e, sp.Sum), lambda e: e.function)
        matrices = [
            ir.name_of(a)
            for a in d.formula.sequence.reads(body)
            if d.tensors[ir.name_of(a)].role == "param" and len(d.tensors[ir.name_of(a)].dims) == 2
        ]
        deltas = [k for k in term.atoms(KroneckerDelta) if not any(a.has(t) for a in k.args)]
        if matrices:
            rest = body.xreplace(
                {a: sp.Integer(1) for a in d.formula.sequence.reads(body) if ir.name_of(a) in matrices}
            )
            found.append((rest, matrices[0], earlier))
        else:
            found.append((body, None if deltas else "", earlier))
    return found


def diagonal(d: Derivation, expr: sp.Expr) -> str:
    """The vector on a diagonal, which may be a number."""
    free = tuple(ir.ordered({i for a in d.formula.sequence.reads(expr) for i in ir.indices_of(a, d.tensors)}))
    return d.matrices.latex(d.matrices.tree(expr, free))


def _diag(d: Derivation, expr: sp.Expr) -> str:
    if expr == 1:
        return ""
    return rf"\operatorname{{diag}}\bigl({diagonal(d, expr)}\bigr)"


def jacobian_parts(d: Derivation, block: Jacobian) -> list[str]:
    """The summands of a block: the diagonal first, then what goes through matrices."""
    parts = [_diag(d, a) or "I" for a in block.direct]
    for left, matrix, right in block.through:
        parts.append(r"\,".join(x for x in (_diag(d, left), d.names.plain(matrix), _diag(d, right)) if x))
    return [*parts, r"\cdots"] if block.others else parts


def jacobian_latex(d: Derivation, block: Jacobian) -> str:
    """A block in one line."""
    return " + ".join(jacobian_parts(d, block))


def largest_slope(d: Derivation) -> sp.Expr:
    """The largest derivative of the functions through which the state passes."""
    found = [_SLOPES[e.rhs.func] for e in d.forward if e.rhs.func in _SLOPES]
    return max(found, default=sp.Integer(1))


def functions_used(d: Derivation) -> list[tuple[type, list[Equation]]]:
    """Each function that an equation calls, with the equations that are calls of it."""
    found: dict[type, list[Equation]] = {}
    for equation in d.primal.equations:
        for node in sp.preorder_traversal(equation.rhs):
            if record_of(node) is not None:
                found.setdefault(node.func, []).append(equation)
    return list(found.items())
