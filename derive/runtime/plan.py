"""Calls into C, prepared once per set of shapes: struct fields, functions, sizes and scratch memory.

Kernels is one dtype of a cell, Plan one set of shapes, Call one function for one set of shapes, Slot one running call.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from typing import Any

import numpy as np

from .arrays import POOL, Array, require_memory
from .errors import KernelError
from .isa import best, wanted
from .spec import Shape, Spec

PLANS = 64  # shapes remembered per dtype; many more means that nothing repeats
SMALL = 1 << 18  # bytes of scratch memory that a Call keeps for the next time; more goes back to the pool


class Kernels:
    """The compiled functions of a cell for one dtype, and the plans made for it so far.

    `module` is a cffi API-mode module with the struct `<cell>_<real>_args`; `real` is f32 or f64. DERIVE_ISA is read
    here, once, when the cell is imported: sizes and calls must agree on the instruction set.
    """

    def __init__(self, spec: Spec, module: Any, dtype: np.dtype[Any], real: str) -> None:
        self.spec = spec
        self.dtype = dtype
        self.isa = wanted(best(module, spec.name))
        self.ffi: Any = module.ffi
        self.from_buffer: Any = module.ffi.from_buffer
        self.error: Any = getattr(module.lib, f"{spec.name}_error")
        self.functions = {
            op: getattr(module.lib, f"{spec.name}_{real}_{op}")
            for op in ("sizes", "infer", "forward", "backward", "loss_and_grad")
        }
        scalar = "float" if real == "f32" else "double"
        self.array_type: Any = self.ffi.typeof(f"{scalar}[]")
        self.loss_type: Any = self.ffi.typeof(f"{scalar} *")
        self.args_type: Any = self.ffi.typeof(f"{spec.name}_{real}_args *")
        self.sizes_type: Any = self.ffi.typeof(f"{spec.name}_sizes *")
        self.plans: dict[tuple[Shape, ...], Plan] = {}

        states = tuple(spec.states)
        self.reads = ("x", *spec.params, *(f"{s}_0" for s in states))
        self.results = ("out", *(f"{s}_T" for s in states))
        self.seeds = ("d_out", *(f"d_{s}_T" for s in states))
        self.gradients = ("d_x", *(f"d_{p}" for p in spec.params), *(f"d_{s}_0" for s in states))

    def remember(self, key: tuple[Shape, ...], plan: Plan) -> None:
        if len(self.plans) >= PLANS:
            self.plans.clear()
        self.plans[key] = plan

    def message(self, code: int) -> str:
        return str(self.ffi.string(self.error(code)).decode("ascii", "replace"))


class Plan:
    """Everything that follows from the shapes of x and the parameters, T, B and the dimensions of the cell.

    Without a batch axis the shapes are those that the caller sees, (T, H) and (H,), and B is 1 for C.
    """

    def __init__(self, where: str, kernels: Kernels, x_shape: Shape, dims: Mapping[str, int]) -> None:
        spec = kernels.spec
        self.kernels = kernels
        self.dtype = kernels.dtype
        self.dims = dims
        self.unbatched = len(x_shape) == 2
        self.steps = x_shape[0]
        self.batch = 1 if self.unbatched else x_shape[1]
        lead = x_shape[:-1]
        self.x_shape = x_shape
        self.out_shape = (*lead, dims[spec.output_dim])
        self.y_shape = (*lead, dims[spec.target_dim])
        self.state_shapes = [(*lead[1:], dims[dim]) for dim in spec.states.values()]
        params = [tuple(axis.size(dims) for axis in shape) for shape in spec.params.values()]
        self.param_shapes = params
        self.splits: dict[int, Any] = {}
        self.counts: dict[str, int] = {}
        self.gradient_shapes = [x_shape, *params, *self.state_shapes]

        # Bytes of the tape and of the workspace of each call. Without sequences C is not asked, here or later.
        self.sizes: Any = self._sizes(where) if self.batch else None
        states = 3 * sum(map(prod, self.state_shapes))
        require_memory((prod(self.out_shape) + states) * self.dtype.itemsize, where, f"the result for {self}")
        # Handed out again and again, hence read-only; never written, the pages of large ones take no memory.
        self.zeros = [np.zeros(shape, self.dtype) for shape in self.state_shapes]
        for array in self.zeros:
            array.flags.writeable = False

        results = (*kernels.reads, *kernels.results)
        self.infer = Call(self, "infer", results)
        self.forward = Call(self, "forward", (*results, "tape"))
        self.backward = Call(self, "backward", (*kernels.reads, "out", "tape", *kernels.seeds, *kernels.gradients))
        self.loss_and_grad = Call(self, "loss_and_grad", (*kernels.reads, "y", *kernels.gradients))

    def __str__(self) -> str:
        sizes = {"T": self.steps, "B": self.batch, **self.dims}
        return ", ".join(f"{name}={size}" for name, size in sizes.items() if name != "B" or not self.unbatched)

    def fill(self, args: Any) -> None:
        """Writes the instruction set, T, B and the dimensions into the struct."""
        args.isa = self.kernels.isa
        args.T = self.steps
        args.B = self.batch
        for dim, size in self.dims.items():
            setattr(args, dim, size)

    def _sizes(self, where: str) -> Any:
        args = self.kernels.ffi.new(self.kernels.args_type)
        sizes = self.kernels.ffi.new(self.kernels.sizes_type)
        self.fill(args)
        if code := self.kernels.functions["sizes"](args, sizes):
            raise MemoryError(f"{where}: {self} is too large: {self.kernels.message(code)}")
        return sizes


class Slot:
    """The arguments of one running call, and the memory that they point to."""

    __slots__ = ("args", "keep", "loss", "memory")

    def __init__(self, args: Any, loss: Any, memory: list[Array]) -> None:
        self.args = args
        self.loss = loss
        self.memory = memory
        self.keep = sum(array.nbytes for array in memory) <= SMALL


class Call:
    """One C function for one set of shapes.

    C releases the GIL and a signal handler may call in between, so each running call has a slot to itself. Slots are
    kept for the next call; list.pop and list.append need no lock.
    """

    def __init__(self, plan: Plan, op: str, fields: Sequence[str]) -> None:
        self.plan = plan
        self.op = op
        self.fields = fields
        self.function: Any = plan.kernels.functions[op]
        self.idle: list[Slot] = []

    def run(self, arrays: Sequence[Array]) -> Slot:
        """Points `fields` at `arrays` and calls. The arrays must be contiguous, aligned and of the right size."""
        try:
            slot = self.idle.pop()
        except IndexError:
            slot = self._slot()
        kernels = self.plan.kernels
        from_buffer, array_type, args = kernels.from_buffer, kernels.array_type, slot.args
        for name, array in zip(self.fields, arrays, strict=True):
            setattr(args, name, from_buffer(array_type, array))
        if code := self.function(args):
            raise KernelError(
                f"{kernels.spec.name}.{self.op}: error {code} for {self.plan}: {kernels.message(code)}; "
                "rebuild the cell with `derive build`"
            )
        return slot

    def done(self, slot: Slot) -> None:
        """Gives a slot back, after its results were read."""
        if slot.keep:
            self.idle.append(slot)
        else:
            for array in slot.memory:
                POOL.give(array)

    def _slot(self) -> Slot:
        plan, kernels, sizes = self.plan, self.plan.kernels, self.plan.sizes
        where = f"{kernels.spec.name}.{self.op}"
        needs = {"workspace": getattr(sizes, self.op)}
        if self.op == "loss_and_grad":
            # Only the gradients leave this call: what lies between forward and backward is scratch.
            itemsize = plan.dtype.itemsize
            needs |= {"tape": sizes.tape, "out": prod(plan.out_shape) * itemsize}
            needs |= {name: prod(s) * itemsize for name, s in zip(kernels.results[1:], plan.state_shapes, strict=True)}
            needs |= {"d_out": needs["out"]}
        require_memory(sum(needs.values()), where, f"working memory for {plan}")
        args = kernels.ffi.new(kernels.args_type)
        plan.fill(args)
        memory = [POOL.take(nbytes) for nbytes in needs.values()]
        for name, array in zip(needs, memory, strict=True):
            pointer = kernels.from_buffer(array)
            setattr(args, name, pointer if name == "workspace" else kernels.ffi.cast(kernels.loss_type, pointer))
        args.workspace_size = needs["workspace"]
        loss = kernels.ffi.new(kernels.loss_type)
        if self.op == "loss_and_grad":
            args.loss = loss
            for name, zero in zip(kernels.seeds[1:], plan.zeros, strict=True):
                setattr(args, name, kernels.from_buffer(kernels.array_type, zero))
        return Slot(args, loss, memory)
