"""Cell: the functions of a generated module. They check, allocate, and call C."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .arrays import FLOATS, PLAIN, Array, compact
from .initial import initializer
from .inputs import (
    check_dims,
    check_out,
    check_params,
    check_sequence,
    check_state,
    check_threads,
    check_x,
)
from .plan import Call, Kernels, Plan
from .spec import Spec
from .split import Split, count
from .tape import Tape

State = tuple[Array, ...]


class Cell:
    """A recurrent cell: its specification and its compiled functions.

    A generated module makes one of `SPEC` and its cffi module and exports the methods. In what follows T is the number
    of steps, B the batch, I the input size, H the hidden size. An array without the batch axis is one sequence. All
    arrays of a call are float32, or all are float64. They may be non-contiguous (then they are copied); NaN and Inf go
    through as the equations say. A call that raises has changed nothing. Any number of Python threads may call at once.
    """

    def __init__(self, spec: Mapping[str, Any], kernels: Any) -> None:
        self._spec = Spec(spec)
        self._names = tuple(self._spec.params)
        self._n_states = len(self._spec.states)
        self._grad_names = ("x", *self._names, *(f"{state}0" for state in self._spec.states))
        self._kernels: dict[np.dtype[Any], Kernels] = {
            dtype: Kernels(self._spec, kernels, dtype, real) for dtype, real in zip(FLOATS, ("f32", "f64"), strict=True)
        }
        self.PARAMS = {name: tuple(map(str, shape)) for name, shape in self._spec.params.items()}
        self.STATES = tuple(self._spec.states)
        self.GATES = self._spec.gates
        self.init_params = initializer(self._spec)

    def __repr__(self) -> str:
        return f"<Cell {self._spec.name} {self._spec.digest[:12]}>"

    def infer(
        self,
        x: Array,
        params: Mapping[str, Array],
        state: Sequence[Array | None] | Array | None = None,
        *,
        threads: int | None = None,
        out: Array | None = None,
    ) -> tuple[Array, State]:
        """Run the cell over a sequence, keeping nothing for gradients.

        x: (T, B, I) or (T, I), T >= 1. params: a dict with the shapes in PARAMS, as init_params makes it.
        state: the state before the first step, a tuple in the order of STATES, each (B, H); None, or an entry None,
        means zeros. Without a batch axis each is (H,) or (1, H). A cell with one state also takes the bare array.
        threads: None (as many as pay off, at most the processors that this process may use) or an integer >= 1. The
        batch is cut into that many parts; parameter gradients are sums over the parts, so that their last bits depend
        on the number of threads, and on nothing else.
        out: a C-contiguous array for the result, which shares no memory with the other arguments.

        Returns (out, state): the output of every step, (T, B, H) or (T, H), and the state after the last step, a
        tuple, each (B, H) or (H,).

        Raises ShapeError (a ValueError), DtypeError (a TypeError), TypeError or ValueError, naming the argument;
        MemoryError for what cannot fit.
        """
        plan, reads = self._read("infer", x, params, state, threads)
        result = self._out("infer", plan, out, x, params, state)
        final = tuple([np.empty(shape, plan.dtype) for shape in plan.state_shapes])
        if plan.batch:
            self._run(plan, plan.infer, [*reads, result, *final], threads)
        return result if out is None else out, final

    def forward(
        self,
        x: Array,
        params: Mapping[str, Array],
        state: Sequence[Array | None] | Array | None = None,
        *,
        threads: int | None = None,
        out: Array | None = None,
    ) -> tuple[Array, State, Tape]:
        """Run the cell over a sequence and keep what `backward` needs.

        Arguments, results and errors are those of `infer`, with a Tape as third result. The tape refers to x, params,
        state and out: do not change these in place before `backward`.
        """
        plan, reads = self._read("forward", x, params, state, threads)
        result = self._out("forward", plan, out, x, params, state)
        final = tuple([np.empty(shape, plan.dtype) for shape in plan.state_shapes])
        tape = Tape(self, plan, reads, result)
        if plan.batch:
            tape._parts = self._run(plan, plan.forward, [*reads, result, *final, tape._memory], threads)[1]
        return result if out is None else out, final, tape

    def backward(
        self,
        tape: Tape,
        d_out: Array | None,
        d_state: Sequence[Array | None] | Array | None = None,
        *,
        threads: int | None = None,
    ) -> dict[str, Array]:
        """Gradients of a scalar L, from its derivatives with respect to what `forward` returned.

        d_out: dL/d out, with the shape of out; None means zeros, if d_state is given.
        d_state: dL/d state after the last step, a tuple like state; None, or an entry None, means zeros.
        threads: checked, but a tape is read on as many threads as `forward` wrote it on.

        Returns a dict of new arrays: dL/dx as "x", dL/dp for every name in PARAMS, summed over time and batch, and
        dL/d state before the first step as the state's name with a 0, such as "h0". Shapes are those of the arguments
        of `forward`; a state given as (1, H) without a batch axis counts as (H,). The tape can be used again.

        Raises TypeError or ValueError for what is not a tape of this cell, and as `infer` does.
        """
        if threads is not None:
            check_threads(f"{self._spec.name}.backward", threads)
        if not isinstance(tape, Tape) or tape._owner is not self:
            raise self._foreign(tape)
        plan = tape._plan
        dtype = plan.dtype
        if d_out is None and d_state is None:
            raise ValueError(f"{self._spec.name}.backward: d_out and d_state are both None; give at least one")
        if d_out is None:
            seed = np.zeros(plan.out_shape, dtype)
        elif self._plain(d_out, dtype) and d_out.shape == plan.out_shape:
            seed = d_out
        else:
            where = f"{self._spec.name}.backward"
            seed = check_sequence(where, "d_out", d_out, dtype, self._spec.output_dim, plan.out_shape)
        d_final = plan.zeros if d_state is None else self._states("backward", "d_state", plan, d_state)
        if not plan.batch:
            return self._gradients(plan, np.zeros)
        grads = self._gradients(plan, np.empty)
        # The tape of a split call lies in parts, and only the same parts can read it.
        self._run(
            plan, plan.backward, [*tape._reads, tape._out, tape._memory, seed, *d_final, *grads.values()], tape._parts
        )
        return grads

    def loss_and_grad(
        self,
        x: Array,
        y: Array,
        params: Mapping[str, Array],
        state: Sequence[Array | None] | Array | None = None,
        *,
        threads: int | None = None,
    ) -> tuple[float, dict[str, Array]]:
        """The loss of a sequence against the targets y, and its gradients, in one call.

        y: the target of every step, (T, B, H) or, without a batch axis, (T, H). The loss sums over steps, batch and
        units. The other arguments and the errors are those of `infer`.

        Returns (loss, grads): a Python float, and a dict as `backward` returns it.
        """
        plan, reads = self._read("loss_and_grad", x, params, state, threads)
        if not (self._plain(y, plan.dtype) and y.shape == plan.y_shape):
            where = f"{self._spec.name}.loss_and_grad"
            y = check_sequence(where, "y", y, plan.dtype, self._spec.target_dim, plan.y_shape)
        if not plan.batch:
            return 0.0, self._gradients(plan, np.zeros)
        grads = self._gradients(plan, np.empty)
        loss, _ = self._run(plan, plan.loss_and_grad, [*reads, y, *grads.values()], threads)
        return loss, grads

    @staticmethod
    def _run(plan: Plan, call: Call, arrays: list[Array], threads: int | None) -> tuple[float, int]:
        """Calls C, on as many threads as pay off; returns the loss and the number of threads."""
        if threads is None:
            parts = plan.counts.get(call.op)
            if parts is None:
                parts = plan.counts[call.op] = count(plan, call.op, None)
        else:
            parts = count(plan, call.op, threads)
        if parts > 1:
            split = plan.splits.get(parts)
            if split is None:
                split = plan.splits[parts] = Split(plan, parts)
            return split.run(call.op, call.fields, arrays), parts
        slot = call.run(arrays)
        loss = float(slot.loss[0])
        call.done(slot)
        return loss, 1

    def _read(self, op: str, x: Any, params: Any, state: Any, threads: Any) -> tuple[Plan, list[Array]]:
        """Checks what all calls read. Returns the plan, and [x, parameters, states] ready for C.

        The usual case, seen before and nothing to convert, is recognised by a few comparisons. All else, right or
        wrong, goes through the checks that explain.
        """
        if threads is not None:
            check_threads(f"{self._spec.name}.{op}", threads)
        try:
            arrays = [x, *[params[name] for name in self._names]]
            plan = self._kernels[x.dtype].plans[tuple([array.shape for array in arrays])]
            dtype = plan.dtype
            usual = type(params) is dict and len(params) == len(self._names)
            for array in arrays:
                usual = usual and self._plain(array, dtype)
        except (AttributeError, KeyError, TypeError, IndexError, ValueError):
            usual = False
        if usual:
            return plan, arrays + (plan.zeros if state is None else self._states(op, "state", plan, state))
        where = f"{self._spec.name}.{op}"
        plan, arrays = self._admit(where, x, params)
        states = plan.zeros if state is None else self._states(op, "state", plan, state)
        # Copies come last: by now all checks have passed.
        labels = ("x", *(f"params[{name!r}]" for name in self._names))
        return plan, [compact(array, where, label) for label, array in zip(labels, arrays, strict=True)] + states

    @staticmethod
    def _plain(array: Any, dtype: np.dtype[Any]) -> bool:
        """Whether C can read `array` as it is. The dtypes of nearly all arrays are the same object."""
        return type(array) is np.ndarray and array.dtype is dtype and array.flags.num & PLAIN == PLAIN

    def _admit(self, where: str, x: Any, params: Any) -> tuple[Plan, list[Array]]:
        x = check_x(where, x)
        kernels = self._kernels[x.dtype]
        arrays = [x, *check_params(where, self._spec, params, kernels.dtype)]
        key = tuple(array.shape for array in arrays)
        plan = kernels.plans.get(key)
        if plan is None:
            plan = Plan(where, kernels, x.shape, check_dims(where, self._spec, x, arrays[1:]))
            kernels.remember(key, plan)
        return plan, arrays

    def _states(self, op: str, argument: str, plan: Plan, state: Any) -> list[Array]:
        if type(state) is tuple and len(state) == self._n_states:
            for array, shape in zip(state, plan.state_shapes, strict=True):
                if not (self._plain(array, plan.dtype) and array.shape == shape):
                    break
            else:
                return list(state)
        where = f"{self._spec.name}.{op}"
        arrays = check_state(where, argument, self._spec, state, plan.dtype, plan.state_shapes)
        return [
            zero if array is None else compact(array, where, f"{argument}[{k}]")
            for k, (array, zero) in enumerate(zip(arrays, plan.zeros, strict=True))
        ]

    def _out(self, op: str, plan: Plan, out: Any, x: Array, params: Mapping[str, Array], state: Any) -> Array:
        if out is None:
            return np.empty(plan.out_shape, plan.dtype)
        # The arguments themselves and not the copies made of them: else the answer depends on how x happens to lie.
        inputs = {"x": x, **{f"params[{name!r}]": params[name] for name in self._names}}
        entries = (state,) if isinstance(state, np.ndarray) else state or ()
        inputs |= {f"state[{k}]": array for k, array in enumerate(entries) if array is not None}
        return check_out(f"{self._spec.name}.{op}", out, plan.dtype, self._spec.output_dim, plan.out_shape, inputs)

    def _gradients(self, plan: Plan, allocate: Any) -> dict[str, Array]:
        dtype = plan.dtype
        return {name: allocate(s, dtype) for name, s in zip(self._grad_names, plan.gradient_shapes, strict=True)}

    def _foreign(self, tape: object) -> Exception:
        name = self._spec.name
        where = f"{name}.backward"
        if not isinstance(tape, Tape):
            return TypeError(f"{where}: tape must be the third result of {name}.forward, found {type(tape).__name__}")
        if tape.cell != name:
            return ValueError(f"{where}: tape was made by {tape.cell}.forward; use {tape.cell}.backward for it")
        return ValueError(f"{where}: tape was made by another build of {name}; run forward again with this one")
