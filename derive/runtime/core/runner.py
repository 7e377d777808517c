"""Running calls: the structs that C reads, and the memory that belongs to a call and not to its caller.

A Call is one function for one problem and one way to use threads; a Runner is one running call. C releases the GIL and
a signal handler may call in between, so each running call has a runner to itself.
"""

from __future__ import annotations

from array import array as numbers
from collections.abc import Sequence
from math import prod
from typing import Any

from .blocks import require_memory
from .errors import KernelError
from .kept import KEPT
from .problem import OVERHEAD, WAYS, Problem
from .split import Split
from .workers import gang, share

Buffer = Any  # an array of the library above, or anything else with the buffer protocol

# Bytes of scratch memory that a runner keeps for the next call; what has more gives it to calls of any shape, and pays for
# that with some 40 microseconds a call: a runner is made anew. The budget holds for both.
SMALL = 1 << 22


class Part:
    """The struct of one thread that has some of the sequences, and where these begin."""

    __slots__ = ("args", "count", "first", "loss", "sizes", "sums", "tape")

    def __init__(self, args: Any, sizes: Any, loss: Any, first: int, count: int, tape: int) -> None:
        self.args = args
        self.sizes = sizes
        self.loss = loss
        self.first = first
        self.count = count
        self.tape = tape  # numbers on the tape before this part's
        self.sums: dict[str, memoryview] = {}


class Runner:
    """The arguments of a call: a struct for each thread that has sequences of its own, else one.

    ragged: whether there will be `lengths`; backward then needs a little more workspace.
    """

    def __init__(self, problem: Problem, op: str, split: Split, ragged: bool) -> None:
        kernels = problem.kernels
        self.problem = problem
        self.op = op
        self.split = split
        self.alone = split.kind == "one"
        self.has_loss = op == "loss_and_grad"
        self.function: Any = kernels.functions[op]
        self.memory: list[memoryview] = []
        self.totals: dict[str, Buffer] = {}
        self.rows: Sequence[Buffer] | None = None
        self.parts = self._parts(ragged)
        self.args = self.parts[0].args
        needs = self._scratch_needs()
        workspaces = [getattr(part.sizes, op) for part in self.parts]
        total = sum(needs.values()) + sum(workspaces)
        require_memory(total, f"{kernels.spec.name}.{op}", f"working memory for {problem}")
        for part, nbytes in zip(self.parts, workspaces, strict=True):
            part.args.workspace = kernels.from_buffer(self._take(nbytes))
            part.args.workspace_size = nbytes
            if self.has_loss:
                part.args.loss = part.loss
        for name, nbytes in needs.items():
            self._point(name, self._take(nbytes))
        for part in self.parts[1:]:
            self._own_sums(part)
        if self.has_loss:
            for name, zero in zip(kernels.seeds[1:], problem.zeros, strict=True):
                self._point(name, zero)
        self.nbytes = sum(block.nbytes for block in self.memory)
        self.small = self.nbytes <= SMALL

    # -- memory ------------------------------------------------------------------------------------------------------

    def _parts(self, ragged: bool) -> list[Part]:
        problem, kernels = self.problem, self.problem.kernels
        parts: list[Part] = []
        first, tape = 0, 0
        for count in shares(problem.batch, self.split):
            args = problem.struct(count)
            args.batch = problem.batch
            if ragged:
                rows = numbers("Q" if kernels.ffi.sizeof("size_t") == 8 else "I", [count]) * problem.steps
                args.rows = kernels.from_buffer("size_t[]", rows)
            sizes = kernels.sizes(args, kernels.spec.name, problem)
            args.rows = kernels.ffi.NULL
            parts.append(Part(args, sizes, kernels.ffi.new(kernels.loss_type), first, count, tape))
            first += count
            tape += sizes.tape // kernels.itemsize
        return parts

    def _scratch_needs(self) -> dict[str, int]:
        """What lies between forward and backward of loss_and_grad: only the gradients leave this call."""
        problem, kernels = self.problem, self.problem.kernels
        if not self.has_loss:
            return {}
        between = (*kernels.results, kernels.seeds[0])
        tape = sum(part.sizes.tape for part in self.parts)
        return {"tape": tape, **{name: prod(problem.shapes[name]) * kernels.itemsize for name in between}}

    def _own_sums(self, part: Part) -> None:
        """Gradients of the parameters over this part's sequences, to be added to the first part's."""
        problem, kernels = self.problem, self.problem.kernels
        if self.op in ("backward", "loss_and_grad"):
            for name in (n for n in kernels.gradients if n in kernels.sums):
                own = part.sums[name] = self._take(prod(problem.shapes[name]) * kernels.itemsize)
                setattr(part.args, name, kernels.from_buffer(kernels.array_type, own))

    def _take(self, nbytes: int) -> memoryview:
        block = KEPT.take(nbytes)
        self.memory.append(block)
        return block[:nbytes]

    def release(self) -> None:
        """Gives the memory to the next call that asks for some; the runner is of no use after that."""
        for block in self.memory:
            KEPT.give(block)

    # -- arguments ---------------------------------------------------------------------------------------------------

    def point(self, fields: Sequence[str], arrays: Sequence[Buffer | None]) -> None:
        """Points `fields` at `arrays`, which must be contiguous, aligned and of the right size; None is NULL."""
        if len(self.parts) > 1:
            for name, array in zip(fields, arrays, strict=True):
                self._point(name, array)
            return
        kernels, args = self.problem.kernels, self.args
        from_buffer, array_type = kernels.from_buffer, kernels.array_type
        for name, array in zip(fields, arrays, strict=True):
            setattr(args, name, kernels.ffi.NULL if array is None else from_buffer(array_type, array))

    def _point(self, name: str, array: Buffer | None) -> None:
        for args, field, pointer in self.pointers(name, array):
            setattr(args, field, pointer)

    def pointers(self, name: str, array: Buffer | None) -> list[tuple[Any, str, Any]]:
        """(struct, field, pointer) of every part, to be set by setattr; the pointers do not keep `array` alive."""
        kernels = self.problem.kernels
        pointer = kernels.ffi.NULL if array is None else kernels.from_buffer(kernels.array_type, array)
        width = self.problem.widths.get(name, 0)
        parts = self.parts
        if name in kernels.sums and array is not None:
            # The parts after the first have sums of their own, which are added to these.
            self.totals[name] = array
            parts = parts[:1]
        offsets = [part.tape if name == "tape" else part.first * width for part in parts]
        return [
            (part.args, name, pointer + offset if offset and array is not None else pointer)
            for part, offset in zip(parts, offsets, strict=True)
        ]

    def lengths(self, rows: Sequence[Buffer] | None) -> None:
        """How many sequences of each part run at each step, (T,) numbers of type size_t a part; None: all.

        `rows` is not None as long as a part may have some.
        """
        kernels = self.problem.kernels
        if rows is None:
            for part in self.parts:
                part.args.rows = kernels.ffi.NULL
            self.rows = None
            return
        self.rows = rows
        for part, own in zip(self.parts, rows, strict=True):
            part.args.rows = kernels.from_buffer("size_t[]", own)

    # -- the call ----------------------------------------------------------------------------------------------------

    def run(self, keep: object) -> float:
        """Calls C. Returns the loss, 0.0 where there is none. keep: what must live until all threads are done."""
        if self.alone:
            if code := self.function(self.args):
                raise self._refused(code)
            return float(self.parts[0].loss[0]) if self.has_loss else 0.0
        codes = self._by_units(keep) if self.split.kind == "units" else self._by_batch(keep)
        if any(codes):
            raise self._refused(next(filter(None, codes)))
        return float(sum(part.loss[0] for part in self.parts)) if self.has_loss else 0.0

    def _by_batch(self, keep: object) -> list[int]:
        codes = share(self.function, [part.args for part in self.parts], (self, keep))
        for part in self.parts[1:]:
            for name, own in part.sums.items():
                self.problem.kernels.arrays.add(self.totals[name], own)
        return codes

    def _by_units(self, keep: object) -> list[int]:
        """All parts at the same time; on this thread alone if the threads of the pool are busy: the numbers are the same."""
        kernels, args = self.problem.kernels, self.args
        barrier = kernels.ffi.new("int[16]")  # 64 bytes of zeros
        args.meeting = barrier
        structs = [args]
        for part in range(1, self.split.parts):
            structs.append(kernels.ffi.new(kernels.args_type, args[0]))
            structs[-1].part = part
        codes = gang(self.function, structs, (self, keep, barrier))
        if codes is not None:
            return codes
        alone = kernels.ffi.new(kernels.args_type, args[0])
        alone.parts = 1
        return [self.function(alone)]

    def _refused(self, code: int) -> KernelError:
        kernels = self.problem.kernels
        return KernelError(
            f"{kernels.spec.name}.{self.op}: error {code} for {self.problem}: {kernels.message(code)}; "
            "rebuild the cell with `derive build`"
        )


def shares(batch: int, split: Split) -> list[int]:
    """How many sequences each part has: by batch almost equal, the first ones more; otherwise one part has all."""
    return [len(range(part, batch, split.parts)) for part in range(split.parts)] if split.kind == "batch" else [batch]


class Call:
    """One C function for one problem and one split. Runners wait here for the next call; list.pop and append need no lock."""

    def __init__(self, problem: Problem, op: str, split: Split, ragged: bool) -> None:
        kernels = problem.kernels
        self.problem = problem
        self.op = op
        self.split = split
        self.ragged = ragged
        self.fields = kernels.fields[op]
        self.idle: list[Runner] = []
        self.held = 0  # bytes of the runners that come back here
        # Where the caller's order of sequences and that of C meet. What a tape refers to is in the order of C already.
        inputs = kernels.seeds if op == "backward" else (*kernels.reads, *kernels.spec.targets)
        outputs = kernels.results if op in ("infer", "forward") else kernels.gradients
        of = kernels.spec.arguments
        axes = ((k, of[f].batch_axis) for k, f in enumerate(self.fields) if f in of)
        self.batch_axes = {k: axis for k, axis in axes if axis is not None}
        self.gathered = [k for k in self.batch_axes if self.fields[k] in inputs]
        self.scattered = [k for k in self.batch_axes if self.fields[k] in outputs]

    def tape_bytes(self) -> int:
        """Bytes of the tape of all parts."""
        problem = self.problem
        if self.split.kind != "batch":
            return int(problem.sizes.tape)
        name, counts = problem.kernels.spec.name, shares(problem.batch, self.split)
        return sum(int(problem.kernels.sizes(problem.struct(count), name, problem).tape) for count in counts)

    @property
    def counts(self) -> list[int]:
        """How many sequences each part has."""
        return shares(self.problem.batch, self.split)

    def run(self, arrays: Sequence[Buffer | None], rows: Sequence[Buffer] | None = None) -> float:
        """Points the fields of the function at `arrays`, in the order of C, and calls; returns the loss.

        rows: as for `Runner.lengths`, where sequences end at different steps.
        """
        try:
            runner = self.idle.pop()
        except IndexError:
            runner = Runner(self.problem, self.op, self.split, self.ragged)
            if runner.small:
                self._hold(runner.nbytes)
        try:
            runner.point(self.fields, arrays)
            if rows is not None:
                runner.lengths(rows)
            loss = runner.run(arrays)
            if rows is not None:
                runner.lengths(None)
            runner.totals.clear()
        except BaseException:
            # The runner does not come back: what it points to is not known.
            if runner.small:
                self._hold(-runner.nbytes)
            raise
        if runner.small:
            self.idle.append(runner)
        else:
            runner.release()
        return loss

    def _hold(self, nbytes: int) -> None:
        """A runner that stays is there, or, with a minus, is lost."""
        with KEPT.lock:
            self.held += nbytes
            KEPT.charge(nbytes)


def call(problem: Problem, op: str, threads: int | None, tape_every: int = 0, work: int | None = None) -> Call:
    """The call of `op`: on `threads`, or as many as pay off. work: the sum of the lengths, where they differ."""
    if work is not None:
        return for_split(problem, op, problem.choose(op, threads, work), tape_every, True)
    asked = (op, threads, tape_every)
    found: Call | None = problem.calls.get(asked)
    if found is None:
        if len(problem.calls) >= WAYS:
            problem.calls.clear()
        found = problem.calls[asked] = for_split(problem, op, problem.choose(op, threads), tape_every)
    return found


def for_split(problem: Problem, op: str, split: Split, tape_every: int = 0, ragged: bool = False) -> Call:
    """The call of `op` with threads used in the way of `split`. ragged: for sequences of different lengths."""
    problem = problem.variant(tape_every, split.parts if split.kind == "units" else 1)
    key = (op, split, ragged)
    found: Call | None = problem.calls.get(key)
    if found is None:
        if len(problem.calls) >= WAYS:
            problem.calls.clear()
        found = problem.calls[key] = Call(problem, op, split, ragged)
        KEPT.charge(OVERHEAD)
    return found
