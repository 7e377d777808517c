"""What C needs to know about a call apart from its arrays, prepared once per set of shapes.

Kernels is one floating point type of a cell; Problem one set of shapes, with the sizes of tape and workspaces. Problems stay
between calls under the budget of kept.py.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from math import prod
from typing import Any

from .arrays import Arrays, Buffers
from .blocks import require_memory
from .errors import OutOfMemoryError
from .extension import CALLS
from .isa import best, wanted
from .kept import KEPT
from .spec import Shape, Spec
from .split import Split, choose

VARIANTS, WAYS = 16, 64  # ways to keep a tape, and to call, that are remembered for a set of shapes
OVERHEAD = 5 << 9  # bytes of Python objects that a set of shapes takes, and as many for each way to call


class Kernels:
    """The compiled functions of a cell for one floating point type, and the problems met so far.

    `module` is a cffi API-mode module with the struct `<cell>_<real>_args`; `real` is f32 or f64; `arrays` the library of
    arrays above, None for plain buffers. DERIVE_ISA is read here, once, when the cell is imported: sizes and calls must
    agree on the instruction set.
    """

    def __init__(self, spec: Spec, module: Any, real: str, arrays: Arrays | None = None) -> None:
        scalar = "float" if real == "f32" else "double"
        self.spec = spec
        self.arrays: Arrays = Buffers(module.ffi, scalar) if arrays is None else arrays
        self.dtype: Any = self.arrays.dtype
        self.itemsize: int = module.ffi.sizeof(scalar)
        self.isa = wanted(best(module, spec.name))
        self.ffi: Any = module.ffi
        self.from_buffer: Any = module.ffi.from_buffer
        self.error: Any = getattr(module.lib, f"{spec.name}_error")
        self.functions = {op: getattr(module.lib, f"{spec.name}_{real}_{op}") for op in CALLS}
        self.units = bool(getattr(module.lib, f"{spec.name}_parts")())
        self.whole = bool(getattr(module.lib, "derive_batch_is_fixed", int)())
        self.everything = 2 ** (8 * self.ffi.sizeof("size_t")) - 1  # tape_every: all states, no gates
        self.array_type: Any = self.ffi.typeof(f"{scalar}[]")
        self.loss_type: Any = self.ffi.typeof(f"{scalar} *")
        self.args_type: Any = self.ffi.typeof(f"{spec.name}_{real}_args *")
        self.sizes_type: Any = self.ffi.typeof(f"{spec.name}_sizes *")
        self.problems: dict[tuple[Shape, ...], Problem] = {}  # those that KEPT lets stay

        self.initials = spec.of_role("initial")
        self.reads = spec.of_role("input", "param", "initial")
        self.results = spec.of_role("output", "final")
        self.seeds = spec.of_role("seed")
        self.gradients = spec.of_role("gradient")
        self.sums = frozenset(f"d_{p}" for p in spec.params)
        # What a call is handed over; the loss of loss_and_grad comes from the output alone, and its other seeds are zeros.
        self.fields = {
            op: tuple(n for n in names if op != "loss_and_grad" or n not in self.seeds)
            for op, names in spec.calls.items()
        }

    def remember(self, key: tuple[Shape, ...], problem: Problem) -> None:
        """From now on calls with these shapes find the problem, until it is the least recently used."""
        problem.key = key
        self.problems[key] = problem
        KEPT.admit(problem)

    def message(self, code: int) -> str:
        return str(self.ffi.string(self.error(code)).decode("ascii", "replace"))

    def struct(self, steps: int, batch: int, dims: Mapping[str, int], tape_every: int = 0, parts: int = 1) -> Any:
        """A struct of arguments with everything but pointers."""
        args = self.ffi.new(self.args_type)
        args.isa = self.isa
        for name, size in {"T": steps, "B": batch, **dims}.items():
            try:
                setattr(args, name, size)
            except OverflowError:
                raise OutOfMemoryError(
                    f"{self.spec.name}: {name}={size} is more than any machine can address"
                ) from None
        if tape_every:
            args.tape_every = tape_every
        if parts > 1:
            args.parts = parts
        return args

    def sizes(self, args: Any, where: str, what: object) -> Any:
        """Bytes of the tape and of the workspace of each call. Raises MemoryError if C cannot count them."""
        sizes = self.ffi.new(self.sizes_type)
        if code := self.functions["sizes"](args, sizes):
            raise OutOfMemoryError(f"{where}: {what} is too large: {self.message(code)}")
        return sizes


class Problem:
    """Everything that follows from T, B and the dimensions of the cell.

    `lead` is (T, B) or, without a batch axis, (T,): then the shapes are those that the caller sees, (T, H) and (H,), and B
    is 1 for C. `tape_every` and `parts`, as in C, have an influence on sizes: `variant` makes the same problem with others.
    """

    def __init__(
        self,
        where: str,
        kernels: Kernels,
        lead: Shape,
        dims: Mapping[str, int],
        tape_every: int = 0,
        parts: int = 1,
    ) -> None:
        spec = kernels.spec
        self.kernels = kernels
        self.dtype = kernels.dtype
        self.dims = dims
        self.tape_every = tape_every
        self.parts = parts
        self.lead = lead
        self.unbatched = len(lead) == 1
        self.steps = lead[0]
        self.batch = 1 if self.unbatched else lead[1]
        sizes = {"T": self.steps, "B": self.batch, **dims}
        self.shapes: dict[str, Shape] = {
            name: tuple(axis.size(sizes) for axis in argument.axes(self.unbatched))
            for name, argument in spec.arguments.items()
        }
        self.out_shape = self.shapes[spec.output]
        self.input_shapes = [self.shapes[name] for name in spec.inputs]
        self.state_shapes = [self.shapes[name] for name in kernels.initials]
        self.param_shapes = [self.shapes[name] for name in spec.params]
        self.gradient_shapes = [self.shapes[name] for name in kernels.gradients]
        # Numbers of one sequence and step in the arrays that have a batch; the others have all sequences in one.
        self.widths = {
            name: prod(axis.size(sizes) for axis in argument.row)
            for name, argument in spec.arguments.items()
            if argument.batch_axis is not None
        }
        self.calls: dict[tuple[object, ...], Any] = {}
        self.variants: dict[tuple[int, int], Problem] = {}
        self.key: tuple[Shape, ...] | None = None
        self.used = 0

        # Without sequences C is not asked, here or later; libraries have a limit even for arrays with nothing in them.
        self.sizes: Any = kernels.sizes(self.struct(self.batch), where, self) if self.batch else None
        if not self.batch and self.steps * max(self.widths.values()) * kernels.itemsize > sys.maxsize:
            raise OutOfMemoryError(f"{where}: {self} is too large: no machine can address its arrays")
        states = 3 * sum(map(prod, self.state_shapes))
        require_memory((prod(self.out_shape) + states) * kernels.itemsize, where, f"the result for {self}")
        # Handed out again and again, hence read-only; never written, the pages of large ones take no memory.
        self.zeros = [kernels.arrays.zeros(shape) for shape in self.state_shapes]

    def __str__(self) -> str:
        sizes = {"T": self.steps, "B": self.batch, **self.dims}
        return ", ".join(f"{name}={size}" for name, size in sizes.items() if name != "B" or not self.unbatched)

    def struct(self, batch: int) -> Any:
        """A struct for `batch` of the sequences."""
        return self.kernels.struct(self.steps, batch, self.dims, self.tape_every, self.parts)

    def variant(self, tape_every: int, parts: int) -> Problem:
        """The same shapes with another tape or number of parts."""
        key = (tape_every, parts)
        if key == (self.tape_every, self.parts):
            return self
        found = self.variants.get(key)
        if found is None:
            if len(self.variants) >= VARIANTS:
                self.variants.clear()
            found = self.variants[key] = Problem(self.kernels.spec.name, self.kernels, self.lead, self.dims, *key)
            KEPT.charge(found.nbytes())  # before its first call
        return found

    def nbytes(self) -> int:
        """Bytes that stay between calls: those of runners, of zeros, and what the objects themselves take."""
        problems = [self, *list(self.variants.values())]
        # By identity: some calls have two keys.
        calls = {id(found): found for problem in problems for found in list(problem.calls.values())}
        runners = sum(found.held for found in calls.values())
        zeros = sum(array.nbytes for problem in problems for array in problem.zeros)
        return OVERHEAD * (len(problems) + len(calls)) + zeros + runners

    def forget(self) -> None:
        """Go out of the table of problems and let go of idle runners; a tape or a call that is under way may still use it."""
        if self.key is not None and self.kernels.problems.get(self.key) is self:
            del self.kernels.problems[self.key]
        self.calls.clear()
        self.variants.clear()

    def choose(self, op: str, threads: int | None, work: int | None = None, packed: bool = False) -> Split:
        """How to spread a call over threads; the arguments are those of `split.choose`."""
        return choose(
            op,
            self.steps,
            self.batch,
            sum(map(prod, self.param_shapes)),
            itemsize=self.kernels.itemsize,
            work=work,
            packed=packed,
            threads=threads,
            units=self.kernels.units,
            whole=self.kernels.whole,
        )
