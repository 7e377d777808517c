"""What the calls of a cell read: recognised in a few comparisons where nothing is unusual, else checked and converted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..core.errors import ArgumentTypeError
from ..core.extension import check_compiled
from ..core.kept import CLOCK
from ..core.problem import Kernels, Problem
from ..core.spec import Spec
from .arrays import FLOATS, PLAIN, Array, NumpyArrays, compact
from .counting import as_numbers, check_classes, counted, total
from .inputs import (
    check_dims,
    check_inputs,
    check_names,
    check_out,
    check_params,
    check_sequence,
    check_state,
    check_threads,
)

# Keywords of the functions, beside which further inputs are given.
OPTIONS = {
    "infer": ("state", "threads", "out", "lengths"),
    "forward": ("state", "threads", "out", "lengths", "tape"),
    "loss_and_grad": ("state", "threads", "lengths", "tape", "wrt"),
    "plan.infer": ("state", "out", "lengths"),
    "plan.loss_and_grad": ("state", "lengths"),
}


class Reader:
    """Turns arguments into contiguous arrays of the right shapes, or raises. Nothing is copied before all is checked."""

    def __init__(self, spec: Spec, module: Any) -> None:
        self.spec = spec
        self.names = tuple(spec.params)
        self.first, *others = spec.inputs
        self.others = tuple(others)  # inputs that are given by keyword
        self.beside = spec.targets[1:]  # what the loss reads beside y, given by keyword too
        self.n_states = len(spec.states)
        check_compiled(spec, module)
        self.kernels: dict[np.dtype[Any], Kernels] = {
            dtype: Kernels(spec, module, real, NumpyArrays(dtype))
            for dtype, real in zip(FLOATS, ("f32", "f64"), strict=True)
        }

    @staticmethod
    def plain(array: Any, dtype: np.dtype[Any]) -> bool:
        """Whether C can read `array` as it is. The dtypes of nearly all arrays are the same object."""
        return type(array) is np.ndarray and array.dtype is dtype and array.flags.num & PLAIN == PLAIN

    def read(
        self, op: str, x: Any, more: Mapping[str, Any], params: Any, state: Any, threads: Any
    ) -> tuple[Problem, list[Array]]:
        """Checks what all calls read. Returns the problem, and [inputs, parameters, states] ready for C.

        x is the first input, `more` are the others by name, and any other keyword of the call that is none of its own.
        """
        if threads is not None:
            check_threads(f"{self.spec.name}.{op}", threads)
        try:
            arrays = [x, *[params[name] for name in self.names]]
            if self.others:
                arrays[1:1] = [more[name] for name in self.others]
            problem = self.kernels[x.dtype].problems[tuple([array.shape for array in arrays])]
            dtype = problem.dtype
            usual = type(params) is dict and len(params) == len(self.names) and len(more) == len(self.others)
            for array in arrays:
                # As `plain`; a call of its own for each array would cost half a microsecond in all.
                if type(array) is not np.ndarray or array.dtype is not dtype or array.flags.num & PLAIN != PLAIN:
                    usual = False
        except (AttributeError, KeyError, TypeError, IndexError, ValueError):
            usual = False
        if usual:
            problem.used = next(CLOCK)
            return problem, arrays + (problem.zeros if state is None else self.states(op, "state", problem, state))
        where = f"{self.spec.name}.{op}"
        problem, arrays = self._admit(where, op, x, more, params)
        states = problem.zeros if state is None else self.states(op, "state", problem, state)
        # Copies come last: by now all checks have passed.
        labels = (self.first, *self.others, *(f"params[{name!r}]" for name in self.names))
        return problem, [compact(array, where, label) for label, array in zip(labels, arrays, strict=True)] + states

    def _admit(self, where: str, op: str, x: Any, more: Mapping[str, Any], params: Any) -> tuple[Problem, list[Array]]:
        check_names(where, self.spec, more, OPTIONS[op])
        inputs = check_inputs(where, self.spec, x, more)
        kernels = self.kernels[inputs[0].dtype]
        weights = check_params(where, self.spec, params, kernels.dtype, self.first)
        arrays = [*inputs, *weights]
        key = tuple(array.shape for array in arrays)
        problem = kernels.problems.get(key)
        if problem is None:
            shapes = {name: array.shape for name, array in zip(self.spec.inputs, inputs, strict=True)}
            dims = check_dims(where, self.spec, shapes, weights)
            lead = inputs[0].ndim - len(self.spec.inputs[self.first])
            problem = Problem(where, kernels, inputs[0].shape[:lead], dims)
            kernels.remember(key, problem)
        problem.used = next(CLOCK)
        return problem, arrays

    def inputs(self, op: str, problem: Problem, x: Any, more: Mapping[str, Any]) -> tuple[Array, ...]:
        """The inputs of a known problem, in the order of the cell."""
        if not self.others and not more:
            return (self.sequence(op, self.first, problem, x),)
        check_names(f"{self.spec.name}.{op}", self.spec, more, OPTIONS[op])
        given = {self.first: x, **more}
        return tuple([self.sequence(op, name, problem, given[name]) for name in self.spec.inputs])

    def split(self, op: str, more: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        """The keywords of a call that trains: inputs, and what the loss reads beside y.  TypeError where that is missing."""
        if not self.beside:
            return more, more
        if missing := [name for name in self.beside if name not in more]:
            said = ", ".join(f"{name}={name}" for name in missing)
            raise ArgumentTypeError(
                f"{self.spec.name}.{op}: missing {', '.join(missing)}; the loss of {self.spec.name} reads "
                f"{', '.join(self.spec.targets)}, those after y by keyword: {self.spec.name}.{op}(..., {said})"
            )
        given = {name: more[name] for name in self.beside}
        return {name: value for name, value in more.items() if name not in given}, given

    def targets(
        self, op: str, problem: Problem, y: Any, beside: Mapping[str, Any], lengths: NDArray[np.intp] | None
    ) -> list[Array]:
        """What the loss of a known problem reads: y, what stands beside it, and how much counts."""
        spec = self.spec
        if not self.beside and not spec.classes and spec.count is None:
            return [self.sequence(op, spec.targets[0], problem, y)]
        where, given = f"{spec.name}.{op}", dict(zip(spec.targets, (y, *beside.values()), strict=True))
        for name in spec.classes:
            given[name] = as_numbers(given[name], problem.dtype)
        found = {name: self.sequence(op, name, problem, value) for name, value in given.items()}
        weight = None if spec.weight is None else found[spec.weight]
        counts = counted(weight, problem.lead, lengths)
        for name, dim in spec.classes.items():
            check_classes(where, name, found[name], problem.dims[dim], counts)
        if spec.count is not None:
            found[spec.count] = total(where, weight, counts, problem.dtype)
        return list(found.values())

    def states(self, op: str, argument: str, problem: Problem, state: Any) -> list[Array]:
        """`state` or `d_state` as arrays; zeros for None."""
        if type(state) is tuple and len(state) == self.n_states:
            for array, shape in zip(state, problem.state_shapes, strict=True):
                if not (self.plain(array, problem.dtype) and array.shape == shape):
                    break
            else:
                return list(state)
        where = f"{self.spec.name}.{op}"
        arrays = check_state(where, argument, self.spec, state, problem.dtype, problem.state_shapes, problem.unbatched)
        return [
            zero if array is None else compact(array, where, f"{argument}[{k}]")
            for k, (array, zero) in enumerate(zip(arrays, problem.zeros, strict=True))
        ]

    def sequence(self, op: str, name: str, problem: Problem, value: Any) -> Array:
        """An input, a target or the seed of the output of a known problem."""
        shape = problem.shapes[name]
        if (
            type(value) is np.ndarray
            and value.dtype is problem.dtype
            and value.shape == shape
            and value.flags.num & PLAIN == PLAIN
        ):
            return value
        argument = self.spec.arguments[name]
        like = "the plan" if argument.role == "input" else self.first
        axes = argument.axes(problem.unbatched)
        return check_sequence(f"{self.spec.name}.{op}", name, value, problem.dtype, axes, shape, like)

    def out(
        self,
        op: str,
        problem: Problem,
        out: Any,
        x: Any,
        more: Mapping[str, Any],
        params: Mapping[str, Array],
        state: Any,
    ) -> Array:
        """Where the result goes: `out` if it can take it, else a new array."""
        if out is None:
            return np.empty(problem.out_shape, problem.dtype)
        # The arguments themselves and not the copies made of them: else the answer depends on how x happens to lie.
        inputs = {self.first: x, **more, **{f"params[{name!r}]": params[name] for name in self.names}}
        entries = (state,) if isinstance(state, np.ndarray) else state or ()
        inputs |= {f"state[{k}]": array for k, array in enumerate(entries) if array is not None}
        axes = self.spec.arguments[self.spec.output].axes(problem.unbatched)
        return check_out(f"{self.spec.name}.{op}", out, problem.dtype, axes, problem.out_shape, inputs)
