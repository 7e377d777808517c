"""JAX: lax.scan over the steps, W x of all steps before it, everything under jit; training by value_and_grad."""

from __future__ import annotations

import os
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.machine import processors
from benchmarks.peers.steps import STEPS, Library, stacked, unstacked
from benchmarks.problem import Arrays, Contender, Problem, Unsupported
from benchmarks.shapes import INFERENCE


def _normalize(v: Any) -> Any:
    return (v - v.mean(-1, keepdims=True)) * jax.lax.rsqrt(v.var(-1, keepdims=True) + 1e-5)


# Matrices are kept as (in, out), as Flax keeps them: XLA multiplies by them without a transposition.
LIBRARY = Library(
    sigmoid=jax.nn.sigmoid,
    tanh=jnp.tanh,
    linear=jnp.matmul,
    normalize=_normalize,
    split=lambda v, parts: jnp.split(v, parts, axis=-1),
)


class JaxScan:
    """Any cell of steps.py."""

    def start(self, threads: int) -> dict[str, Any]:
        jax.config.update("jax_enable_x64", True)
        # XLA takes the size of its pool from the processors of the process when it starts, and says it nowhere.
        if len(processors()) != threads or f"intra_op_parallelism_threads={threads}" not in os.environ["XLA_FLAGS"]:
            raise Unsupported(f"this process may use {len(processors())} processors where {threads} were asked for")
        return {"version": jax.__version__, "threads": len(processors())}

    def prepare(self, problem: Problem, op: str) -> Contender:
        steps = STEPS.get(problem.cell)
        if steps is None:
            raise Unsupported("not written for this cell")
        arrays = unstacked(problem.cell, problem.params)
        p = {n: jnp.asarray(a.T if a.ndim == 2 else a) for n, a in arrays.items()}
        x, y = jnp.asarray(problem.x), jnp.asarray(problem.y)
        zeros = jnp.zeros((problem.shape.B, problem.shape.H), problem.dtype)

        def forward(p: Any, x: Any) -> Any:
            def body(state: Any, wx: Any) -> Any:
                state = steps.step(LIBRARY, p, wx, state)
                return state, state[0]

            state, out = jax.lax.scan(body, (zeros,) * steps.states, steps.project(LIBRARY, p, x))
            return out, state

        def loss(p: Any, x: Any, y: Any) -> Any:
            return ((forward(p, x)[0] - y) ** 2).sum()

        if op == INFERENCE:
            infer = jax.jit(forward)
            return Contender(lambda: jax.block_until_ready(infer(p, x)), lambda result: {"out": np.asarray(result[0])})
        train = jax.jit(jax.value_and_grad(loss))

        def result(found: Any) -> Arrays:
            grads = {n: np.asarray(g.T if g.ndim == 2 else g) for n, g in found[1].items()}
            return {"loss": np.asarray(found[0]), **stacked(problem.cell, grads, np.concatenate)}

        return Contender(lambda: jax.block_until_ready(train(p, x, y)), result)
