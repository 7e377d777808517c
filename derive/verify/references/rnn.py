"""Simple recurrent network. Elman 1990, "Finding structure in time"; BPTT as in Werbos 1990.

    h(t) = tanh(W x(t) + U h(t-1) + b)

Batches are rows: x (T, B, I), h (T, B, H), so W x(t) reads x[t] @ W.T.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from .numerics import Array, Gradients, Params, States, absolute, common, seeds, squared_error, tanh

PARAMS = {"weight_ih": ("H", "I"), "weight_hh": ("H", "H"), "bias": ("H",)}
STATES = ("h",)


class Cache(NamedTuple):
    """What the forward pass leaves for the backward pass."""

    params: dict[str, Array]
    x: Array  # (T, B, I)
    h_prev: Array  # (T, B, H): h(t-1)
    h: Array  # (T, B, H)


def forward(x: Any, params: Params, state: Any = None) -> tuple[Array, States, Cache]:
    """x (T, B, I), state (h0,) -> h (T, B, H), (h(T),), cache."""
    x, params, (h0,) = common(x, params, state, (params["weight_hh"].shape[1],))
    weight_ih, weight_hh, bias = params["weight_ih"], params["weight_hh"], params["bias"]
    T, B, I = x.shape
    H = weight_hh.shape[1]

    wx = (x.reshape(T * B, I) @ weight_ih.T + bias).reshape(T, B, H)
    h = np.empty((T + 1, B, H), wx.dtype)
    h[0] = h0
    for t in range(T):
        h[t + 1] = tanh(wx[t] + h[t] @ weight_hh.T)
    return h[1:], (h[T],), Cache(params, x, h[:-1], h[1:])


def backward(cache: Cache, d_out: Any, d_state: Any = None) -> Gradients:
    """Adjoints of h(t) for every t, and of h(T) -> gradients of every parameter, x and h0."""
    d_a, d_h0 = _deltas(cache, d_out, d_state)
    grads = _contract(d_a, cache.params, cache.x, cache.h_prev)
    return grads | {"h0": d_h0}


def _deltas(cache: Cache, d_out: Any, d_state: Any) -> tuple[Array, Array]:
    """delta(t) = (dh(t) + U^T delta(t+1)) o (1 - h(t)^2), and U^T delta(1)."""
    params, _, _, h = cache
    d_out, (d_h,) = seeds(d_out, d_state, h.shape[2:], h.dtype)
    d_a = np.empty_like(h)
    for t in reversed(range(len(h))):
        d_a[t] = (d_out[t] + d_h) * (1 - h[t] * h[t])
        d_h = d_a[t] @ params["weight_hh"]
    return d_a, d_h


def _contract(d_a: Array, params: Params, x: Array, h_prev: Array) -> Gradients:
    """sum over t, b of delta x^T, delta h(t-1)^T and delta; and W^T delta."""
    T, B, I = x.shape
    H = h_prev.shape[2]
    rows = d_a.reshape(T * B, H)
    return {
        "weight_ih": rows.T @ x.reshape(T * B, I),
        "weight_hh": rows.T @ h_prev.reshape(T * B, H),
        "bias": rows.sum(axis=0),
        "x": (rows @ params["weight_ih"]).reshape(T, B, I),
    }


def magnitudes(cache: Cache, d_out: Any, d_state: Any = None) -> Gradients:
    """For each gradient, the sum of |delta| |operand| behind it: what condition-scaled errors are scaled by."""
    d_a, _ = _deltas(cache, d_out, d_state)
    size, weights = abs(d_a), absolute(cache.params)
    sums = _contract(size, weights, abs(cache.x), abs(cache.h_prev))
    return sums | {"h0": size[0] @ weights["weight_hh"]}


def loss_and_grad(x: Any, y: Any, params: Params, state: Any = None) -> tuple[Any, Gradients]:
    """L = sum over t and batch of ||h(t) - y(t)||^2, and its gradients."""
    out, _, cache = forward(x, params, state)
    loss, d_out = squared_error(out, y)
    return loss, backward(cache, d_out)
