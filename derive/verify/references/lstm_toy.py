"""The LSTM of nicodjimenez/lstm: h = o o c, without the tanh that the papers put on c.

    i = sigmoid(W_i x + U_i h(t-1) + b_i)        c = f o c(t-1) + i o g
    f = sigmoid(W_f x + U_f h(t-1) + b_f)        h = o o c
    g =    tanh(W_g x + U_g h(t-1) + b_g)
    o = sigmoid(W_o x + U_o h(t-1) + b_o)

As Hochreiter & Schmidhuber 1997 with the identity for their output squashing; gates stacked i, f, g, o.
Batches are rows: x (T, B, I), h and c (T, B, H).
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

PARAMS = {"weight_ih": ("4*H", "I"), "weight_hh": ("4*H", "H"), "bias": ("4*H",)}
STATES = ("h", "c")
GATES = ("i", "f", "g", "o")


class Cache(NamedTuple):
    """What the forward pass leaves for the backward pass."""

    params: dict[str, Array]
    x: Array  # (T, B, I)
    h_prev: Array  # (T, B, H): h(t-1)
    c_prev: Array  # (T, B, H): c(t-1)
    gates: Array  # (T, B, 4, H): i, f, g, o after their nonlinearities
    c: Array  # (T, B, H)


def forward(x: Any, params: Params, state: Any = None) -> tuple[Array, States, Cache]:
    """x (T, B, I), state (h0, c0) -> h (T, B, H), (h(T), c(T)), cache."""
    H = params["weight_hh"].shape[1]
    x, params, (h0, c0) = common(x, params, state, (H, H))
    weight_ih, weight_hh, bias = params["weight_ih"], params["weight_hh"], params["bias"]
    T, B, I = x.shape

    gates = (x.reshape(T * B, I) @ weight_ih.T + bias).reshape(T, B, 4, H)
    h = np.empty((T + 1, B, H), gates.dtype)
    c = np.empty_like(h)
    h[0], c[0] = h0, c0
    for t in range(T):
        a = gates[t]
        a += (h[t] @ weight_hh.T).reshape(B, 4, H)
        a[:, :2] = sigmoid(a[:, :2])
        a[:, 2] = tanh(a[:, 2])
        a[:, 3] = sigmoid(a[:, 3])
        i, f, g, o = a[:, 0], a[:, 1], a[:, 2], a[:, 3]
        c[t + 1] = f * c[t] + i * g
        h[t + 1] = o * c[t + 1]
    return h[1:], (h[T], c[T]), Cache(params, x, h[:-1], c[:-1], gates, c[1:])


def backward(cache: Cache, d_out: Any, d_state: Any = None) -> Gradients:
    """Adjoints of h(t) for every t, and of (h(T), c(T)) -> gradients of every parameter, x, h0 and c0."""
    d_a, d_h0, d_c0 = _deltas(cache, d_out, d_state)
    return _contract(d_a, cache.params, cache.x, cache.h_prev) | {"h0": d_h0, "c0": d_c0}


def _deltas(cache: Cache, d_out: Any, d_state: Any) -> tuple[Array, Array, Array]:
    """The adjoints of the four pre-activations for every t (T, B, 4H), of h0 and of c0.

    c(t) has two parents: h(t), and f(t+1) o c(t) in c(t+1).
    """
    params, _, h_prev, c_prev, gates, c = cache
    weight_hh = params["weight_hh"]
    T, B, H = h_prev.shape
    d_out, (d_h_next, d_c_next) = seeds(d_out, d_state, (H, H), h_prev.dtype)

    d_a = np.empty_like(gates)
    for t in reversed(range(T)):
        i, f, g, o = gates[t, :, 0], gates[t, :, 1], gates[t, :, 2], gates[t, :, 3]
        d_h = d_out[t] + d_h_next
        d_c = d_h * o + d_c_next
        d_a[t, :, 0] = d_c * g * i * (1 - i)
        d_a[t, :, 1] = d_c * c_prev[t] * f * (1 - f)
        d_a[t, :, 2] = d_c * i * (1 - g * g)
        d_a[t, :, 3] = d_h * c[t] * o * (1 - o)
        d_h_next = d_a[t].reshape(B, 4 * H) @ weight_hh
        d_c_next = d_c * f
    return d_a.reshape(T, B, 4 * H), d_h_next, d_c_next


def _contract(d_a: Array, params: Params, x: Array, h_prev: Array) -> Gradients:
    """sum over t, b of delta x^T, delta h(t-1)^T and delta; and W^T delta."""
    T, B, I = x.shape
    H = h_prev.shape[2]
    rows = d_a.reshape(T * B, 4 * H)
    return {
        "weight_ih": rows.T @ x.reshape(T * B, I),
        "weight_hh": rows.T @ h_prev.reshape(T * B, H),
        "bias": rows.sum(axis=0),
        "x": (rows @ params["weight_ih"]).reshape(T, B, I),
    }


def magnitudes(cache: Cache, d_out: Any, d_state: Any = None) -> Gradients:
    """For each gradient, the sum of |delta| |operand| behind it: what condition-scaled errors are scaled by."""
    d_out = np.asarray(d_out)
    d_a, _, _ = _deltas(cache, d_out, d_state)
    _, d_h_next, d_c_next = _deltas(after_first_step(cache), d_out[1:], d_state)
    size, weights = abs(d_a), absolute(cache.params)
    f, o = abs(cache.gates[0, :, 1]), abs(cache.gates[0, :, 3])
    sums = _contract(size, weights, abs(cache.x), abs(cache.h_prev))
    return sums | {
        "h0": size[0] @ weights["weight_hh"],
        "c0": f * ((abs(d_out[0]) + abs(d_h_next)) * o + abs(d_c_next)),
    }


def loss_and_grad(x: Any, y: Any, params: Params, state: Any = None) -> tuple[Any, Gradients]:
    """L = sum over t and batch of ||h(t) - y(t)||^2, and its gradients."""
    out, _, cache = forward(x, params, state)
    loss, d_out = squared_error(out, y)
    return loss, backward(cache, d_out)
