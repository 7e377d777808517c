"""The cells as a programmer writes them for PyTorch or JAX: once, over the few functions in which the two differ.

`project` is what does not depend on the state, for all steps at once: W x. `step` is one step: (params, W x at t, state)
-> the next state, whose first entry is the output. No code is shared with the engine or with the references.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

State = tuple[Any, ...]


class Library(NamedTuple):
    """A library's spelling. linear(x, W) is x W^T for W as we store it, (out, in), whichever way the library keeps it."""

    sigmoid: Callable[[Any], Any]
    tanh: Callable[[Any], Any]
    linear: Callable[[Any, Any], Any]
    normalize: Callable[[Any], Any]  # over the last axis: (v - mean) / sqrt(variance + 1e-5)
    split: Callable[[Any, int], Any]  # along the last axis, into that many equal parts


class Steps(NamedTuple):
    """A cell: how many states it has, and its two functions of (library, params, ...)."""

    states: int
    project: Callable[[Library, Any, Any], Any]
    step: Callable[[Library, Any, Any, State], State]


def _project(lib: Library, p: Any, x: Any) -> Any:
    return lib.linear(x, p["weight_ih"]) + p["bias"]


def _lstm(lib: Library, p: Any, wx: Any, state: State) -> State:
    h, c = state
    i, f, g, o = lib.split(wx + lib.linear(h, p["weight_hh"]), 4)
    c = lib.sigmoid(f) * c + lib.sigmoid(i) * lib.tanh(g)
    return lib.sigmoid(o) * lib.tanh(c), c


def _peephole(lib: Library, p: Any, wx: Any, state: State) -> State:
    h, c = state
    i, f, g, o = lib.split(wx + lib.linear(h, p["weight_hh"]), 4)
    i, f = lib.sigmoid(i + p["peephole_i"] * c), lib.sigmoid(f + p["peephole_f"] * c)
    c = f * c + i * lib.tanh(g)
    return lib.sigmoid(o + p["peephole_o"] * c) * lib.tanh(c), c


def _project_normalized(lib: Library, p: Any, x: Any) -> Any:
    return lib.normalize(lib.linear(x, p["weight_ih"])) * p["gain_ih"] + p["bias"]


def _layernorm(lib: Library, p: Any, wx: Any, state: State) -> State:
    h, c = state
    i, f, g, o = lib.split(wx + lib.normalize(lib.linear(h, p["weight_hh"])) * p["gain_hh"], 4)
    c = lib.sigmoid(f) * c + lib.sigmoid(i) * lib.tanh(g)
    return lib.sigmoid(o) * lib.tanh(lib.normalize(c) * p["gain_c"] + p["bias_c"]), c


def _project_gru(lib: Library, p: Any, x: Any) -> Any:
    return lib.linear(x, p["weight_ih"]) + p["bias_ih"]


def _gru(lib: Library, p: Any, wx: Any, state: State) -> State:
    (h,) = state
    x_r, x_z, x_n = lib.split(wx, 3)
    h_r, h_z, h_n = lib.split(lib.linear(h, p["weight_hh"]) + p["bias_hh"], 3)
    z = lib.sigmoid(x_z + h_z)
    return ((1 - z) * lib.tanh(x_n + lib.sigmoid(x_r + h_r) * h_n) + z * h,)


def _rnn(lib: Library, p: Any, wx: Any, state: State) -> State:
    return (lib.tanh(wx + lib.linear(state[0], p["weight_hh"])),)


def _mgu(lib: Library, p: Any, wx: Any, state: State) -> State:
    (h,) = state
    x_f, x_g = lib.split(wx, 2)
    f = lib.sigmoid(x_f + lib.linear(h, p["weight_hh_f"]))
    return ((1 - f) * h + f * lib.tanh(x_g + lib.linear(f * h, p["weight_hh_g"])),)


STEPS = {
    "lstm": Steps(2, _project, _lstm),
    "lstm_peephole": Steps(2, _project, _peephole),
    "lstm_layernorm": Steps(2, _project_normalized, _layernorm),
    "gru": Steps(1, _project_gru, _gru),
    "rnn": Steps(1, _project, _rnn),
    "mgu": Steps(1, _project, _mgu),
}


def unstacked(cell: str, params: dict[str, Any]) -> dict[str, Any]:
    """The parameters as the step wants them: where gates are multiplied with different vectors, their matrices apart."""
    if cell != "mgu":
        return params
    weight = params["weight_hh"]
    half = weight.shape[0] // 2
    rest = {name: array for name, array in params.items() if name != "weight_hh"}
    return {**rest, "weight_hh_f": weight[:half].copy(), "weight_hh_g": weight[half:].copy()}


def stacked(cell: str, grads: dict[str, Any], concatenate: Callable[[list[Any]], Any]) -> dict[str, Any]:
    """The inverse of `unstacked`, for gradients."""
    if cell != "mgu":
        return grads
    rest = {name: array for name, array in grads.items() if not name.startswith("weight_hh")}
    return {**rest, "weight_hh": concatenate([grads["weight_hh_f"], grads["weight_hh_g"]])}
