"""A drawn problem for any reference: every size odd, every state nonzero, every weight different."""

from __future__ import annotations

from dataclasses import dataclass, replace
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from derive.verify import references

CELLS = ["rnn", "lstm", "gru", "lstm_peephole", "lstm_layernorm", "lstm_toy", "lstm_readout"]


@dataclass(frozen=True)
class Problem:
    module: ModuleType
    params: dict[str, Any]
    x: Any
    state: tuple[Any, ...]
    weights_out: Any  # adjoint of out
    weights_state: tuple[Any, ...]  # adjoints of the final state

    @property
    def names(self) -> list[str]:
        return [*self.params, "x", *(f"{s}0" for s in self.module.STATES)]

    def value(self, name: str) -> Any:
        """The array that the gradient `name` belongs to."""
        if name in self.params:
            return self.params[name]
        return self.x if name == "x" else self.state[self.module.STATES.index(name[:-1])]

    def with_value(self, name: str, value: Any) -> Problem:
        if name in self.params:
            return replace(self, params=self.params | {name: value})
        if name == "x":
            return replace(self, x=value)
        k = self.module.STATES.index(name[:-1])
        return replace(self, state=(*self.state[:k], value, *self.state[k + 1 :]))

    def map(self, f: Any) -> Problem:
        return Problem(
            self.module,
            {n: f(a) for n, a in self.params.items()},
            f(self.x),
            tuple(map(f, self.state)),
            f(self.weights_out),
            tuple(map(f, self.weights_state)),
        )

    def objective(self) -> Any:
        """A scalar that every output at every step, and every final state, enters with a weight of its own."""
        out, final, _ = self.module.forward(self.x, self.params, self.state)
        total = (out * self.weights_out).sum()
        for state, weights in zip(final, self.weights_state, strict=True):
            total = total + (state * weights).sum()
        return total

    def gradients(self) -> dict[str, Any]:
        _, _, cache = self.module.forward(self.x, self.params, self.state)
        return self.module.backward(cache, self.weights_out, self.weights_state)

    def magnitudes(self) -> dict[str, Any]:
        _, _, cache = self.module.forward(self.x, self.params, self.state)
        return self.module.magnitudes(cache, self.weights_out, self.weights_state)


def draw(cell: str, T: int = 5, B: int = 3, I: int = 4, H: int = 3, O: int = 2, seed: int = 0) -> Problem:
    module = references.get(cell)
    assert module is not None
    rng = np.random.default_rng(seed)
    sizes = {"I": I, "H": H, "O": O, "3*H": 3 * H, "4*H": 4 * H}
    params = {name: rng.normal(0, 0.7, [sizes[s] for s in shape]) for name, shape in module.PARAMS.items()}
    return Problem(
        module,
        params,
        rng.normal(size=(T, B, I)),
        tuple(rng.normal(size=(B, H)) for _ in module.STATES),
        rng.normal(size=(T, B, O if "bias_o" in params else H)),
        tuple(rng.normal(size=(B, H)) for _ in module.STATES),
    )


@pytest.fixture(params=CELLS)
def cell(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(name="draw")
def draw_fixture() -> Any:
    return draw
