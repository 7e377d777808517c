"""What a cell is called with: every argument of every call, derived from the program.

    infer           inputs, parameters, initial states                      -> output, final states
    forward         the same                                                -> output, final states, tape
    backward        the same, output, tape, seeds                           -> gradients
    loss_and_grad   inputs, parameters, initial states, targets, seeds      -> loss, gradients

The header, the C functions, the Python module and the runtime read this list.  `argument_places` says where the tensors of a
program lie in these arrays.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import sympy as sp

from derive import ir
from derive.errors import EngineError
from derive.ir import Program, Tensor
from derive.notation.public import TARGETS, input_names, is_stacked, parameter, public_name, target_names
from derive.notation.reserved import CONTROLS, is_reserved
from derive.passes.storage import Place

__all__ = [
    "CONTROLS",
    "Argument",
    "Call",
    "Signature",
    "argument_name",
    "argument_places",
    "extent",
    "initial_of",
    "is_ambiguous",
    "input_names",
    "is_reserved",
    "is_stacked",
    "own_places",
    "parameter",
    "public_name",
    "signature",
    "target_names",
    "verify_signature",
]

AMBIGUOUS = (
    "_",
    "_prev",
    "_next",
    "_ld",
)  # endings of names that could be those of another name with an ending of ours


def extent(axis: str) -> tuple[int, str]:
    """An axis as a number and a size: 4*H is (4, "H"), H is (1, "H")."""
    many, _, size = axis.rpartition("*")
    return int(many or 1), size


@dataclass(frozen=True)
class Argument:
    """An array, a number or a buffer that a caller owns.

    `role`: input, param, initial, output, final, tape, target, weight, count, loss, seed, gradient or workspace.
    `shape`: its axes, each T, B or a multiple of a dimension such as 4*H; a loss has none, a tape and a workspace are bytes.
    `direction`: in, out, inout, or scratch for what a call writes and its caller does not ask for.  `optional`: NULL says that
    it is not wanted.  `of`: the argument whose gradient, seed or end of time it is.
    """

    name: str
    role: str
    shape: tuple[str, ...] = ()
    type: str = "real"
    direction: str = "in"
    optional: bool = False
    of: str = ""

    @property
    def timed(self) -> bool:
        """Whether it has a value for each step."""
        return "T" in self.shape

    @property
    def row(self) -> tuple[str, ...]:
        """The axes other than time and batch: H, or N and D; none for one number."""
        return tuple(axis for axis in self.shape if axis not in ("T", "B"))

    @property
    def width(self) -> str:
        """The values of a row as text: H, or N * D; 1 for one number."""
        return " * ".join(self.row) or "1"

    @property
    def values(self) -> sp.Expr:
        """The same as an expression of sizes; of a parameter all its numbers, such as 4*H*I."""
        return sp.Mul(*(number * ir.dimension(size) for number, size in map(extent, self.row)))

    def lengths(self, sizes: Mapping[str, int]) -> tuple[int, ...]:
        """Its axes as numbers."""
        return tuple(number * sizes[size] for number, size in map(extent, self.shape))


@dataclass(frozen=True)
class Call:
    """One function of a cell and its arguments, in the order in which the runtime hands them over."""

    name: str
    arguments: tuple[Argument, ...]

    def of(self, *directions: str) -> list[Argument]:
        """The arguments of some directions."""
        return [a for a in self.arguments if a.direction in directions]


@dataclass(frozen=True)
class Signature:
    """The calls of a cell.  `dims`: the keyword of each size; `arguments`: those of all calls, in the order of the C struct.

    `classes`: the targets that are whole numbers, each with the dimension of the units that they name, from 0.
    """

    name: str
    dims: dict[str, str]
    gates: tuple[str, ...]
    states: tuple[str, ...]
    arguments: tuple[Argument, ...]
    calls: tuple[Call, ...]
    classes: dict[str, str] = field(default_factory=dict)

    def of_role(self, *roles: str) -> list[Argument]:
        """The arguments of some roles."""
        return [a for a in self.arguments if a.role in roles]

    def gradients_of(self, *roles: str) -> list[Argument]:
        """The gradients of the arguments of some roles."""
        of = {a.name for a in self.of_role(*roles)}
        return [a for a in self.of_role("gradient") if a.of in of]

    def call(self, name: str) -> Call:
        """A call by its name."""
        return next(c for c in self.calls if c.name == name)

    @property
    def inputs(self) -> dict[str, str]:
        """The size of each input, in the order of the arguments of the cell."""
        return {a.name: a.width for a in self.of_role("input")}

    @property
    def params(self) -> dict[str, tuple[str, ...]]:
        """The shape of each parameter."""
        return {a.name: a.shape for a in self.of_role("param")}

    @property
    def output(self) -> Argument:
        """What infer returns for each step."""
        return self.of_role("output")[0]

    @property
    def targets(self) -> list[Argument]:
        """What the loss reads beside the output: y, with which it compares that, then weights and the like."""
        return self.of_role(*TARGETS)

    @property
    def widths(self) -> list[sp.Expr]:
        """The values of a row of all arrays with time, each once."""
        timed = [a for a in (*self.of_role("input"), self.output, *self.targets) if a.timed]
        return list(dict.fromkeys(a.values for a in timed))

    def dump(self) -> str:
        """One line for each argument, then one for each call."""
        lines = [
            f"  {a.name:<16} {a.role:<10} {'(' + ', '.join(a.shape) + ')' if a.type == 'real' else a.type:<16}"
            + (f" of {a.of}" if a.of else "")
            + (", may be NULL" if a.optional else "")
            for a in self.arguments
        ]
        marks = {"in": "", "out": "out ", "inout": "in out ", "scratch": "scratch "}
        said = [f"{c.name}({', '.join(marks[a.direction] + a.name for a in c.arguments)})" for c in self.calls]
        return "\n".join([f"signature {self.name}", *(line.rstrip() for line in lines), *said])

    def constant(self, argument: Argument) -> bool:
        """Whether no call writes an argument."""
        found = [a.direction for c in self.calls for a in c.arguments if a.name == argument.name]
        return all(direction == "in" for direction in found)


def signature(primal: Program, loss: Program) -> Signature:
    """The calls of a cell with a loss: two programs for one sequence.  Raises EngineError for what no call can be."""
    names = input_names(primal)
    states = tuple(primal.facts.states)
    params: dict[str, tuple[str, ...]] = {}
    for tensor in primal.of_role("param"):
        array, _ = parameter(primal, tensor)
        shape = tuple(map(str, tensor.dims))
        many = len(primal.facts.gates) if is_stacked(primal, tensor) else 1
        params[array] = (f"{many}*{shape[0]}", *shape[1:]) if many > 1 else shape

    def row(tensor: Tensor) -> tuple[str, ...]:
        return ("B", *map(str, tensor.dims))

    def timed(tensor: Tensor) -> tuple[str, ...]:
        return ("T", *row(tensor))

    shapes = {s: row(primal.tensors[s]) for s in states}
    out = timed(primal.tensors[primal.facts.output])
    inputs = [Argument(public, "input", timed(primal.tensors[n])) for n, public in names.items()]
    weights = [Argument(n, "param", shape) for n, shape in params.items()]
    initials = [Argument(f"{s}_0", "initial", shape, of=s) for s, shape in shapes.items()]
    output = Argument("out", "output", out, direction="out")
    finals = [Argument(f"{s}_T", "final", shape, direction="out", of=s) for s, shape in shapes.items()]
    tape = Argument("tape", "tape", type="bytes", direction="out")
    judged = {public: loss.tensors[n] for n, public in target_names(loss).items()}
    targets = [
        Argument(public, x.role, timed(x) if x.time is not None else tuple(map(str, x.dims)))
        for public, x in judged.items()
    ]
    total = Argument("loss", "loss", direction="out")
    d_out = Argument("d_out", "seed", out, of="out")
    seeds = [Argument(f"d_{s}_T", "seed", shape, of=f"{s}_T") for s, shape in shapes.items()]
    gradients = [
        Argument(f"d_{a.name}", "gradient", a.shape, "real", "out", a.role == "input", a.name)
        for a in (*inputs, *weights, *initials)
    ]
    workspace = Argument("workspace", "workspace", type="bytes", direction="scratch")

    reads = (*inputs, *weights, *initials)
    results = (output, *finals)
    calls = (
        Call("infer", (*reads, *results, workspace)),
        Call("forward", (*reads, *results, tape, workspace)),
        Call(
            "backward",
            (*reads, *(replace(a, direction="in") for a in (output, tape)), d_out, *seeds, *gradients, workspace),
        ),
        Call(
            "loss_and_grad",
            (
                *reads,
                *targets,
                *seeds,
                total,
                *gradients,
                *(replace(a, direction="scratch") for a in (*results, tape, d_out)),
                workspace,
            ),
        ),
    )
    arguments = (*reads, *results, tape, *targets, total, d_out, *seeds, *gradients, workspace)
    classes = {public: loss.facts.classes[n] for n, public in target_names(loss).items() if n in loss.facts.classes}
    made = Signature(
        primal.name, dict(primal.facts.sizes), tuple(primal.facts.gates), states, arguments, calls, classes
    )
    return verify_signature(made)


def verify_signature(made: Signature) -> Signature:
    """Check names, shapes and calls; return the signature or raise an EngineError that names the argument."""

    def wrong(name: str, what: str) -> EngineError:
        return EngineError(f"{made.name}: the signature is wrong at {name}: {what}")

    names = [*(a.name for a in made.arguments), *CONTROLS, "T", "B", *made.dims]
    for name in names:
        if names.count(name) > 1:
            raise wrong(name, "two arguments have this name")
    by_name = {a.name: a for a in made.arguments}
    for name in by_name:
        if not name.isidentifier() or is_reserved(name):
            raise wrong(name, "it is no name for a member of a struct")
    told = {extent(axis)[1] for a in made.of_role("input", "param") for axis in a.shape}
    for argument in made.arguments:
        for axis in argument.shape:
            if (dim := extent(axis)[1]) not in ("T", "B", *made.dims):
                raise wrong(argument.name, f"its axis {axis} is no size")
            if dim not in told:
                raise wrong(argument.name, f"no parameter and no input tells its axis {axis}")
        if argument.role in ("gradient", "seed"):
            of = by_name.get(argument.of)
            if of is None or of.shape != argument.shape:
                raise wrong(argument.name, f"it has not the shape of {argument.of}")
    for call in made.calls:
        used = [a.name for a in call.arguments]
        if lost := [n for n in used if n not in by_name or used.count(n) > 1]:
            raise wrong(lost[0], f"{call.name} has it twice, or no struct has it")
    if unused := [n for n in by_name if not any(n == a.name for c in made.calls for a in c.arguments)]:
        raise wrong(unused[0], "no call has it")
    return made


# -- where the tensors of a program lie --------------------------------------------------------------------------------


def argument_name(name: str) -> str:
    """The name of a tensor as that of an array: primes become underscores, a word that has a meaning gets one behind it."""
    base = name.replace("'", "_")
    return f"{base}_" if is_reserved(base) or is_ambiguous(name) else base


def is_ambiguous(name: str) -> bool:
    """Whether a name could be that of another tensor with an ending of ours."""
    return name.endswith(AMBIGUOUS) or "_along" in name


def argument_places(program: Program) -> dict[str, Place]:
    """The tensors that the caller owns, by the names of the public interface."""
    gates = list(program.facts.gates)
    places: dict[str, Place] = {}
    output = program.facts.output
    # The loss of a cell reads the cell's output.
    names = {**input_names(program), **target_names(program), output: "out"}
    for tensor in program.tensors.values():
        name = tensor.name
        primal = program.tensors[tensor.primal] if tensor.primal in program.tensors else tensor
        dim = ir.width(tensor)
        if primal.role == "param" and tensor.role in ("param", "gradient"):
            array, slot = parameter(program, primal)
            prefix = "d_" if tensor.role == "gradient" else ""
            places[name] = Place(
                "arg", prefix + array, slot, len(gates) if slot or is_stacked(program, primal) else 1, dim
            )
        elif tensor.role in ("input", *TARGETS):
            places[name] = Place("arg", names[name], dim=dim, timed=tensor.time is not None)
        elif name == output:
            places[name] = Place("arg", "out", dim=dim, timed=True, initial=initial_of(program, name))
        elif tensor.role == "gradient" and primal.role == "input":
            places[name] = Place("arg", f"d_{names[primal.name]}", dim=dim, timed=True)
        elif tensor.role == "seed":
            places[name] = Place(
                "arg", "d_out" if tensor.time is not None else name, dim=dim, timed=tensor.time is not None
            )
        elif tensor.role in ("initial", "final") or (tensor.role == "gradient" and primal.role == "initial"):
            places[name] = Place("arg", name, dim=dim)
        elif tensor.role == "loss":
            places[name] = Place("arg", "loss")
    return places


def own_places(program: Program) -> dict[str, Place]:
    """An array of its own for every input and every output of a program, each under the name of its tensor."""
    names = [n for n in program.tensors if n in program.inputs or n in program.outputs]
    found = {}
    for name in names:
        tensor = program.tensors[name]
        dim = ir.width(tensor)
        found[name] = Place("arg", argument_name(name), dim=dim, timed=tensor.time is not None)
    return found


def initial_of(program: Program, name: str) -> str:
    """The argument that stands for a state at t = 0; empty for what is no state."""
    return f"{name}_0" if name in program.facts.states else ""
