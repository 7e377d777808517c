"""LSTM with a linear readout at every step: the LSTM of `lstm`, and

    p(t) = V h(t) + d

out is p (T, B, O); the states are h and c as before. The adjoint of h(t) is V^T dp(t), from where the LSTM's own BPTT
goes on. Graves 2013, eq. 3 (y-hat), for one layer.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from . import lstm
from .numerics import Array, Gradients, Params, States, common, squared_error

PARAMS = lstm.PARAMS | {"weight_ho": ("O", "H"), "bias_o": ("O",)}
STATES = lstm.STATES
GATES = lstm.GATES


class Cache(NamedTuple):
    """What the forward pass leaves for the backward pass."""

    lstm: lstm.Cache
    h: Array  # (T, B, H)
    weight_ho: Array


def forward(x: Any, params: Params, state: Any = None) -> tuple[Array, States, Cache]:
    """x (T, B, I), state (h0, c0) -> p (T, B, O), (h(T), c(T)), cache."""
    H = params["weight_hh"].shape[1]
    x, params, state = common(x, params, state, (H, H))
    h, final, cache = lstm.forward(x, {name: params[name] for name in lstm.PARAMS}, state)
    T, B, _ = h.shape
    p = h.reshape(T * B, H) @ params["weight_ho"].T + params["bias_o"]
    return p.reshape(T, B, p.shape[1]), final, Cache(cache, h, params["weight_ho"])


def backward(cache: Cache, d_out: Any, d_state: Any = None) -> Gradients:
    """Adjoints of p(t) for every t, and of (h(T), c(T)) -> gradients of every parameter, x, h0 and c0."""
    d_p = np.asarray(d_out).astype(cache.h.dtype, copy=False)
    return lstm.backward(cache.lstm, d_p @ cache.weight_ho, d_state) | _contract(d_p, cache.h)


def _contract(d_p: Array, h: Array) -> Gradients:
    """sum over t, b of dp h^T and dp."""
    T, B, H = h.shape
    rows = d_p.reshape(T * B, d_p.shape[2])
    return {"weight_ho": rows.T @ h.reshape(T * B, H), "bias_o": rows.sum(axis=0)}


def magnitudes(cache: Cache, d_out: Any, d_state: Any = None) -> Gradients:
    """For each gradient, the sum of |delta| |operand| behind it: what condition-scaled errors are scaled by."""
    d_p = np.asarray(d_out)
    return lstm.magnitudes(cache.lstm, d_p @ cache.weight_ho, d_state) | _contract(abs(d_p), abs(cache.h))


def loss_and_grad(x: Any, y: Any, params: Params, state: Any = None) -> tuple[Any, Gradients]:
    """L = sum over t and batch of ||p(t) - y(t)||^2, and its gradients."""
    out, _, cache = forward(x, params, state)
    loss, d_out = squared_error(out, y)
    return loss, backward(cache, d_out)
