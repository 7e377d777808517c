"""Gated recurrent unit with the reset gate after the matrix product. Cho et al. 2014, eq. 5-8, in the form of
PyTorch's nn.GRU and cuDNN (ONNX: linear_before_reset = 1), where U_n h has a bias of its own inside the reset.

    r = sigmoid(W_r x + b_r + U_r h(t-1) + b'_r)
    z = sigmoid(W_z x + b_z + U_z h(t-1) + b'_z)
    n =    tanh(W_n x + b_n + r o (U_n h(t-1) + b'_n))
    h = (1 - z) o n + z o h(t-1)

The gates are stacked r, z, n. Batches are rows: x (T, B, I), h (T, B, H).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from .numerics import (
    Array,
    Gradients,
    Params,
    States,
    absolute,
    after_first_step,
    common,
    seeds,
    sigmoid,
    squared_error,
    tanh,
)

PARAMS = {"weight_ih": ("3*H", "I"), "weight_hh": ("3*H", "H"), "bias_ih": ("3*H",), "bias_hh": ("3*H",)}
STATES = ("h",)
GATES = ("r", "z", "n")


class Cache(NamedTuple):
    """What the forward pass leaves for the backward pass."""

    params: dict[str, Array]
    x: Array  # (T, B, I)
    h_prev: Array  # (T, B, H): h(t-1)
    gates: Array  # (T, B, 3, H): r, z, n after their nonlinearities
    q: Array  # (T, B, H): U_n h(t-1) + b'_n, what r multiplies


def forward(x: Any, params: Params, state: Any = None) -> tuple[Array, States, Cache]:
    """x (T, B, I), state (h0,) -> h (T, B, H), (h(T),), cache."""
    H = params["weight_hh"].shape[1]
    x, params, (h0,) = common(x, params, state, (H,))
    weight_ih, weight_hh = params["weight_ih"], params["weight_hh"]
    T, B, I = x.shape

    gates = (x.reshape(T * B, I) @ weight_ih.T + params["bias_ih"]).reshape(T, B, 3, H)
    h = np.empty((T + 1, B, H), gates.dtype)
    q = np.empty_like(h[1:])
    h[0] = h0
    for t in range(T):
        a = gates[t]
        uh = (h[t] @ weight_hh.T + params["bias_hh"]).reshape(B, 3, H)
        q[t] = uh[:, 2]
        a[:, :2] = sigmoid(a[:, :2] + uh[:, :2])
        r, z, n = a[:, 0], a[:, 1], a[:, 2]
        n[:] = tanh(n + r * q[t])
        h[t + 1] = (1 - z) * n + z * h[t]
    return h[1:], (h[T],), Cache(params, x, h[:-1], gates, q)


def backward(cache: Cache, d_out: Any, d_state: Any = None) -> Gradients:
    """Adjoints of h(t) for every t, and of h(T) -> gradients of every parameter, x and h0."""
    d_wx, d_uh, d_h0 = _deltas(cache, d_out, d_state)
    return _contract(d_wx, d_uh, cache.params, cache.x, cache.h_prev) | {"h0": d_h0}


def _deltas(cache: Cache, d_out: Any, d_state: Any) -> tuple[Array, Array, Array]:
    """The adjoints of W x + b and of U h + b' for every t, each (T, B, 3H), and of h0.

    They agree for r and z; for n the second is r times the first. h(t-1) has two parents: U h(t-1) and z o h(t-1).
    """
    params, _, h_prev, gates, q = cache
    weight_hh = params["weight_hh"]
    T, B, H = h_prev.shape
    d_out, (d_h_next,) = seeds(d_out, d_state, (H,), h_prev.dtype)

    d_wx, d_uh = np.empty_like(gates), np.empty_like(gates)
    for t in reversed(range(T)):
        r, z, n = gates[t, :, 0], gates[t, :, 1], gates[t, :, 2]
        d_h = d_out[t] + d_h_next
        d_n = d_h * (1 - z) * (1 - n * n)
        d_wx[t, :, 0] = d_uh[t, :, 0] = d_n * q[t] * r * (1 - r)
        d_wx[t, :, 1] = d_uh[t, :, 1] = d_h * (h_prev[t] - n) * z * (1 - z)
        d_wx[t, :, 2] = d_n
        d_uh[t, :, 2] = d_n * r
        d_h_next = d_uh[t].reshape(B, 3 * H) @ weight_hh + d_h * z
    return d_wx.reshape(T, B, 3 * H), d_uh.reshape(T, B, 3 * H), d_h_next


def _contract(d_wx: Array, d_uh: Array, params: Params, x: Array, h_prev: Array) -> Gradients:
    """sum over t, b of delta x^T, delta' h(t-1)^T, delta and delta'; and W^T delta."""
    T, B, I = x.shape
    H = h_prev.shape[2]
    rows, rows_uh = d_wx.reshape(T * B, 3 * H), d_uh.reshape(T * B, 3 * H)
    return {
        "weight_ih": rows.T @ x.reshape(T * B, I),
        "weight_hh": rows_uh.T @ h_prev.reshape(T * B, H),
        "bias_ih": rows.sum(axis=0),
        "bias_hh": rows_uh.sum(axis=0),
        "x": (rows @ params["weight_ih"]).reshape(T, B, I),
    }


def magnitudes(cache: Cache, d_out: Any, d_state: Any = None) -> Gradients:
    """For each gradient, the sum of |delta| |operand| behind it: what condition-scaled errors are scaled by."""
    d_out = np.asarray(d_out)
    d_wx, d_uh, _ = _deltas(cache, d_out, d_state)
    _, _, d_h_next = _deltas(after_first_step(cache), d_out[1:], d_state)
    weights, z = absolute(cache.params), abs(cache.gates[0, :, 1])
    sums = _contract(abs(d_wx), abs(d_uh), weights, abs(cache.x), abs(cache.h_prev))
    return sums | {"h0": abs(d_uh[0]) @ weights["weight_hh"] + (abs(d_out[0]) + abs(d_h_next)) * z}


def loss_and_grad(x: Any, y: Any, params: Params, state: Any = None) -> tuple[Any, Gradients]:
    """L = sum over t and batch of ||h(t) - y(t)||^2, and its gradients."""
    out, _, cache = forward(x, params, state)
    loss, d_out = squared_error(out, y)
    return loss, backward(cache, d_out)
