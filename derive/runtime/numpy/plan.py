"""Plan: repeated calls of one size, with everything but the numbers settled in advance."""

from __future__ import annotations

import operator
import threading
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NoReturn

import numpy as np

from ..core.errors import ArgumentError, NotPicklableError, PlanInUseError
from ..core.problem import Problem
from ..core.runner import Runner
from ..core.spec import show
from ..core.split import ONE, Split
from . import forks
from .arrays import PLAIN, Arena, Array, overlap
from .bound import GIVEN, PACK_AND_KEEP, PACKED, ZEROS, Bound
from .inputs import check_dims, check_lengths, check_out, check_params, check_size, check_tape, check_threads, check_wrt
from .ragged import Ragged, put
from .reading import Reader


class Plan:
    """Calls of one cell with fixed sizes, made by `plan`. What a call writes is overwritten by the next.

    A plan keeps its own copy of the parameters, packed weights, scratch memory, and the arrays that it returns. The
    first call of `infer`, and the first of `loss_and_grad`, allocate these; no later call allocates memory of its own,
    unless an argument has to be copied: one that is not contiguous, a state or an input that is not the caller's own
    (a result may be the next input), sequences in an order that `lengths` does not want.

    Attributes: `params`, the plan's copy of the parameters: write to these arrays, then call `update`; `steps`, `batch`
    (None without a batch axis), `dtype`, `nbytes` (all memory that the plan holds at the moment).

    Use a plan from one thread at a time. A call that finds another one running, in another thread or under a signal
    handler, raises RuntimeError and changes nothing. (Two that begin at the same instant take turns.) Any number of
    plans may run at once.

    A stream, one sample at a time, with the same bits as one call over the whole sequence:

        plan = lstm.plan(params, steps=1)
        state = None
        for sample in samples:                      # (1, I)
            out, state = plan.infer(sample, state)  # (1, H)

    Inputs after the first go by their names, as to the functions of the module.
    """

    def __init__(
        self,
        reader: Reader,
        params: Mapping[str, Array],
        steps: int,
        batch: int | None,
        threads: int | None,
        tape: str | int | None,
        wrt: str | Iterable[str] | None,
    ) -> None:
        spec = reader.spec
        where = f"{spec.name}.plan"
        lead = (check_size(where, "steps", steps), *(() if batch is None else (check_size(where, "batch", batch, 0),)))
        check_threads(where, threads)
        if untold := spec.untold():
            raise ArgumentError(
                f"{where}: no parameter of {spec.name} tells the size of {untold[0]}; call infer instead"
            )
        arrays = check_params(where, spec, params, None, "")
        kernels = reader.kernels[arrays[0].dtype]
        self._reader = reader
        self._threads = threads
        self._problem = problem = Problem(where, kernels, lead, check_dims(where, spec, {}, arrays))
        self._tape_every = check_tape(where, tape, problem.steps, kernels.everything)
        names = (*spec.inputs, *spec.params, *(f"{state}0" for state in spec.states))
        wanted = frozenset(names) if wrt is None else check_wrt(where, spec, wrt)
        self._wanted = [name in wanted for name in names]
        self._grad_names = names

        n = len(spec.states)
        self._arena = Arena(where, [*problem.param_shapes, *problem.state_shapes * 3, problem.out_shape], problem.dtype)
        own = self._arena.arrays
        self._own = dict(zip(spec.params, own, strict=False))  # what C reads
        self.params = dict(self._own)
        states = own[len(self._own) : -1]
        self._sets = [*(tuple(states[k * n : (k + 1) * n]) for k in range(3)), tuple(problem.zeros)]
        self._out = own[-1]
        self._latest = 0
        self._first, self._several = reader.first, len(spec.inputs) > 1
        self._infers = (*spec.inputs, spec.output)  # what each call points to arrays of its caller
        self._trains = (*spec.inputs, *spec.targets, *spec.of_role("count"))
        self._inferring: Bound | None = None
        self._training: Bound | None = None
        self._gradients: Arena | None = None
        self._packed = False  # whether the workspace of `infer` holds the weights, packed by an earlier call
        self._running = threading.Lock()
        for mine, array in zip(self._own.values(), arrays, strict=True):
            mine[...] = array
        forks.plans.add(self)

    @property
    def steps(self) -> int:
        """T."""
        return self._problem.steps

    @property
    def batch(self) -> int | None:
        """B; None without a batch axis."""
        return None if self._problem.unbatched else self._problem.batch

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype of all arrays."""
        return self._problem.dtype

    @property
    def nbytes(self) -> int:
        """Bytes of all memory that the plan holds; what a function needs is counted from its first call on."""
        held: list[Any] = [self._arena.memory]
        if self._gradients is not None:
            held.append(self._gradients.memory)
        for bound in (self._inferring, self._training):
            held += bound.runner.memory if bound else []
        return sum(array.nbytes for array in held)

    def __repr__(self) -> str:
        batch = ", no batch axis" if self._problem.unbatched else ""
        return f"<Plan of {self._reader.spec.name}: {self._problem}{batch}, {self.dtype}>"

    def infer(
        self,
        x: Array,
        state: Sequence[Array | None] | Array | None = None,
        *,
        out: Array | None = None,
        lengths: Any = None,
        **inputs: Array,
    ) -> tuple[Array, tuple[Array, ...]]:
        """Run the cell over a sequence; arguments, results and errors are those of the module's `infer`.

        Returns (out, state). Without `out=` the outputs are in an array of the plan, which the next call overwrites. The
        state is one of two sets of arrays of the plan that take turns: it may be passed to the next call, which is
        fastest, and the call after that overwrites it.
        """
        if self._running.locked():
            raise self._busy("infer")
        with self._running:
            bound = self._inferring
            if bound is None:
                if not self._problem.batch:
                    return self._infer_nothing(x, inputs, state, out, lengths)
                bound = self._prepare_infer()
            problem, runner = self._problem, bound.runner
            if inputs or self._several:
                read = self._reader.inputs("plan.infer", problem, x, inputs)
                reads = tuple([self._outside(self._arena, array) for array in read])
            else:
                array = self._reader.sequence("plan.infer", self._first, problem, x)
                reads = (self._outside(self._arena, array),)
            ragged = None if lengths is None else self._ragged("infer", lengths, runner.split)
            result = self._out if out is None else self._check_out(out, x, inputs)
            source = self._source("infer", state)
            if ragged is not None and ragged.order is not None:
                reads = tuple([np.take(array, ragged.order, 1) for array in reads])
                source = self._sort_states(source, ragged.order)
            target = 1 - self._latest
            used = reads + (result,)
            runner.point(self._infers, used)
            for args, field, pointer in bound.reads[source]:
                setattr(args, field, pointer)
            for args, field, pointer in self._writes[target]:
                setattr(args, field, pointer)
            final = self._sets[target]
            if not self._packed:
                bound.pack(PACK_AND_KEEP)
            if ragged is None:
                if runner.rows is not None:  # an interrupt cut off the call that set them
                    runner.lengths(None)
                runner.run(used)
            else:
                self._run_ragged(runner, ragged, used, zip(problem.kernels.results, (result, *final), strict=True))
            if not self._packed:
                bound.pack(PACKED)
                self._packed = True
            self._latest = target
            return result if out is None else out, final

    def loss_and_grad(
        self,
        x: Array,
        y: Array,
        state: Sequence[Array | None] | Array | None = None,
        *,
        lengths: Any = None,
        **inputs: Array,
    ) -> tuple[float, dict[str, Array]]:
        """The loss against the targets y and its gradients; arguments and errors are those of the module's function.

        Returns (loss, grads). Every call returns the same dict with the same arrays, overwritten: those that `wrt` named
        when the plan was made. For a step of training write to `params`, then call `update`.
        """
        if self._running.locked():
            raise self._busy("loss_and_grad")
        with self._running:
            bound = self._training
            if bound is None:
                if not self._problem.batch:
                    return self._train_nothing(x, inputs, y, state, lengths)
                bound = self._prepare_training()
            problem, runner = self._problem, bound.runner
            inputs, beside = self._reader.split("plan.loss_and_grad", inputs)
            if inputs or self._several:
                read = self._reader.inputs("plan.loss_and_grad", problem, x, inputs)
                reads = tuple([self._outside(self._gradients, array) for array in read])
            else:
                array = self._reader.sequence("plan.loss_and_grad", self._first, problem, x)
                reads = (self._outside(self._gradients, array),)
            ragged = None if lengths is None else self._ragged("loss_and_grad", lengths, runner.split)
            ends = None if ragged is None else ragged.lengths
            targets = self._reader.targets("plan.loss_and_grad", problem, y, beside, ends)
            reads += tuple([self._outside(self._gradients, array) for array in targets])
            source = self._source("loss_and_grad", state)
            if ragged is not None and ragged.order is not None:
                reads = tuple([self._sorted(n, a, ragged.order) for n, a in zip(self._trains, reads, strict=True)])
                source = self._sort_states(source, ragged.order)
            runner.point(self._trains, reads)
            for args, field, pointer in bound.reads[source]:
                setattr(args, field, pointer)
            if ragged is None:
                if runner.rows is not None:  # an interrupt cut off the call that set them
                    runner.lengths(None)
                return runner.run(reads), self._grads
            return self._run_ragged(runner, ragged, reads, self._by_row), self._grads

    def update(self, params: Mapping[str, Array] | None = None) -> None:
        """Take new values of the parameters: those of `params`, or, with None, those written to `self.params`.

        An array that was put into `self.params` in place of the plan's own is copied to that. Raises as the making of the
        plan does; shapes and dtype must be the same as then.
        """
        where = f"{self._reader.spec.name}.plan.update"
        if self._running.locked():
            raise self._busy("update")
        with self._running:
            own = self._own
            if params is None and (len(self.params) != len(own) or any(self.params.get(n) is not own[n] for n in own)):
                params = self.params
            if params is not None:
                arrays = check_params(where, self._reader.spec, params, self.dtype, "the plan")
                check_dims(where, self._reader.spec, {}, arrays, self._problem.dims)
                # Some may be the plan's own under another name.
                arrays = [self._outside(self._arena, array) for array in arrays]
                # Before the first number changes: wherever an update is cut off, `infer` packs what is in `params`.
                self._packed = False
                with forks.copying():
                    for mine, array in zip(own.values(), arrays, strict=True):
                        mine[...] = array
                self.params.update(own)
            self._packed = False

    # -- what a call is made of --------------------------------------------------------------------------------------

    def _busy(self, op: str) -> PlanInUseError:
        # Asking first and then `with`, not acquire and try: an interrupt between those two would leave the lock closed.
        name = self._reader.spec.name
        return PlanInUseError(f"{name}.plan.{op}: the plan is running, in another thread; make one for each thread")

    def _prepare_infer(self) -> Bound:
        bound = Bound(self, "infer", {})
        finals = self._problem.kernels.results[1:]
        self._writes = [bound.pointers(finals, self._sets[k]) for k in (0, 1)]
        self._inferring = bound
        return bound

    def _prepare_training(self) -> Bound:
        own = self._prepare_gradients()
        bound = Bound(self, "loss_and_grad", own)
        self._by_row = [(field, a) for field, a in own.items() if a is not None and field in self._problem.widths]
        self._training = bound
        return bound

    def _prepare_gradients(self) -> dict[str, Array | None]:
        """The arrays that training returns, and where C puts each gradient."""
        problem = self._problem
        # C computes the unwanted ones in any case and needs a place for them; those of inputs it can leave away.
        inputs = self._reader.spec.inputs
        away = [n in inputs and not wanted for n, wanted in zip(self._grad_names, self._wanted, strict=True)]
        shapes = [(0,) if gone else shape for gone, shape in zip(away, problem.gradient_shapes, strict=True)]
        self._gradients = Arena(f"{self._reader.spec.name}.plan", shapes, problem.dtype)
        arrays: list[Array] = self._gradients.arrays
        given = zip(problem.kernels.gradients, arrays, away, strict=True)
        own: dict[str, Array | None] = {field: None if gone else array for field, array, gone in given}
        named = zip(self._grad_names, arrays, self._wanted, strict=True)
        self._grads = {name: array for name, array, wanted in named if wanted}
        return own

    def _infer_nothing(
        self, x: Any, inputs: Mapping[str, Any], state: Any, out: Any, lengths: Any
    ) -> tuple[Array, tuple[Array, ...]]:
        """`infer` without sequences: everything is checked, and C is not asked."""
        self._reader.inputs("plan.infer", self._problem, x, inputs)
        if lengths is not None:
            self._ragged("infer", lengths, ONE)
        result = self._out if out is None else self._check_out(out, x, inputs)
        self._source("infer", state)
        self._latest = 1 - self._latest
        return result if out is None else out, self._sets[self._latest]

    def _train_nothing(
        self, x: Any, inputs: Mapping[str, Any], y: Any, state: Any, lengths: Any
    ) -> tuple[float, dict[str, Array]]:
        """`loss_and_grad` without sequences: a loss of 0, and gradients of the parameters that are 0."""
        inputs, beside = self._reader.split("plan.loss_and_grad", dict(inputs))
        self._reader.inputs("plan.loss_and_grad", self._problem, x, inputs)
        if lengths is not None:
            self._ragged("loss_and_grad", lengths, ONE)
        self._reader.targets("plan.loss_and_grad", self._problem, y, beside, None)
        self._source("loss_and_grad", state)
        if self._gradients is None:
            self._prepare_gradients()
        for array in self._grads.values():
            array[...] = 0
        return 0.0, self._grads

    @staticmethod
    def _outside(arena: Arena | None, array: Array) -> Array:
        """`array`, or a copy if it is one that the call writes: the last output may be the next input."""
        return array.copy() if arena is not None and np.may_share_memory(array, arena.memory) else array

    def _source(self, op: str, state: Any) -> int:
        """The set of states that the call reads; a caller's own arrays are copied into one."""
        if state is None:
            return ZEROS
        latest = self._sets[self._latest]
        if type(state) is tuple and len(state) == len(latest) and all(map(operator.is_, state, latest)):
            return self._latest
        arrays = self._reader.states(op, "state", self._problem, state)
        # The two sets of results may be among them, in any order.
        for mine, array in zip(self._sets[GIVEN], [array.copy() for array in arrays], strict=True):
            mine[...] = array
        return GIVEN

    def _sorted(self, name: str, array: Array, order: Array) -> Array:
        """An argument with its sequences in another order; one that has none as it is."""
        axis = self._reader.spec.arguments[name].batch_axis
        return array if axis is None else np.take(array, order, axis)

    def _sort_states(self, source: int, order: Array) -> int:
        if source != ZEROS:
            for mine, array in zip(self._sets[GIVEN], self._sets[source], strict=True):
                mine[...] = array[order]
            return GIVEN
        return source

    def _check_out(self, out: Any, x: Array, inputs: Mapping[str, Array]) -> Array:
        """`out` can take the result and is neither an input, however that lies in memory, nor inside of the plan."""
        problem = self._problem
        usual = type(out) is np.ndarray and out.dtype is problem.dtype and out.shape == problem.out_shape
        # 0x0400: writeable
        usual = usual and out.flags.num & (PLAIN | 0x0400) == PLAIN | 0x0400
        if not usual or any([overlap(out, array) for array in (x, *inputs.values())]):
            spec, named = self._reader.spec, {self._reader.first: x, **inputs}
            axes = spec.arguments[spec.output].axes(problem.unbatched)
            out = check_out(f"{spec.name}.infer", out, problem.dtype, axes, problem.out_shape, named)
        if out is not self._out and np.may_share_memory(out, self._arena.memory):
            raise ArgumentError(
                f"{self._reader.spec.name}.infer: out {show(out.shape)} overlaps an array of the plan; "
                "pass memory of its own, or leave it away"
            )
        return out

    def _ragged(self, op: str, lengths: Any, split: Split) -> Ragged | None:
        problem = self._problem
        where = f"{self._reader.spec.name}.{op}"
        values = check_lengths(where, lengths, problem.steps, problem.batch, problem.unbatched)
        return Ragged(values, problem.steps, split) if (values < problem.steps).any() else None

    def _run_ragged(self, runner: Runner, ragged: Ragged, keep: object, results: Iterable[tuple[str, Array]]) -> float:
        """Runs with lengths, and brings `results`, each with its name in C, into the order of the caller."""
        try:
            runner.lengths(ragged.rows([part.count for part in runner.parts]))
            loss = runner.run(keep)
        finally:
            runner.lengths(None)
        if ragged.order is not None:
            for field, array in results:
                put(array, ragged.order, self._reader.spec.arguments[field].batch_axis or 0, array.copy())
        return loss

    # -- copies and children -----------------------------------------------------------------------------------------

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        name = self._reader.spec.name
        raise NotPicklableError(
            f"{name}.plan: a plan holds memory that C works in, and can be neither copied nor pickled; "
            f"make another one with {name}.plan(plan.params, steps, batch), in each process its own"
        )

    def _after_fork(self) -> None:
        """In a forked child: the call of another thread of the parent is cut off; the next one writes all that it wrote."""
        self._running = threading.Lock()
