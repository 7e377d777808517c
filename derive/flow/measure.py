"""Gradient flow: how much of a gradient is left after many steps, and why; computed by the compiled kernels.

    G(l) = d s(T) / d s(T-l) = J(T) J(T-1) ... J(T-l+1),      J(t) = d s(t) / d s(t-1)

s is the whole state of a cell (h for a simple RNN, h and c for an LSTM).  One step of the derived backward pass turns a
row of d s(T)/d s(t) into the same row of d s(T)/d s(t-1); a batch of unit rows gives the whole matrix.  Nothing is
differentiated here.

The gates that keep a state are found in the equations: those by which its old value is multiplied (f in the LSTM, z in
the GRU).  `Start` sets their bias, and the scale of the recurrent matrices: the two knobs of Pascanu, Mikolov & Bengio
2013 (the recurrent scale) and of Gers, Schmidhuber & Cummins 2000 (the bias of the forget gate).
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from dataclasses import dataclass
from math import prod
from types import ModuleType
from typing import Any

import numpy as np
import sympy as sp
from sympy.tensor.indexed import Indexed

from derive import ir, registry
from derive.building import build
from derive.errors import DeriveError
from derive.ir import Program, t
from derive.notation import Cell, Loss
from derive.signature import is_stacked, parameter

Array = Any
WHOLE = "state"
LARGEST = 2048  # numbers in the states of a cell whose flow is measured


@dataclass(frozen=True)
class Start:
    """Where parameters start: as `init_params` draws them, except for what is given here.

    `keep` is the bias of the gates that multiply an old state (their other biases are 0); `scale` makes every square
    recurrent matrix an orthogonal one times this number, so that all its singular values are `scale`.
    """

    keep: float | None = None
    scale: float | None = None

    def __str__(self) -> str:
        said = [f"scale {self.scale:g}"] if self.scale is not None else []
        said += [f"keep {self.keep:g}"] if self.keep is not None else []
        return ", ".join(said) or "as drawn"


@dataclass(frozen=True, eq=False)
class Flow:
    """What reaches the past from the last step of a sequence.

    `lags` is 0..T.  `norms` holds, by name, the spectral norm (the largest singular value) at each lag, the median over
    `samples` sequences: "state" for d s(T)/d s(T-l), the name of a state for its own block, such as d c(T)/d c(T-l).
    `alone` holds, for each state, the norm of the product of its own blocks of the J(t): the path that never leaves the
    state, which for the cell state of an LSTM is the constant error carousel, the product of the forget gates.
    `jacobians` are the J(T) of all sequences, (samples, S, S), rows and columns in the order of `states`; `values` and
    `eigenvalues`, (samples, S) each, are their singular values and eigenvalues.
    """

    cell: str
    start: Start
    gates: tuple[str, ...]
    states: dict[str, int]
    T: int
    H: int
    seed: int
    lags: Array
    norms: dict[str, Array]
    alone: dict[str, Array]
    jacobians: Array
    values: Array
    eigenvalues: Array

    @property
    def samples(self) -> int:
        """The number of sequences of which norms are the median."""
        return len(self.jacobians)

    @property
    def output(self) -> str:
        """The state that is the cell's output."""
        return next(iter(self.states))

    @property
    def carrier(self) -> str:
        """The state that is left most at the longest lag when it is followed alone: c of an LSTM."""
        return max(self.alone, key=lambda s: float(self.alone[s][-1]))

    def rate(self, name: str = WHOLE) -> float:
        """The mean factor of a step, norm(T)^(1/T): below 1 a gradient vanishes, above 1 it explodes."""
        return float(self.norms[name][-1] ** (1 / self.T))

    def block(self, state: str) -> Array:
        """The own block of a state in the `jacobians`: (samples, n, n)."""
        where = _places(self.states)[state]
        return self.jacobians[:, where, where]

    def __repr__(self) -> str:
        ends = ", ".join(f"{name} {values[-1]:.1e}" for name, values in self.norms.items())
        return f"<Flow {self.cell}, {self.start}: at lag {self.T} {ends}>"


def flow(
    cell: str | Cell,
    start: Start = Start(),
    T: int = 100,
    H: int = 32,
    samples: int = 4,
    seed: int = 0,
    inputs: float = 1.0,
) -> Flow:
    """Follow the derivatives of the last state back through T steps.

    The cell is a name, a file or a `Cell`; it has H units and as many inputs, drawn from a normal
    distribution with standard deviation `inputs`.  All is float64.  Raises
    DeriveError for sizes that make no sense and for a `start` that the cell has no place for; see `compiled` too.
    """
    cell = registry.cell(cell) if isinstance(cell, str) else cell
    for name, value in (("T", T), ("H", H), ("samples", samples)):
        if value < 1:
            raise DeriveError(f"flow of {cell.name}: {name} must be at least 1, found {value}")
    module = compiled(cell)
    params = parameters(cell, module, start, H, seed)
    spec = _Steps(module, params, samples, H)
    before = spec.states_of(inputs * np.random.default_rng([seed, 1]).normal(size=(T, samples, spec.width)))
    where = _places(spec.sizes)
    identity = np.broadcast_to(np.eye(spec.total), (samples, spec.total, spec.total))
    total, alone, last = identity, {s: identity[:, w, w] for s, w in where.items()}, identity
    norms: dict[str, list[float]] = {name: [1.0] for name in (WHOLE, *spec.sizes)}
    own: dict[str, list[float]] = {name: [1.0] for name in spec.sizes}
    for step in range(T, 0, -1):
        jacobian, total = spec.back(step, before, [identity, total])
        last = jacobian if step == T else last
        norms[WHOLE].append(_norm(total))
        for state, w in where.items():
            norms[state].append(_norm(total[:, w, w]))
            with np.errstate(all="ignore"):  # a product that explodes ends as inf, which the norm says
                alone[state] = alone[state] @ jacobian[:, w, w]
            own[state].append(_norm(alone[state]))
    return Flow(
        cell.name,
        start,
        tuple(keeping(cell.source)),
        spec.sizes,
        T,
        H,
        seed,
        np.arange(T + 1),
        {name: np.array(values) for name, values in norms.items()},
        {name: np.array(values) for name, values in own.items()},
        last,
        np.linalg.svd(last, compute_uv=False),
        np.linalg.eigvals(last).astype(complex),
    )


def compiled(cell: Cell, loss: Loss | None = None) -> ModuleType:
    """The generated module of a cell, or one that is built now: then a compiler is needed, and an error says so."""
    usual = loss is None or loss is registry.loss("squared_error")
    if usual and registry.is_shipped(cell.name) and registry.cell(cell.name) is cell:
        try:
            return importlib.import_module(f"derive.generated.{cell.name}")
        except ImportError:
            pass  # not generated, or not compiled: build it as a cell of one's own
    return build(cell, loss)


# -- one step at a time ------------------------------------------------------------------------------------------------


class _Steps:
    """Single steps of a compiled cell, forwards and backwards."""

    def __init__(self, module: ModuleType, params: dict[str, Array], samples: int, size: int) -> None:
        self.module, self.params, self.samples = module, params, samples
        arguments = module.SPEC["arguments"]
        self.inputs = {n: (size,) * (len(axes) - 2) for n, (role, *axes) in arguments.items() if role == "input"}
        self.states = {s: (size,) * (len(arguments[f"{s}_0"]) - 2) for s in module.SPEC["states"]}  # axes of a row
        self.sizes = {s: prod(row) for s, row in self.states.items()}
        self.width, self.total = sum(map(prod, self.inputs.values())), sum(self.sizes.values())
        if self.total > LARGEST:
            raise DeriveError(
                f"flow of {module.SPEC['name']}: its states have {self.total} numbers at H={size}, and every pair of them "
                f"has a derivative; give an H with at most {LARGEST} numbers"
            )
        self.x: Array = None

    def given(self, x: Array) -> tuple[Array, dict[str, Array]]:
        """The first input, and the others by name: the parts of the last axis, one for each."""
        ends = np.cumsum([prod(row) for row in self.inputs.values()])[:-1]
        parts = zip(np.split(x, ends, axis=-1), self.inputs.values(), strict=True)
        first, *others = (np.ascontiguousarray(part.reshape(*x.shape[:-1], *row)) for part, row in parts)
        return first, dict(zip(list(self.inputs)[1:], others, strict=True))

    def states_of(self, x: Array) -> list[tuple[Array, ...]]:
        """Run forwards from zero; returns the state before each step."""
        self.x = x
        state = tuple(np.zeros((self.samples, *row)) for row in self.states.values())
        found = []
        for step in range(len(x)):
            found.append(state)
            first, others = self.given(x[step : step + 1])
            _, state = self.module.infer(first, self.params, state, **others)
        return found

    def back(self, step: int, before: list[tuple[Array, ...]], rows: Iterable[Array]) -> list[Array]:
        """Rows (samples, R, S) of derivatives by s(step) -> the same rows of derivatives by s(step-1)."""
        many = self.total
        state = tuple(np.repeat(s, many, axis=0) for s in before[step - 1])
        first, others = self.given(np.repeat(self.x[step - 1], many, axis=0)[None])
        _, _, tape = self.module.forward(first, self.params, state, threads=1, **others)
        found = []
        for matrix in rows:
            seeds = tuple(
                np.ascontiguousarray(matrix[:, :, w].reshape(self.samples * many, *row))
                for w, row in zip(_places(self.sizes).values(), self.states.values(), strict=True)
            )
            grads = self.module.backward(tape, None, seeds, wrt=[f"{s}0" for s in self.sizes])
            parts = [grads[f"{s}0"].reshape(self.samples, many, -1) for s in self.sizes]
            found.append(np.concatenate(parts, axis=2))
        return found


def _places(sizes: dict[str, int]) -> dict[str, slice]:
    """Where each state lies in the concatenation of all."""
    ends = np.cumsum(list(sizes.values()))
    return {s: slice(int(end) - n, int(end)) for (s, n), end in zip(sizes.items(), ends, strict=True)}


def _norm(matrices: Array) -> float:
    """The median of the spectral norms; infinite where a number is not finite."""
    if not np.isfinite(matrices).all():
        return float("inf")
    return float(np.median(np.linalg.norm(matrices, ord=2, axis=(1, 2))))


# -- parameters --------------------------------------------------------------------------------------------------------


def parameters(cell: Cell, module: ModuleType, start: Start, H: int, seed: int) -> dict[str, Array]:
    """The parameters of a start, float64: `init_params`, then the recurrent scale and the bias of the keeping gates."""
    program = cell.source
    sizes = {name: H for name in module.SPEC["dims"].values()}
    params: dict[str, Array] = module.init_params(**sizes, dtype=np.float64, seed=seed)
    if start.scale is not None:
        rng = np.random.default_rng([seed, 2])
        if not recurrent(program):
            raise DeriveError(f"cell {cell.name}: no square matrix meets an old state, so there is no recurrent scale")
        for name in recurrent(program):
            orthogonal, _ = np.linalg.qr(rng.normal(size=(H, H)))
            _part(program, params, name)[...] = start.scale * orthogonal
    if start.keep is not None:
        gates = keeping(program)
        if not gates:
            raise DeriveError(f"cell {cell.name}: no gate multiplies an old state, so no bias would keep it")
        for gate, sign in gates.items():
            names = biases(program, gate)
            if not names:
                raise DeriveError(f"cell {cell.name}: the gate {gate} keeps a state, but it has no bias of its own")
            for position, name in enumerate(names):
                _part(program, params, name)[...] = 0.0 if position else sign * start.keep
    return params


def starts(cell: str | Cell, scales: Iterable[float] = (), keeps: Iterable[float] = ()) -> list[Start]:
    """The starts to compare: all pairs of what is given, as far as the cell has a place for it.

    Where nothing is given: the biases 0, 1 and 3 of the gates that keep a state, with recurrent scale 1; for a cell
    without such gates the recurrent scales 0.9, 1 and 1.1.
    """
    cell = registry.cell(cell) if isinstance(cell, str) else cell
    program = cell.source
    gates, square = keeping(program), recurrent(program)
    gated = bool(gates) and all(biases(program, gate) for gate in gates)
    if not (scales or keeps):
        scales, keeps = ((1.0,), (0.0, 1.0, 3.0)) if gated else ((0.9, 1.0, 1.1), ())
    none: list[float | None] = [None]
    return [
        Start(keep, scale)
        for scale in (([*scales] or none) if square else none)
        for keep in (([*keeps] or none) if gated else none)
    ]


def keeping(program: Program) -> dict[str, int]:
    """The gates by which the old value of a state is multiplied: +1 where the gate itself keeps, -1 where 1 - gate does.

    c[t] = f[t] c[t-1] + i[t] g[t]      ->  {"f": +1}
    h[t] = (1 - z[t]) h[t-1] + z[t] n[t]  ->  {"z": -1}
    """
    found: dict[str, int] = {}
    for equation in program.equations:
        if equation.target not in program.facts.states or not equation.lhs.has(t):
            continue
        own = equation.lhs.xreplace({t: t - 1})
        factor = equation.rhs.diff(own) if equation.rhs.has(own) else sp.Integer(0)
        for access in ir.accesses(factor, program.tensors):
            slope = factor.diff(access)
            if ir.name_of(access) in program.facts.gates and slope.is_number and slope != 0:
                found[ir.name_of(access)] = 1 if slope > 0 else -1
    return found


def recurrent(program: Program) -> list[str]:
    """The square parameters that meet a state of the step before in a sum."""
    found = []
    for equation in program.equations:
        for total in equation.rhs.atoms(sp.Sum):
            read = {ir.name_of(a): a for a in ir.accesses(total.function, program.tensors)}
            from_past = any(n in program.facts.states and ir.offset(a.indices[0]) == -1 for n, a in read.items())
            for name in read:
                tensor = program.tensors[name]
                if from_past and tensor.role == "param" and len(tensor.dims) == 2 and len(set(tensor.dims)) == 1:
                    found.append(name)
    return list(dict.fromkeys(found))


def biases(program: Program, gate: str) -> list[str]:
    """The vectors of a gate that are added, unscaled, to what it is computed from."""
    added = {ir.name_of(term) for e in program.equations for term in ir.terms(e.rhs) if isinstance(term, Indexed)}
    return [x.name for x in program.of_role("param") if x.member == gate and len(x.dims) == 1 and x.name in added]


def _part(program: Program, params: dict[str, Array], name: str) -> Array:
    """The rows of a public array that belong to one tensor of the cell; a view."""
    array, position = parameter(program, program.tensors[name])
    whole = params[array]
    if not is_stacked(program, program.tensors[name]):
        return whole
    rows = len(whole) // len(program.facts.gates)
    return whole[position * rows : (position + 1) * rows]
