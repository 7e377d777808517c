"""Every entry point of a module, called with arrays of its own making.

Arrays that a call reads stand in memory between NaN: what is read before the first or after the last element shows in
the results, what is written there or into an argument is found afterwards.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from derive.verify.oracle import Oracle
from derive.verify.problem import Problem

Array = Any
Results = dict[str, Array]
FENCE = 64  # elements of NaN on either side


def memory_of(count: int, dtype: Any) -> Array:
    """Memory for an argument and its fences, all NaN."""
    return np.full(count, np.nan, dtype)


class Calls:
    """The calls of a module for one problem and one dtype.

    Each method yields (what was called, results by the names of `Expected`).  `lengths` go to every call that takes
    them; what the call must not read then is NaN.  `plain`: without state, d_state where they are zero; `unbatched`: without
    the batch axis, for B = 1.
    """

    def __init__(
        self,
        module: Any,
        oracle: Oracle,
        problem: Problem,
        dtype: Any,
        lengths: list[int] | None = None,
        plain: bool = False,
        unbatched: bool = False,
    ) -> None:
        self.module, self.oracle, self.dtype, self.problem = module, oracle, dtype, problem
        self.states, self.plain, self.unbatched = oracle.states, plain, unbatched
        self.fenced: list[tuple[str, Array, Array, bytes]] = []
        places, values = oracle.places, problem.values
        sequences = {
            name: np.moveaxis(a, 0, 1).copy()
            for name, a in (
                *((public, values[n]) for n, public in places.inputs.items()),
                *((public, problem.targets[n]) for n, public in oracle.timed_targets.items()),
                ("d_out", problem.d_out),
            )
        }
        for row, length in enumerate(lengths or ()):
            for array in sequences.values():
                array[length:, row] = np.nan
        given = {n: self._fence(n, a[:, 0] if unbatched else a) for n, a in sequences.items()}
        given |= {n: self._fence(n, problem.targets[of]) for of, n in oracle.fixed_targets.items()}
        self.y, self.d_out = given["y"], given["d_out"]
        self.beside = {
            n: given[n] for n in (*oracle.timed_targets.values(), *oracle.fixed_targets.values()) if n != "y"
        }
        self.x, *_ = (given[n] for n in places.inputs.values())
        self.more = {n: given[n] for n in list(places.inputs.values())[1:]}
        self.params = {n: self._fence(n, a) for n, a in places.gather({n: values[n] for n in places.params}).items()}
        self.state: Any = self._states({s: values[i] for s, i in places.initial.items()}, "0")
        self.d_state: Any = self._states(problem.d_state, " at the end")
        # What goes to every call behind its first arguments: the inputs after the first, and lengths; what the loss reads
        # beside y goes to those that train.
        self.options = {**self.more, **({} if lengths is None else {"lengths": np.asarray(lengths)})}

    def _states(self, arrays: dict[str, Array], end: str) -> Any:
        if self.plain:
            return None
        return tuple(self._fence(f"{s}{end}", arrays[s][0] if self.unbatched else arrays[s]) for s in self.states)

    def _fence(self, name: str, array: Array) -> Array:
        memory = memory_of(array.size + 2 * FENCE, self.dtype)
        memory[FENCE : FENCE + array.size] = array.reshape(-1)
        self.fenced.append((name, memory, memory.copy(), b""))
        return memory[FENCE : FENCE + array.size].reshape(array.shape)

    def trespasses(self) -> list[str]:
        """Sentences for what the calls so far have written where they must not."""
        found = []
        for name, memory, before, _ in self.fenced:
            changed = np.flatnonzero(memory.view(np.uint8) != before.view(np.uint8)) // memory.itemsize
            if changed.size:
                inside = FENCE <= changed[0] < memory.size - FENCE
                found.append(f"a call wrote {'into' if inside else 'outside of'} its argument {name}")
                memory[...] = before
        return found

    # -- calls -----------------------------------------------------------------------------------------------------------

    def infer(self, **options: Any) -> Iterator[tuple[str, Results]]:
        """`infer`, into an array of its own and into ours."""
        out, final = self.module.infer(self.x, self.params, self.state, **options, **self.options)
        yield self._label("infer", options), self._forward(out, final)
        mine = self._fence("out", np.full(self.d_out.shape, np.nan, self.dtype))
        given, final = self.module.infer(self.x, self.params, self.state, out=mine, **options, **self.options)
        yield self._label("infer, with out=", options), self._forward(given, final)
        self.fenced.pop()

    def train(self, wrts: list[Any], **options: Any) -> Iterator[tuple[str, Results]]:
        """`forward`, then `backward` and `loss_and_grad` for each `wrt`; `options` are tape and threads."""
        module = self.module
        out, final, tape = module.forward(self.x, self.params, self.state, **options, **self.options)
        yield self._label("forward", options), self._forward(out, final)
        for wrt in wrts:
            grads = module.backward(tape, self.d_out, self.d_state, wrt=wrt)
            yield self._label("backward", options, wrt), self._gradients("backward", grads, wrt)
            loss, grads = module.loss_and_grad(
                self.x, self.y, self.params, self.state, wrt=wrt, **options, **self.options, **self.beside
            )
            yield self._label("loss_and_grad", options, wrt), self._gradients("loss", grads, wrt) | {"loss": loss}

    def plan(self, wrts: list[Any], **options: Any) -> Iterator[tuple[str, Results]]:
        """A plan, each of its functions twice: the second call finds packed weights and the memory of the first."""
        for wrt in wrts:
            plan = self._plan(wrt=wrt, **options)
            for title in ("plan.infer", "plan.infer again"):
                out, final = plan.infer(self.x, self.state, **self.options)
                yield self._label(title, options, wrt), self._forward(out, final)
            for title in ("plan.loss_and_grad", "plan.loss_and_grad again"):
                loss, grads = plan.loss_and_grad(self.x, self.y, self.state, **self.options, **self.beside)
                yield self._label(title, options, wrt), self._gradients("loss", grads, wrt) | {"loss": loss}

    def _plan(self, **options: Any) -> Any:
        batch = None if self.unbatched else self.problem.batch
        return self.module.plan(self.params, self.problem.steps, batch, **options)

    def can_plan(self) -> bool:
        """Whether a plan knows all sizes: that of each input must be one of a parameter."""
        return not self.module._cell._spec.untold()

    # -- results ---------------------------------------------------------------------------------------------------------

    @staticmethod
    def _label(title: str, options: dict[str, Any], wrt: Any = None) -> str:
        said = [f"{n}={v!r}" for n, v in {**options, "wrt": wrt}.items() if v is not None]
        return f"{title} ({', '.join(said)})" if said else title

    def _forward(self, out: Array, final: tuple[Array, ...]) -> Results:
        found = {"out": out, **{f"{s}_T": a for s, a in zip(self.states, final, strict=True)}}
        return {n: self._batched(n, a) for n, a in found.items()}

    def _gradients(self, title: str, grads: dict[str, Array], wrt: Any) -> Results:
        names = [*self.oracle.places.inputs.values(), *self.oracle.places.arrays, *(f"{s}0" for s in self.states)]
        if wrt is not None:
            asked = {wrt} if isinstance(wrt, str) else set(wrt)
            names = [n for n in names if n in asked or ("params" in asked and n in self.oracle.places.arrays)]
        if sorted(grads) != sorted(names):
            return {f"{title} gradients": f"are {sorted(grads)}, expected {sorted(names)}"}
        return {f"{title} {n}": self._batched(n, a) for n, a in grads.items()}

    def _batched(self, name: str, array: Array) -> Array:
        """A result of a call without the batch axis, as it would be with it."""
        if not self.unbatched or name in self.oracle.places.arrays:
            return array
        return array[:, None] if name == "out" or name in self.oracle.places.inputs.values() else array[None]
