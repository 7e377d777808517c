"""The steps of tests/zoo/, written for PyTorch, traced by JAX: their files are run once more, with other functions in them.

What a step calls as `torch.tanh(a)` or `a.chunk(4, -1)` is JAX's here.  Only tracing sees the wrapper; what is timed is XLA.
"""

from __future__ import annotations

import importlib
import sys
import types
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.problem import Arrays, Contender


class Array:
    """An array of JAX with the methods that steps call."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def chunk(self, count: int, dim: int = 0) -> list[Array]:
        """Equal parts."""
        return [Array(part) for part in jnp.split(self.value, count, axis=dim)]

    def sum(self, dim: int, keepdim: bool = False) -> Array:
        """Over one axis."""
        return Array(self.value.sum(dim, keepdims=keepdim))

    def __getattr__(self, name: str) -> Any:
        if name in FUNCTIONS:
            return lambda *rest: FUNCTIONS[name](self, *rest)
        found = getattr(self.value, name)
        return Array(found) if hasattr(found, "dtype") else found

    def __len__(self) -> int:
        return len(self.value)

    def __getitem__(self, key: Any) -> Array:
        return Array(self.value[key])


def _bare(value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        return [_bare(v) for v in value]
    return value.value if isinstance(value, Array) else value


def _wrapped(function: Callable[..., Any]) -> Callable[..., Array]:
    return lambda *given: Array(function(*map(_bare, given)))


def _operator(name: str) -> Callable[..., Array]:
    return lambda self, *other: Array(getattr(jnp.asarray(self.value), name)(*map(_bare, other)))


for _name in "add radd sub rsub mul rmul truediv rtruediv matmul pow neg".split():
    setattr(Array, f"__{_name}__", _operator(f"__{_name}__"))


def _layer_norm(v: Any, shape: Any, gain: Any, bias: Any, eps: float) -> Any:
    centred = v - v.mean(-1, keepdims=True)
    return centred / jnp.sqrt((centred**2).mean(-1, keepdims=True) + eps) * gain + bias


FUNCTIONS: dict[str, Callable[..., Any]] = {
    name: _wrapped(function)
    for name, function in {
        **{n: getattr(jnp, n) for n in ("tanh", "exp", "expm1", "sqrt", "abs", "cos", "sin")},
        "sigmoid": jax.nn.sigmoid,
        "relu": jax.nn.relu,
        "silu": jax.nn.silu,
        "softplus": jax.nn.softplus,
        "logsigmoid": jax.nn.log_sigmoid,
        "softmax": lambda v, dim: jax.nn.softmax(v, axis=dim),
        "cumsum": lambda v, dim: jnp.cumsum(v, axis=dim),
        "maximum": jnp.maximum,
        "complex": jax.lax.complex,
        "cat": jnp.concatenate,
        "linear": lambda x, w, b=0.0: x @ w.T + b,
        "layer_norm": _layer_norm,
    }.items()
}


def _cat(parts: Any, dim: int = 0) -> Array:
    return Array(jnp.concatenate(_bare(parts), axis=dim))


@contextmanager
def _instead(modules: dict[str, types.ModuleType | None]) -> Iterator[None]:
    kept = {name: sys.modules.pop(name, None) for name in modules}
    sys.modules.update({name: module for name, module in modules.items() if module is not None})
    try:
        yield
    finally:
        for name, module in kept.items():
            sys.modules.pop(name, None)
            if module is not None:
                sys.modules[name] = module


def step_of(name: str) -> Any:
    """The step of a cell, on wrapped arrays of JAX."""
    from derive import registry

    family = next(f for f in registry.families() if name in registry.zoo(f))
    torch: Any = types.ModuleType("torch")
    torch.__dict__.update(FUNCTIONS)
    torch.cat, torch.chunk = _cat, lambda a, count, dim=0: a.chunk(count, dim)
    torch.eye = lambda n, dtype=None: Array(jnp.eye(n, dtype=np.float32))
    functional: Any = types.ModuleType("torch.nn.functional")
    functional.__dict__.update(FUNCTIONS)
    torch.nn = types.ModuleType("torch.nn")
    torch.nn.functional = functional
    fakes = {"torch": torch, "torch.nn": torch.nn, "torch.nn.functional": functional, "register": None, family: None}
    with _instead(fakes):
        importlib.import_module(family)
        return importlib.import_module("register").ZOO[name].step


def contender(name: str, inputs: Arrays, params: Arrays, state: tuple[Any, ...], y: Any) -> Contender:
    """Loss and gradients of the parameters under `jit`."""
    step = step_of(name)
    first, *others = inputs

    def loss(p: Any, given: Any, start: Any) -> Any:
        weights = {n: Array(a) for n, a in p.items()}

        def body(kept: Any, now: Any) -> Any:
            more = {n: Array(now[n]) for n in others}
            kept = tuple(_bare(list(step(Array(now[first]), weights, *map(Array, kept), **more))))
            return kept, kept[0]

        _, out = jax.lax.scan(body, start, given)
        return ((out - y) ** 2).sum()

    train = jax.jit(jax.value_and_grad(loss))
    p, given, start = jax.tree.map(jnp.asarray, (params, inputs, state))
    return Contender(
        lambda: jax.block_until_ready(train(p, given, start)),
        lambda found: {"loss": np.asarray(found[0]), **{n: np.asarray(g) for n, g in found[1].items()}},
    )
