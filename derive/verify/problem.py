"""Problems for any cell: sizes that are all different, and values in a range where its functions are defined."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from derive.ir import Program, Tensor
from derive.signature import input_names, parameter

Array = Any

# How values are drawn: (lowest, highest) of a uniform distribution, from what suits most cells to what suits few.
# A logarithm or a root of a state wants positive numbers, a steep power small ones.
RANGES = ((-1.0, 1.0), (-0.4, 0.4), (0.2, 0.9), (0.05, 0.3), (-0.9, -0.2), (-0.05, 0.05), (1.2, 2.0))


@dataclass(frozen=True)
class Problem:
    """What one comparison computes with, exactly representable in float32.

    `sizes` has T, B and every dimension of the cell.  `values` are the inputs of the cell's program by the names of its
    tensors: parameters (*dims), inputs (B, T, *dims), initial states (B, *dims).  `d_out` (B, T, *dims) and `d_state` are the
    derivatives of an objective with respect to the outputs and the final states, `targets` what the loss reads beside the
    prediction, by the names of its tensors: (B, T, *dims), or (*dims) of what has no time.
    """

    sizes: dict[str, int]
    values: dict[str, Array]
    d_out: Array
    d_state: dict[str, Array]
    targets: dict[str, Array]

    @property
    def steps(self) -> int:
        """T."""
        return self.sizes["T"]

    @property
    def batch(self) -> int:
        """B."""
        return self.sizes["B"]

    def rows(self, program: Program, loss: Program, row: int, steps: int) -> Problem:
        """One sequence of the batch, cut after some steps."""
        part, timed = slice(row, row + 1), {x.name for x in program.tensors.values() if x.time is not None}
        values = {
            n: a if not program.tensors[n].batched else a[part, :steps] if n in timed else a[part]
            for n, a in self.values.items()
        }
        return Problem(
            {**self.sizes, "T": steps, "B": 1},
            values,
            self.d_out[part, :steps],
            {s: a[part] for s, a in self.d_state.items()},
            {n: a if loss.tensors[n].time is None else a[part, :steps] for n, a in self.targets.items()},
        )


def sizes_of(names: Sequence[str], order: Sequence[int], fixed: Mapping[str, int]) -> dict[str, int]:
    """A size for every dimension, no two alike: those of `order` in turn, unless `fixed` says one."""
    free = [n for n in order if n not in fixed.values()]
    free += [n for n in range(2, 99) if n not in (*free, *fixed.values())]
    return {name: fixed[name] if name in fixed else free.pop(0) for name in names}


def draw(
    program: Program, loss: Program, sizes: Mapping[str, int], limits: tuple[float, float], seed: int = 0
) -> Problem:
    """A problem for the primal program of a cell and the program of a loss.

    Matrices are divided by the square root of their width, so that sums over many units stay as large as the units.
    Every tensor is drawn from its own name: another tensor beside it changes nothing.
    """
    lo, hi = limits
    batch, steps = sizes["B"], sizes["T"]

    def numbers(label: str, *shape: int) -> Array:
        rng = np.random.default_rng([seed, zlib.crc32(label.encode()), *shape])
        return rng.uniform(lo, hi, size=shape)

    def exact(array: Array) -> Array:
        return array.astype(np.float32).astype(np.float64)

    def dims(tensor: Tensor) -> list[int]:
        return [sizes[str(d)] for d in tensor.dims]

    values = {}
    for name in program.inputs:
        tensor = program.tensors[name]
        if tensor.role == "param":
            array = numbers(name, *dims(tensor))
            values[name] = exact(array / np.sqrt(np.prod(array.shape[1:])) if array.ndim > 1 else array)
        else:
            values[name] = exact(numbers(name, batch, *((steps,) if tensor.time is not None else ()), *dims(tensor)))
    output, states = program.tensors[program.facts.output], program.facts.states
    signed = np.random.default_rng([seed, steps, batch])
    return Problem(
        dict(sizes),
        values,
        exact(signed.uniform(-1, 1, size=(batch, steps, *dims(output)))),
        {s: exact(signed.uniform(-1, 1, size=(batch, *dims(program.tensors[s])))) for s in states},
        _targets(loss, sizes, lambda x, *shape: exact(numbers(f"target {x.name}", *shape))),
    )


def _targets(loss: Program, sizes: Mapping[str, int], draw: Callable[..., Array]) -> dict[str, Array]:
    """What a loss reads beside the prediction: weights from 0 on, some of them 0, and numbers of units that there are."""
    found = {}
    for tensor in loss.of_role("target", "weight"):
        lead = (sizes["B"], sizes["T"]) if tensor.time is not None else ()
        array = draw(tensor, *lead, *(sizes[str(d)] for d in tensor.dims))
        if tensor.role == "weight":
            array = np.abs(array) + 0.25
            array[0, -1] *= array.size == 1
        if tensor.name in loss.facts.classes:
            units = sizes[loss.facts.classes[tensor.name]]
            array = np.floor(np.abs(array) * 977 % units)
        found[tensor.name] = array
    return found | {x.name: _count(loss, found, sizes) for x in loss.of_role("count")}


def _count(loss: Program, targets: Mapping[str, Array], sizes: Mapping[str, int]) -> Array:
    """How much counts: the sum of the weights, or the number of steps."""
    weights = [targets[x.name].sum() for x in loss.of_role("weight")]
    return np.float64(weights[0] if weights else sizes["B"] * sizes["T"])


def counted(problem: Problem, loss: Program, lengths: Sequence[int]) -> Problem:
    """The problem with how much counts where sequences end after `lengths` steps."""
    if not (counts := loss.of_role("count")):
        return problem
    weights = [problem.targets[x.name] for x in loss.of_role("weight")]
    number = sum(w[:n].sum() for w, n in zip(weights[0], lengths, strict=True)) if weights else sum(lengths)
    return replace(problem, targets={**problem.targets, counts[0].name: np.float64(number)})


def without_states(problem: Problem, initial: Sequence[str]) -> Problem:
    """The same problem from zero states, with no derivative that comes from final states."""
    values = {n: np.zeros_like(a) if n in initial else a for n, a in problem.values.items()}
    return replace(problem, values=values, d_state={s: np.zeros_like(a) for s, a in problem.d_state.items()})


class Places:
    """Where the tensors of a program lie in the public arrays of its module."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.inputs = input_names(program)  # tensor -> public name, the first argument of the calls first
        self.initial = {s: f"{s}_0" for s in program.facts.states}
        self.params = {x.name: parameter(program, x) for x in program.of_role("param")}
        self.arrays: dict[str, list[str]] = {}
        for name, (array, _) in sorted(self.params.items(), key=lambda item: item[1]):
            self.arrays.setdefault(array, []).append(name)

    def gather(self, tensors: Mapping[str, Array]) -> dict[str, Array]:
        """Public parameter arrays of the arrays of single tensors: gates are stacked along the first axis; all are copies."""
        return {
            a: np.concatenate([tensors[n] for n in names], axis=0) if len(names) > 1 else np.array(tensors[names[0]])
            for a, names in self.arrays.items()
        }

    def mistakes(self, spec: Mapping[str, Any]) -> list[str]:
        """Sentences for parameters that are missing in the interface of a module, or lie over each other."""
        found = []
        for array, names in self.arrays.items():
            slots = sorted(self.params[n][1] for n in names)
            if slots != list(range(len(names))):
                found.append(f"the parameters {', '.join(names)} lie over each other in the array {array}")
            shapes = [[str(d) for d in self.program.tensors[n].dims] for n in names]
            whole = [f"{len(names)}*{shapes[0][0]}", *shapes[0][1:]] if len(names) > 1 else shapes[0]
            given = list(spec["arguments"].get(array, ()))
            if any(s != shapes[0] for s in shapes) or given != ["param", *whole]:
                found.append(
                    f"the array {array} has the role and the shape {given}, its tensors {', '.join(names)} have {shapes}"
                )
        names = [*self.inputs.values(), *self.arrays, *(f"{s}0" for s in self.initial)]
        found += [f"two gradients have the name {n}" for n in dict.fromkeys(names) if names.count(n) > 1]
        params = [n for n, (role, *_) in spec["arguments"].items() if role == "param"]
        found += [f"the array {a} holds no parameter" for a in params if a not in self.arrays]
        inputs = {n: shape for n, (role, *shape) in spec["arguments"].items() if role == "input"}
        own = {public: ["T", "B", *map(str, self.program.tensors[n].dims)] for n, public in self.inputs.items()}
        if list(inputs.items()) != list(own.items()):
            found.append(f"the inputs are {inputs} in the module, and {own} in the equations")
        return found
