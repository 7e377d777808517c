"""Cell: the functions of a generated module. They check, allocate, and call C."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MethodType
from typing import Any

import numpy as np

from ..core.errors import ArgumentError, ArgumentTypeError
from ..core.problem import Problem
from ..core.runner import Call, call, for_split
from ..core.spec import Spec
from .arrays import Array
from .initial import initializer
from .inputs import check_lengths, check_tape, check_threads, check_wrt
from .memory import estimator
from .named import taking_inputs
from .plan import Plan
from .ragged import Ragged, run_ragged
from .reading import Reader
from .reference import reduced
from .tape import Tape

State = tuple[Array, ...]


class Cell:
    """A recurrent cell: its specification and its compiled functions.

    A generated module makes one of `SPEC` and its cffi module and exports the methods. In what follows T is the number
    of steps, B the batch, I the input size, H the hidden size. An array without the batch axis is one sequence. All
    arrays of a call are float32, or all are float64. They may be non-contiguous (then they are copied); NaN and Inf go
    through as the equations say. A call that raises has changed nothing. Any number of Python threads may call at once.
    Without sequences, B = 0, results have an empty axis, the loss is 0 and the gradients of the parameters are zeros.
    A cell and its functions are pickled by reference, to the module that they belong to.
    """

    def __init__(self, spec: Mapping[str, Any], kernels: Any) -> None:
        self._spec = Spec(spec)
        self._reader = Reader(self._spec, kernels)
        self._kernels = self._reader.kernels
        self._grad_names = (*self._spec.inputs, *self._spec.params, *(f"{state}0" for state in self._spec.states))
        self.PARAMS = {name: tuple(map(str, shape)) for name, shape in self._spec.params.items()}
        self.STATES = tuple(self._spec.states)
        self.GATES = self._spec.gates
        self._compiled = kernels
        # Methods of this very object, so that they are pickled as such.
        self.init_params = MethodType(initializer(self._spec), self)
        self.memory = MethodType(estimator(self._spec, self._kernels), self)
        for function in (Cell.infer, Cell.forward, Cell.loss_and_grad):
            beside = self._spec.targets[1:] if function is Cell.loss_and_grad else ()
            setattr(self, function.__name__, MethodType(taking_inputs(self._spec, function, beside), self))

    def __reduce__(self) -> tuple[Callable[..., Cell], tuple[Any, ...]]:
        return reduced(self, self._compiled)

    def __copy__(self) -> Cell:
        return self

    def __deepcopy__(self, memo: object) -> Cell:
        return self

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
        lengths: Any = None,
        **inputs: Array,
    ) -> tuple[Array, State]:
        """Run the cell over a sequence, keeping nothing for gradients.

        x: (T, B, I) or (T, I), T >= 1. params: a dict with the shapes in PARAMS, as init_params makes it.
        state: the state before the first step, a tuple in the order of STATES, each (B, H); None, or an entry None,
        means zeros. Without a batch axis each is (H,) or (1, H). A cell with one state also takes the bare array.
        threads: None (as many as pay off, at most the processors that this process may use) or an integer >= 1. Either
        the batch is cut into that many parts, and parameter gradients are sums over the parts, so that their last bits
        depend on the number of threads, and on nothing else; or, with few sequences, the hidden units are, with the
        same bits as on one thread.
        out: a C-contiguous array for the result, which shares no memory with the other arguments.
        lengths: integers (B,), each from 1 to T: how many steps of each sequence count. None means T for all; without a
        batch axis it is one integer. After its end a sequence repeats its last output, its final state is that after
        its last step, and what x has there is not read. Sequences need not be sorted.
        inputs: of a cell with several inputs x is the first, and the others follow by their names, (T, B, J) or (T, J)
        as x, each with a size of its own.

        Returns (out, state): the output of every step, (T, B, H) or (T, H), and the state after the last step, a
        tuple, each (B, H) or (H,).

        Raises ShapeError (a ValueError), DtypeError (a TypeError), TypeError or ValueError, naming the argument;
        MemoryError for what cannot fit.
        """
        problem, reads = self._reader.read("infer", x, inputs, params, state, threads)
        found, ragged = self._call("infer", problem, threads, lengths)
        result = self._reader.out("infer", problem, out, x, inputs, params, state)
        final = tuple([np.empty(shape, problem.dtype) for shape in problem.state_shapes])
        if ragged is not None:
            run_ragged(found, [*reads, result, *final], ragged)
        elif problem.batch:
            found.run([*reads, result, *final])
        return result if out is None else out, final

    def forward(
        self,
        x: Array,
        params: Mapping[str, Array],
        state: Sequence[Array | None] | Array | None = None,
        *,
        threads: int | None = None,
        out: Array | None = None,
        lengths: Any = None,
        tape: str | int | None = None,
        **inputs: Array,
    ) -> tuple[Array, State, Tape]:
        """Run the cell over a sequence and keep what `backward` needs.

        tape: how much is kept. None: everything that `backward` reads. "recompute": the states of every step, from
        which `backward` computes gates again. An integer k >= 1: the states of every k-th step, and `backward` runs the
        steps between again; about sqrt(T) needs the least. Gradients are the same but for their last bits.

        The other arguments, the results and the errors are those of `infer`, with a Tape as third result. The tape
        refers to x, params, state and out: do not change these in place before `backward`.
        """
        problem, reads = self._reader.read("forward", x, inputs, params, state, threads)
        found, ragged = self._call("forward", problem, threads, lengths, tape)
        result = self._reader.out("forward", problem, out, x, inputs, params, state)
        final = tuple([np.empty(shape, problem.dtype) for shape in problem.state_shapes])
        saved = Tape(self, found, reads, result, ragged)
        if ragged is not None:
            _, inner = run_ragged(found, [*reads, result, *final, saved._memory], ragged)
            saved._reads, saved._out = inner[: len(reads)], inner[len(reads)]
        elif problem.batch:
            found.run([*reads, result, *final, saved._memory])
        return result if out is None else out, final, saved

    def backward(
        self,
        tape: Tape,
        d_out: Array | None,
        d_state: Sequence[Array | None] | Array | None = None,
        *,
        threads: int | None = None,
        wrt: str | Iterable[str] | None = None,
    ) -> dict[str, Array]:
        """Gradients of a scalar L, from its derivatives with respect to what `forward` returned.

        d_out: dL/d out, with the shape of out; None means zeros, if d_state is given. With `lengths` it is not read
        after the end of a sequence: a loss that uses the repeated outputs has to go through d_state.
        d_state: dL/d state after the last step, a tuple like state; None, or an entry None, means zeros.
        threads: checked, but a tape is read on as many threads as `forward` wrote it on.
        wrt: the gradients that are wanted, a name or several: "x", names in PARAMS, "params" for all of these, initial
        states such as "h0". None means all. Leaving "x" away saves its matrix product; the rest is computed anyway. Of a
        cell with several inputs each is named as it is, the first one too.

        Returns a dict of new arrays: dL/dx as "x" (of several inputs each by its name), dL/dp for every name in PARAMS,
        summed over time and batch, and dL/d state before the first step as the state's name with a 0, such as "h0".
        Shapes are those of the arguments of `forward`; a state given as (1, H) without a batch axis counts as (H,). The
        tape can be used again.

        Raises TypeError or ValueError for what is not a tape of this cell, and as `infer` does.
        """
        where = f"{self._spec.name}.backward"
        if threads is not None:
            check_threads(where, threads)
        if not isinstance(tape, Tape) or tape._owner is not self:
            raise self._foreign(tape)
        wanted = None if wrt is None else check_wrt(where, self._spec, wrt)
        written = tape._call
        problem = written.problem
        if d_out is None and d_state is None:
            raise ArgumentError(f"{where}: d_out and d_state are both None; give at least one")
        if d_out is None:
            seed = np.zeros(problem.out_shape, problem.dtype)
        else:
            seed = self._reader.sequence("backward", problem.kernels.seeds[0], problem, d_out)
        d_final = problem.zeros if d_state is None else self._reader.states("backward", "d_state", problem, d_state)
        grads, arrays = self._gradients(problem, wanted)
        if problem.batch:
            # The tape of a split batch lies in parts, and only the same parts can read it.
            found = for_split(problem, "backward", written.split, problem.tape_every, written.ragged)
            used = [*tape._reads, tape._out, tape._memory, seed, *d_final, *arrays]
            if tape._ragged is None:
                found.run(used)
            else:
                run_ragged(found, used, tape._ragged)
        return grads

    def loss_and_grad(
        self,
        x: Array,
        y: Array,
        params: Mapping[str, Array],
        state: Sequence[Array | None] | Array | None = None,
        *,
        threads: int | None = None,
        lengths: Any = None,
        tape: str | int | None = None,
        wrt: str | Iterable[str] | None = None,
        **inputs: Array,
    ) -> tuple[float, dict[str, Array]]:
        """The loss of a sequence against the targets y, and its gradients, in one call.

        y: the target of every step, (T, B, H) or, without a batch axis, (T, H). The loss sums over steps, batch and
        units; with `lengths` over the steps of each sequence that count, and the rest of y is not read. What else a loss
        reads, such as weights, is given by keyword.
        tape: as for `forward`, here only for the memory that the call needs meanwhile. wrt: as for `backward`.
        The other arguments and the errors are those of `infer`.

        Returns (loss, grads): a Python float, and a dict as `backward` returns it.
        """
        inputs, beside = self._reader.split("loss_and_grad", inputs)
        problem, reads = self._reader.read("loss_and_grad", x, inputs, params, state, threads)
        found, ragged = self._call("loss_and_grad", problem, threads, lengths, tape)
        ends = None if ragged is None else ragged.lengths
        targets = self._reader.targets("loss_and_grad", problem, y, beside, ends)
        wanted = None if wrt is None else check_wrt(f"{self._spec.name}.loss_and_grad", self._spec, wrt)
        grads, arrays = self._gradients(problem, wanted)
        if ragged is not None:
            return run_ragged(found, [*reads, *targets, *arrays], ragged)[0], grads
        return (found.run([*reads, *targets, *arrays]) if problem.batch else 0.0), grads

    def plan(
        self,
        params: Mapping[str, Array],
        steps: int,
        batch: int | None = None,
        *,
        threads: int | None = None,
        tape: str | int | None = None,
        wrt: str | Iterable[str] | None = None,
    ) -> Plan:
        """Prepare repeated calls of one size: see Plan, which this returns.

        params: copied; their dtype is that of all calls. steps: T. batch: B, or None for arrays without a batch axis.
        threads: as for `infer`, settled here. tape and wrt: as for `loss_and_grad`.

        Raises as `infer` does.
        """
        return Plan(self._reader, params, steps, batch, threads, tape, wrt)

    def _call(
        self, op: str, problem: Problem, threads: int | None, lengths: Any, tape: Any = None
    ) -> tuple[Call, Ragged | None]:
        """The call into C, and the order of the sequences where their lengths differ from T."""
        where = f"{self._spec.name}.{op}"
        every = 0 if tape is None else check_tape(where, tape, problem.steps, problem.kernels.everything)
        if lengths is not None:
            values = check_lengths(where, lengths, problem.steps, problem.batch, problem.unbatched)
            if (values < problem.steps).any():
                found = call(problem, op, threads, every, int(values.sum()))
                return found, Ragged(values, problem.steps, found.split)
        return call(problem, op, threads, every), None

    def _gradients(
        self, problem: Problem, wanted: frozenset[str] | None
    ) -> tuple[dict[str, Array], list[Array | None]]:
        """New arrays for the wanted gradients, by name, and what C is given for each gradient there is."""
        dtype, names = problem.dtype, self._grad_names
        allocate = np.empty if problem.batch else np.zeros
        arrays = [allocate(shape, dtype) for shape in problem.gradient_shapes]
        if wanted is None:
            return dict(zip(names, arrays, strict=True)), arrays  # type: ignore[return-value]
        grads = {name: array for name, array in zip(names, arrays, strict=True) if name in wanted}
        # C computes the others in any case and needs a place for them; those of inputs it can leave away.
        inputs = self._spec.inputs
        return grads, [None if n in inputs and n not in wanted else a for n, a in zip(names, arrays, strict=True)]

    def _foreign(self, tape: object) -> ArgumentError | ArgumentTypeError:
        name = self._spec.name
        where = f"{name}.backward"
        if not isinstance(tape, Tape):
            return ArgumentTypeError(
                f"{where}: tape must be the third result of {name}.forward, found {type(tape).__name__}"
            )
        if tape.cell != name:
            return ArgumentError(f"{where}: tape was made by {tape.cell}.forward; use {tape.cell}.backward for it")
        return ArgumentError(f"{where}: tape was made by another build of {name}; run forward again with this one")
