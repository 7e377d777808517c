"""LayersPlan: repeated inference of layers with everything but the numbers settled in advance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from .arrays import Array
from .plan import Plan
from .turn import Turn

if TYPE_CHECKING:
    from .layers import Layers, State


class LayersPlan:
    """Calls of `Layers.infer` with fixed sizes: each layer keeps its packed weights and its memory, as `Plan` does.

    What a call returns is overwritten by the next.  A stream, one sample at a time, has the bits of one call over all of it:

        plan = layers.plan(params, steps=1)
        out, state = plan.infer(sample, state)  # (1, I) -> (1, H)
    """

    def __init__(
        self, layers: Layers, params: Mapping[str, Array], steps: int, batch: int | None, threads: int | None
    ) -> None:
        self._layers = layers
        every = layers.params_of_passes("plan", params)
        self._plans: list[Plan] = [
            cell.plan(own, steps, batch, threads=threads) for cell, own in zip(layers.cells, every, strict=True)
        ]

    @property
    def nbytes(self) -> int:
        """Bytes of all memory that the plans hold."""
        return sum(plan.nbytes for plan in self._plans)

    def infer(
        self, x: Array, state: Sequence[Array | None] | Array | None = None, *, masks: Sequence[Array] | None = None
    ) -> tuple[Array, State]:
        """The output and the state after the last step; arguments and errors are those of `Layers.infer`."""
        layers, plans = self._layers, self._plans
        states = layers.states_of_passes("plan.infer", "state", state)
        below, factors = layers.given("plan.infer", x, masks)
        turn = Turn(len(below), None) if layers.bidirectional else None
        out, finals = layers.through(
            "plan.infer", below, turn, factors, lambda number, read: plans[number].infer(read, states[number])
        )
        if len(plans) > len(finals):
            out, _ = plans[-1].infer(out)
        return layers.results(out, finals)

    def update(self, params: Mapping[str, Array]) -> None:
        """Take new values of the parameters."""
        for plan, own in zip(self._plans, self._layers.params_of_passes("plan.update", params), strict=True):
            plan.update(own)
