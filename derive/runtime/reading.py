"""What the calls of a cell read: recognised in a few comparisons where nothing is unusual, else checked and converted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from .arrays import FLOATS, PLAIN, Array, compact
from .extension import check_compiled
from .inputs import check_dims, check_out, check_params, check_sequence, check_state, check_threads, check_x
from .kept import CLOCK
from .problem import Kernels, Problem
from .spec import Spec


class Reader:
    """Turns arguments into contiguous arrays of the right shapes, or raises. Nothing is copied before all is checked."""

    def __init__(self, spec: Spec, module: Any) -> None:
        self.spec = spec
        self.names = tuple(spec.params)
        self.n_states = len(spec.states)
        check_compiled(spec, module)
        self.kernels: dict[np.dtype[Any], Kernels] = {
            dtype: Kernels(spec, module, dtype, real) for dtype, real in zip(FLOATS, ("f32", "f64"), strict=True)
        }

    @staticmethod
    def plain(array: Any, dtype: np.dtype[Any]) -> bool:
        """Whether C can read `array` as it is. The dtypes of nearly all arrays are the same object."""
        return type(array) is np.ndarray and array.dtype is dtype and array.flags.num & PLAIN == PLAIN

    def read(self, op: str, x: Any, params: Any, state: Any, threads: Any) -> tuple[Problem, list[Array]]:
        """Checks what all calls read. Returns the problem, and [x, parameters, states] ready for C."""
        if threads is not None:
            check_threads(f"{self.spec.name}.{op}", threads)
        try:
            arrays = [x, *[params[name] for name in self.names]]
            problem = self.kernels[x.dtype].problems[tuple([array.shape for array in arrays])]
            dtype = problem.dtype
            usual = type(params) is dict and len(params) == len(self.names)
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
        problem, arrays = self._admit(where, x, params)
        states = problem.zeros if state is None else self.states(op, "state", problem, state)
        # Copies come last: by now all checks have passed.
        labels = ("x", *(f"params[{name!r}]" for name in self.names))
        return problem, [compact(array, where, label) for label, array in zip(labels, arrays, strict=True)] + states

    def _admit(self, where: str, x: Any, params: Any) -> tuple[Problem, list[Array]]:
        x = check_x(where, x)
        kernels = self.kernels[x.dtype]
        arrays = [x, *check_params(where, self.spec, params, kernels.dtype)]
        key = tuple(array.shape for array in arrays)
        problem = kernels.problems.get(key)
        if problem is None:
            problem = Problem(where, kernels, x.shape, check_dims(where, self.spec, x.shape, arrays[1:]))
            kernels.remember(key, problem)
        problem.used = next(CLOCK)
        return problem, arrays

    def states(self, op: str, argument: str, problem: Problem, state: Any) -> list[Array]:
        """`state` or `d_state` as arrays; zeros for None."""
        if type(state) is tuple and len(state) == self.n_states:
            for array, shape in zip(state, problem.state_shapes, strict=True):
                if not (self.plain(array, problem.dtype) and array.shape == shape):
                    break
            else:
                return list(state)
        where = f"{self.spec.name}.{op}"
        arrays = check_state(where, argument, self.spec, state, problem.dtype, problem.state_shapes)
        return [
            zero if array is None else compact(array, where, f"{argument}[{k}]")
            for k, (array, zero) in enumerate(zip(arrays, problem.zeros, strict=True))
        ]

    def sequence(self, op: str, name: str, problem: Problem, value: Any) -> Array:
        """x, y or d_out of a known problem."""
        shape = problem.sequences[name]
        if (
            type(value) is np.ndarray
            and value.dtype is problem.dtype
            and value.shape == shape
            and value.flags.num & PLAIN == PLAIN
        ):
            return value
        dim = {"x": self.spec.input_dim, "y": self.spec.target_dim, "d_out": self.spec.output_dim}[name]
        like = "the plan" if name == "x" else "x"
        return check_sequence(f"{self.spec.name}.{op}", name, value, problem.dtype, dim, shape, like)

    def out(self, op: str, problem: Problem, out: Any, x: Any, params: Mapping[str, Array], state: Any) -> Array:
        """Where the result goes: `out` if it can take it, else a new array."""
        if out is None:
            return np.empty(problem.out_shape, problem.dtype)
        # The arguments themselves and not the copies made of them: else the answer depends on how x happens to lie.
        inputs = {"x": x, **{f"params[{name!r}]": params[name] for name in self.names}}
        entries = (state,) if isinstance(state, np.ndarray) else state or ()
        inputs |= {f"state[{k}]": array for k, array in enumerate(entries) if array is not None}
        where = f"{self.spec.name}.{op}"
        return check_out(where, out, problem.dtype, self.spec.output_dim, problem.out_shape, inputs)
