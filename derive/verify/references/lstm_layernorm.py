"""LSTM with layer normalization. Ba, Kiros & Hinton 2016, eq. 20-22.

    LN(v; gain) = gain o (v - mean(v)) / sqrt(var(v) + 1e-5)              eq. 15-16 there, without its bias
    (i, f, g, o) = LN(W x; gain_ih) + LN(U h(t-1); gain_hh) + bias        then sigmoid, sigmoid, tanh, sigmoid
    c = f o c(t-1) + i o g
    h = o o tanh(LN(c; gain_c) + bias_c)

As in the paper, W x and U h(t-1) are each normalized over the whole stacked vector of 4H entries, not gate by gate; c
over its H entries. The variance is the biased one. Gates stacked i, f, g, o.
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
    decimal,
    seeds,
    sigmoid,
    sqrt,
    squared_error,
    tanh,
)

PARAMS = {
    "weight_ih": ("4*H", "I"),
    "weight_hh": ("4*H", "H"),
    "gain_ih": ("4*H",),
    "gain_hh": ("4*H",),
    "bias": ("4*H",),
    "gain_c": ("H",),
    "bias_c": ("H",),
}
STATES = ("h", "c")
GATES = ("i", "f", "g", "o")


class Cache(NamedTuple):
    """What the forward pass leaves; n_... are normalized vectors, s_... the deviations they were divided by."""

    params: dict[str, Array]
    x: Array  # (T, B, I)
    h_prev: Array  # (T, B, H): h(t-1)
    c_prev: Array  # (T, B, H): c(t-1)
    n_ih: Array  # (T, B, 4H)
    s_ih: Array  # (T, B, 1)
    n_hh: Array  # (T, B, 4H)
    s_hh: Array  # (T, B, 1)
    gates: Array  # (T, B, 4, H): i, f, g, o after their nonlinearities
    n_c: Array  # (T, B, H)
    s_c: Array  # (T, B, 1)
    tanh_m: Array  # (T, B, H): tanh(LN(c))


def _mean(v: Array) -> Array:
    return np.asarray(v.sum(axis=-1, keepdims=True) / v.shape[-1])


def _normalize(v: Array) -> tuple[Array, Array]:
    """n = (v - mean) / s and s = sqrt(var + eps), over the last axis."""
    centred = v - _mean(v)
    s = sqrt(_mean(centred * centred) + decimal("1e-5", v.dtype))
    return centred / s, s


def _normalize_backward(d_n: Array, n: Array, s: Array) -> Array:
    """The adjoint of v: (dn - mean(dn) - n mean(dn o n)) / s. The mean and the deviation both read every entry of v."""
    return np.asarray((d_n - _mean(d_n) - n * _mean(d_n * n)) / s)


def _normalize_magnitude(d_n: Array, n: Array, s: Array) -> Array:
    """The same three terms, added up without their signs."""
    d_n, n = abs(d_n), abs(n)
    return np.asarray((d_n + _mean(d_n) + n * _mean(d_n * n)) / abs(s))


def forward(x: Any, params: Params, state: Any = None) -> tuple[Array, States, Cache]:
    """x (T, B, I), state (h0, c0) -> h (T, B, H), (h(T), c(T)), cache."""
    H = params["weight_hh"].shape[1]
    x, params, (h0, c0) = common(x, params, state, (H, H))
    weight_ih, weight_hh, bias = params["weight_ih"], params["weight_hh"], params["bias"]
    gain_ih, gain_hh = params["gain_ih"], params["gain_hh"]
    gain_c, bias_c = params["gain_c"], params["bias_c"]
    T, B, I = x.shape

    n_ih, s_ih = _normalize((x.reshape(T * B, I) @ weight_ih.T).reshape(T, B, 4 * H))
    n_hh, s_hh = np.empty_like(n_ih), np.empty_like(s_ih)
    gates = (gain_ih * n_ih + bias).reshape(T, B, 4, H)
    h = np.empty((T + 1, B, H), n_ih.dtype)
    c = np.empty_like(h)
    n_c, s_c, tanh_m = np.empty_like(h[1:]), np.empty_like(s_ih), np.empty_like(h[1:])
    h[0], c[0] = h0, c0
    for t in range(T):
        n_hh[t], s_hh[t] = _normalize(h[t] @ weight_hh.T)
        a = gates[t]
        a += (gain_hh * n_hh[t]).reshape(B, 4, H)
        a[:, :2] = sigmoid(a[:, :2])
        a[:, 2] = tanh(a[:, 2])
        a[:, 3] = sigmoid(a[:, 3])
        i, f, g, o = a[:, 0], a[:, 1], a[:, 2], a[:, 3]
        c[t + 1] = f * c[t] + i * g
        n_c[t], s_c[t] = _normalize(c[t + 1])
        tanh_m[t] = tanh(gain_c * n_c[t] + bias_c)
        h[t + 1] = o * tanh_m[t]
    cache = Cache(params, x, h[:-1], c[:-1], n_ih, s_ih, n_hh, s_hh, gates, n_c, s_c, tanh_m)
    return h[1:], (h[T], c[T]), cache


class _Deltas(NamedTuple):
    a: Array  # (T, B, 4H): adjoints of the pre-activations
    wx: Array  # (T, B, 4H): of W x, before its normalization
    uh: Array  # (T, B, 4H): of U h(t-1), before its normalization
    m: Array  # (T, B, H): of LN(c) + bias_c


def backward(cache: Cache, d_out: Any, d_state: Any = None) -> Gradients:
    """Adjoints of h(t) for every t, and of (h(T), c(T)) -> gradients of every parameter, x, h0 and c0."""
    deltas, d_h0, d_c0 = _deltas(cache, d_out, d_state)
    grads = _contract(deltas, cache.params, cache.x, cache.h_prev, cache.n_ih, cache.n_hh, cache.n_c)
    return grads | {"h0": d_h0, "c0": d_c0}


def _deltas(cache: Cache, d_out: Any, d_state: Any) -> tuple[_Deltas, Array, Array]:
    """The adjoints that the parameter gradients are contracted from, for every t; those of h0 and of c0.

    c(t) has two parents: f(t+1) o c(t) in c(t+1), and h(t) by way of the normalization, which mixes its H entries.
    """
    params, _, h_prev, c_prev, n_ih, s_ih, n_hh, s_hh, gates, n_c, s_c, tanh_m = cache
    T, B, H = h_prev.shape
    d_out, (d_h_next, d_c_next) = seeds(d_out, d_state, (H, H), h_prev.dtype)

    d_a, d_uh, d_m = np.empty_like(gates), np.empty_like(n_hh), np.empty_like(n_c)
    for t in reversed(range(T)):
        i, f, g, o = gates[t, :, 0], gates[t, :, 1], gates[t, :, 2], gates[t, :, 3]
        d_h = d_out[t] + d_h_next
        d_m[t] = d_h * o * (1 - tanh_m[t] * tanh_m[t])
        d_c = _normalize_backward(d_m[t] * params["gain_c"], n_c[t], s_c[t]) + d_c_next
        d_a[t, :, 0] = d_c * g * i * (1 - i)
        d_a[t, :, 1] = d_c * c_prev[t] * f * (1 - f)
        d_a[t, :, 2] = d_c * i * (1 - g * g)
        d_a[t, :, 3] = d_h * tanh_m[t] * o * (1 - o)
        d_uh[t] = _normalize_backward(d_a[t].reshape(B, 4 * H) * params["gain_hh"], n_hh[t], s_hh[t])
        d_h_next = d_uh[t] @ params["weight_hh"]
        d_c_next = d_c * f
    rows = d_a.reshape(T, B, 4 * H)
    d_wx = _normalize_backward(rows * params["gain_ih"], n_ih, s_ih)
    return _Deltas(rows, d_wx, d_uh, d_m), d_h_next, d_c_next


def _contract(
    deltas: _Deltas, params: Params, x: Array, h_prev: Array, n_ih: Array, n_hh: Array, n_c: Array
) -> Gradients:
    """Every parameter gradient as a sum over t, b of a delta times what it met in the forward pass; and W^T delta."""
    T, B, I = x.shape
    H = h_prev.shape[2]
    d_wx, d_uh = deltas.wx.reshape(T * B, 4 * H), deltas.uh.reshape(T * B, 4 * H)
    return {
        "weight_ih": d_wx.T @ x.reshape(T * B, I),
        "weight_hh": d_uh.T @ h_prev.reshape(T * B, H),
        "gain_ih": (deltas.a * n_ih).sum(axis=(0, 1)),
        "gain_hh": (deltas.a * n_hh).sum(axis=(0, 1)),
        "bias": deltas.a.sum(axis=(0, 1)),
        "gain_c": (deltas.m * n_c).sum(axis=(0, 1)),
        "bias_c": deltas.m.sum(axis=(0, 1)),
        "x": (d_wx @ params["weight_ih"]).reshape(T, B, I),
    }


def magnitudes(cache: Cache, d_out: Any, d_state: Any = None) -> Gradients:
    """For each gradient, the sum of |delta| |operand| behind it: what condition-scaled errors are scaled by.

    The delta of a normalized vector counts with its three terms apart, because they cancel: with one input, LN(W x) is
    almost the same for every positive x, and its gradient is next to nothing.
    """
    d_out = np.asarray(d_out)
    deltas, _, _ = _deltas(cache, d_out, d_state)
    _, d_h_next, d_c_next = _deltas(after_first_step(cache), d_out[1:], d_state)
    weights, d_a = absolute(cache.params), abs(deltas.a)
    d_wx = _normalize_magnitude(d_a * weights["gain_ih"], cache.n_ih, cache.s_ih)
    d_uh = _normalize_magnitude(d_a * weights["gain_hh"], cache.n_hh, cache.s_hh)
    sizes = _Deltas(d_a, d_wx, d_uh, abs(deltas.m))
    f, o, u = abs(cache.gates[0, :, 1]), abs(cache.gates[0, :, 3]), cache.tanh_m[0]
    d_n = (abs(d_out[0]) + abs(d_h_next)) * o * abs(1 - u * u) * weights["gain_c"]
    d_c = _normalize_magnitude(d_n, cache.n_c[0], cache.s_c[0]) + abs(d_c_next)
    sums = _contract(sizes, weights, abs(cache.x), abs(cache.h_prev), abs(cache.n_ih), abs(cache.n_hh), abs(cache.n_c))
    return sums | {
        "h0": d_uh[0] @ weights["weight_hh"],
        "c0": f * d_c,
    }


def loss_and_grad(x: Any, y: Any, params: Params, state: Any = None) -> tuple[Any, Gradients]:
    """L = sum over t and batch of ||h(t) - y(t)||^2, and its gradients."""
    out, _, cache = forward(x, params, state)
    loss, d_out = squared_error(out, y)
    return loss, backward(cache, d_out)
