"""Every numerical check of a cell, as rows of a table.

    complex step   the derived adjoint, interpreted in float64, against a complex step through the forward equations;
                   sees a wrong term, sign or time index in any derived equation
    mpmath         the compiled C in both precisions against a complex step in 50 digits through the same equations
    NumPy          the compiled C against the hand-written forward pass and BPTT of derive/verify/references/
    PyTorch        the compiled C against autograd, where torch is installed

All sizes are odd, T >= 3, initial states are not zero, weights differ in every gate, there is a loss at every step, and
every gradient is compared.  The error is normwise, ||value - reference|| / ||reference||; limits are below.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np

from derive import ir, registry
from derive.building import build
from derive.errors import DeriveError
from derive.ir import Program
from derive.notation import Cell, Loss
from derive.passes.adjoint import adjoint_name
from derive.pipeline import Model, model
from derive.rendering import ROOT
from derive.signature import extent, input_names, is_stacked, parameter, target_names
from derive.toolchain.compiler import compile_folder
from derive.verify.interpreter import run as interpret
from derive.verify.references import get as reference_of
from derive.verify.references import numerics, pytorch

# The derived adjoint in float64: some tens of roundings of 1.1e-16 each, hundreds where a norm amplifies them.
LIMIT_COMPLEX_STEP = 1e-13
# The compiled C, in units of the machine epsilon of its type: sums of some tens of terms.  A cell that normalises
# divides by a standard deviation of few values, which multiplies the rounding of its inputs.
LIMIT_EPS = 32.0
SMALL = {"T": 3, "B": 2, "I": 2, "H": 3, "O": 2}
ODD = {"T": 7, "B": 3, "I": 5, "H": 9, "O": 4}


@dataclass(frozen=True)
class Row:
    """One comparison: an error and the limit that it must not pass."""

    cell: str
    dtype: str
    gradient: str
    reference: str
    error: float
    limit: float

    @property
    def ok(self) -> bool:
        return bool(self.error <= self.limit)  # NaN is not below any limit


def run(name: str | Cell, loss: Loss | None = None, progress: Callable[[str], None] = lambda step: None) -> list[Row]:
    """All checks of one cell, given by name or file or as it is.

    Raises DeriveError if there is no such cell or its C does not compile.
    """
    own = not isinstance(name, str) or loss is not None or not registry.is_shipped(name)
    cell = registry.cell(name) if isinstance(name, str) else name
    made = model(cell, loss)
    name = cell.name
    progress(f"{name}: complex step")
    rows = derivation(made)
    progress(f"{name}: compiling")
    module = build(cell, loss) if own else _compiled(name)
    progress(f"{name}: 50 digits")
    rows += compiled(made, module, "mpmath", SMALL, lambda problem: fifty_digits(made, problem))
    written = None if own else reference_of(name)
    if written is not None:
        progress(f"{name}: NumPy")
        rows += compiled(made, module, "NumPy", ODD, lambda q: written.loss_and_grad(q.x, q.y, q.params, q.state))
    if not own and pytorch.available(name):
        progress(f"{name}: PyTorch")
        rows += compiled(
            made, module, "PyTorch", ODD, lambda q: pytorch.loss_and_grad(name, q.x, q.y, q.params, q.state)
        )
    return rows


def _compiled(name: str) -> ModuleType:
    """The generated module; compiled first where it is out of date in a checkout."""
    folder = ROOT / "generated" / name
    if folder.is_dir():
        compile_folder(folder)
    try:
        return importlib.import_module(f"derive.generated.{name}")
    except ImportError as error:
        raise DeriveError(str(error)) from error


# -- the derivation ----------------------------------------------------------------------------------------------------


def derivation(made: Model) -> list[Row]:
    """The simplified adjoint, each gradient, against the complex step."""
    errors = adjoint_errors(made.adjoint)
    return [
        Row(made.name, "float64", _shown(made, name), "complex step", error, LIMIT_COMPLEX_STEP)
        for name, error in errors.items()
    ]


def _shown(made: Model, name: str) -> str:
    tensor = made.primal.tensors[name]
    if tensor.role == "param":
        array, _ = parameter(made.primal, tensor)
        return f"{array}[{tensor.member}]" if tensor.member and not array.endswith(f"_{tensor.member}") else array
    return name.replace("_0", "0")


def adjoint_errors(
    program: Program,
    sizes: Mapping[str, int] | None = None,
    seed: int = 0,
    expected: Mapping[str, Any] | None = None,
) -> dict[str, float]:
    """Normwise error of every gradient of a `vjp` result (simplified or not, mutated or not) against the complex step.

    The objective is the sum of all outputs, each entry weighted by its seed; gradients run over all differentiable
    inputs of the primal program.  Keys are the names of the inputs.  `expected` saves the complex step where several
    variants of one program are compared: see `expected_gradients`.
    """
    numbers = _numbers(program, sizes)
    wanted = expected_gradients(program, sizes, seed) if expected is None else expected
    found = interpret(program, draw(program, numbers, seed), numbers)
    return {n: float(numerics.normwise_error(found[adjoint_name(n)], value)) for n, value in wanted.items()}


def expected_gradients(program: Program, sizes: Mapping[str, int] | None = None, seed: int = 0) -> dict[str, Any]:
    """The gradients that a `vjp` result should have, by a complex step through the program that was differentiated."""
    primal = program.primal
    if primal is None:
        raise DeriveError(f"{program.name} is no result of vjp: it has no primal program")
    numbers = _numbers(program, sizes)
    values = draw(program, numbers, seed)
    inputs = {n: values[n] for n in primal.inputs}
    wrt = [x.name for x in primal.tensors.values() if x.name in inputs and adjoint_name(x.name) in program.tensors]
    return {name: _complex_step(primal, inputs, name, values, numbers) for name in wrt}


def _numbers(program: Program, sizes: Mapping[str, int] | None) -> dict[str, int]:
    dims = {str(d): 3 for x in program.tensors.values() for d in x.dims}
    return {**SMALL, **dims, **(sizes or {"T": 4, "I": 2, "O": 2})}


def draw(program: Program, sizes: Mapping[str, int], seed: int) -> dict[str, Any]:
    """Random values of all inputs of a program: no two alike, none zero."""
    rng = np.random.default_rng(seed)
    values = {}
    for name in program.inputs:
        tensor = program.tensors[name]
        shape = [sizes[str(d)] for d in tensor.dims]
        if tensor.time is not None:
            shape.insert(0, int((tensor.time[1] - tensor.time[0] + 1).subs(ir.T, sizes["T"])))
        values[name] = rng.normal(size=shape) * 0.6 + 0.1
    return values


def _complex_step(
    primal: Program, inputs: Mapping[str, Any], name: str, seeds: Mapping[str, Any], sizes: Mapping[str, int]
) -> Any:
    """d(objective)/d(name) with one run: every element of `name` gets its own slice of a sweep."""
    value = np.asarray(inputs[name], dtype=complex)
    swept = np.broadcast_to(value, (value.size, *value.shape)).copy()
    swept.reshape(value.size, -1)[np.arange(value.size), np.arange(value.size)] += 1e-30j
    found = interpret(primal, {**inputs, name: swept}, sizes)
    total = sum(_weighted(primal, output, found[output], seeds) for output in primal.outputs)
    return (np.imag(total) / 1e-30).reshape(value.shape)


def _weighted(primal: Program, output: str, value: Any, seeds: Mapping[str, Any]) -> Any:
    """<seed, output> for each slice of the sweep; the seed of a scalar is 1."""
    tensor = primal.tensors[output]
    seed = seeds.get(f"seed_{output}", seeds.get(adjoint_name(output), np.ones(())))
    if tensor.time is not None and tensor.time[0] == 0 and seed.shape != value.shape[1:]:
        value = value[:, 1:]  # h(0) is the initial state, no output
    return (value * seed).reshape(value.shape[0], -1).sum(axis=1)


# -- the compiled module -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Problem:
    """Arguments of a call in float64, rounded to the precision that is tested; `inputs`, `targets` by their public names."""

    inputs: dict[str, Any]
    targets: dict[str, Any]
    params: dict[str, Any]
    state: tuple[Any, ...]

    @property
    def x(self) -> Any:
        """The first input."""
        return next(iter(self.inputs.values()))

    @property
    def y(self) -> Any:
        """The first target."""
        return self.targets["y"]


def problem(made: Model, sizes: Mapping[str, int], dtype: Any, seed: int = 0, positive: bool = False) -> Problem:
    """A drawn problem: what both sides compute with is exactly representable in `dtype`; `positive`: targets are."""
    rng = np.random.default_rng(seed)

    def array(*shape: int) -> Any:
        return np.asarray(rng.normal(size=shape) * 0.5 + 0.05).astype(dtype).astype(np.float64)

    def drawn(*roles: str) -> dict[str, Any]:
        return {a.name: array(*a.lengths(sizes)) for a in made.signature.of_role(*roles)}

    params, inputs, targets = drawn("param"), drawn("input"), drawn("target")
    for name, values in targets.items():
        if name in made.signature.classes:
            targets[name] = np.floor(np.abs(values) * 1000) % sizes[made.signature.classes[name]]
        elif positive:
            targets[name] = np.abs(values) + 0.25
    weights = {n: np.abs(values) + 0.25 for n, values in drawn("weight").items()}
    return Problem(inputs, targets | weights, params, tuple(drawn("initial").values()))


def compiled(
    made: Model,
    module: ModuleType,
    title: str,
    sizes: Mapping[str, int],
    reference: Callable[[Problem], tuple[Any, Mapping[str, Any]]],
) -> list[Row]:
    """Loss and gradients of `loss_and_grad`, in float64 and float32, against a reference in float64 or better."""
    rows = []
    sizes = {**{d: 3 for d in made.meta["dims"]}, **sizes}
    for dtype in (np.float64, np.float32):
        for positive in (False, True):
            drawn = problem(made, sizes, dtype, positive=positive)
            x, *others = ((n, a.astype(dtype)) for n, a in drawn.inputs.items())
            params = {n: a.astype(dtype) for n, a in drawn.params.items()}
            state = tuple(a.astype(dtype) for a in drawn.state)
            y, *beside = ((n, a.astype(dtype)) for n, a in drawn.targets.items())
            loss, grads = module.loss_and_grad(x[1], y[1], params, state, **dict([*others, *beside]))
            if np.isfinite(loss):  # a loss may want positive numbers, such as variances
                break
        expected_loss, expected = reference(drawn)
        limit = LIMIT_EPS * float(np.finfo(dtype).eps)
        pairs = {"loss": (np.asarray(loss), np.asarray(expected_loss)), **{n: (grads[n], expected[n]) for n in grads}}
        for name, (value, wanted) in pairs.items():
            rows.append(
                Row(made.name, np.dtype(dtype).name, name, title, float(numerics.normwise_error(value, wanted)), limit)
            )
    return rows


def fifty_digits(made: Model, drawn: Problem) -> tuple[Any, dict[str, Any]]:
    """Loss and gradients by a complex step in 50 digits, through the interpreter on the cell's own equations.

    The derivative of a sum over sequences is taken one sequence at a time: the program is the one that people wrote.
    """
    import mpmath

    primal, objective = made.primal, made.loss.primal
    assert objective is not None
    sizes = {**{d: n for d, n in zip(made.meta["dims"], _dims(made, drawn), strict=True)}, "T": len(drawn.x)}
    total: Any = mpmath.mpf(0)
    grads: dict[str, Any] = {}
    with mpmath.workdps(60):
        step = mpmath.mpc(0, mpmath.mpf(10) ** -40)
        for row in range(drawn.x.shape[1]):
            values = {n: numerics.to_mp(a) for n, a in inputs_of(made, drawn, row).items()}
            targets = {n: numerics.to_mp(a) for n, a in targets_of(objective, drawn, row).items()}
            total += loss_of(primal, objective, values, targets, sizes)[()]
            for name, value in values.items():
                swept = np.broadcast_to(value, (value.size, *value.shape)).copy()
                flat = swept.reshape(value.size, -1)
                for k in range(value.size):
                    flat[k, k] = flat[k, k] + step
                losses = loss_of(primal, objective, {**values, name: swept}, targets, sizes)
                part = np.array([mpmath.im(v) * mpmath.mpf(10) ** 40 for v in losses], dtype=object).reshape(
                    value.shape
                )
                collect(made, grads, name, part, row, drawn)
    return total, grads


def _dims(made: Model, drawn: Problem) -> list[int]:
    """The sizes behind the dimensions of a problem, read off its arrays."""
    known: dict[str, int] = {}
    arrays = {**drawn.inputs, **drawn.params}
    for argument in made.signature.of_role("input", "param"):
        for axis, size in zip(argument.shape, arrays[argument.name].shape, strict=True):
            many, dim = extent(axis)
            known[dim] = size // many
    return [known[d] for d in made.meta["dims"]]


def inputs_of(made: Model, drawn: Problem, row: int) -> dict[str, Any]:
    """The values of one sequence, by the names of the cell's own tensors."""
    primal, gates = made.primal, len(made.primal.facts.gates)
    values: dict[str, Any] = {}
    for name in primal.inputs:
        tensor = primal.tensors[name]
        if tensor.role == "param":
            array, gate = parameter(primal, tensor)
            whole = drawn.params[array]
            values[name] = np.split(whole, gates)[gate] if is_stacked(primal, tensor) else whole
        elif tensor.role == "initial":
            values[name] = drawn.state[list(made.meta["states"]).index(name.removesuffix("_0"))][row]
        else:
            values[name] = drawn.inputs[input_names(primal)[name]][:, row]
    return values


def targets_of(objective: Program, drawn: Problem, row: int) -> dict[str, Any]:
    """What the loss of one sequence reads beside the prediction, by the names of the loss's own tensors."""
    found = {}
    for name, public in target_names(objective).items():
        tensor = objective.tensors[name]
        if tensor.role == "count":
            weights = [drawn.targets[x.name] for x in objective.of_role("weight")]
            found[name] = np.asarray(float(weights[0].sum() if weights else np.prod(drawn.x.shape[:2])))
        else:
            found[name] = drawn.targets[public] if tensor.time is None else drawn.targets[public][:, row]
    return found


def loss_of(
    primal: Program, objective: Program, values: Mapping[str, Any], targets: Mapping[str, Any], sizes: Mapping[str, int]
) -> Any:
    """The loss of one sequence, by the interpreter; a leading axis of the values sweeps over problems."""
    output = primal.facts.output
    out = interpret(primal, values, sizes)[output]
    time = primal.tensors[output].time
    swept = out.ndim > len(primal.tensors[output].dims) + 1
    if time is not None and time[0] == 0:
        out = out[:, 1:] if swept else out[1:]
    (prediction,) = objective.of_role("input")
    return interpret(objective, {prediction.name: out, **targets}, sizes)[objective.of_role("loss")[0].name]


def collect(made: Model, grads: dict[str, Any], name: str, part: Any, row: int, drawn: Problem) -> None:
    """Add the gradient of one sequence with respect to one tensor to the public arrays."""
    tensor = made.primal.tensors[name]
    if tensor.role == "param":
        array, gate = parameter(made.primal, tensor)
        whole = grads.setdefault(array, numerics.to_mp(np.zeros_like(drawn.params[array])))
        if is_stacked(made.primal, tensor):
            whole = np.split(whole, len(made.primal.facts.gates))[gate]  # a view of it
        whole += part
    elif tensor.role == "initial":
        key = f"{name.removesuffix('_0')}0"
        state = drawn.state[list(made.meta["states"]).index(name.removesuffix("_0"))]
        grads.setdefault(key, numerics.to_mp(np.zeros_like(state)))[row] = part[()]  # of a number itself
    else:
        public = input_names(made.primal)[name]
        grads.setdefault(public, numerics.to_mp(np.zeros_like(drawn.inputs[public])))[:, row] = part
