"""A cell of one's own in PyTorch: a Python loop over the steps, as it is and with the step through torch.compile.

W x of all steps is one product before the loop. Only the step is compiled: a compiler that is given the loop unrolls it,
and takes minutes for a hundred steps.
"""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
import torch

from benchmarks.peers import torch_library
from benchmarks.peers.steps import STEPS, Library, stacked, unstacked
from benchmarks.problem import Contender, Problem, Unsupported
from benchmarks.shapes import INFERENCE

LIBRARY = Library(
    sigmoid=torch.sigmoid,
    tanh=torch.tanh,
    linear=torch.nn.functional.linear,
    normalize=lambda v: torch.nn.functional.layer_norm(v, v.shape[-1:], None, None, 1e-5),
    split=lambda v, parts: v.chunk(parts, dim=-1),
)


class TorchEager:
    """Operation by operation."""

    def start(self, threads: int) -> dict[str, Any]:
        return torch_library.start(threads)

    def prepare(self, problem: Problem, op: str) -> Contender:
        if problem.cell in torch_library.LAYERS and problem.cell != "rnn":
            # nn.RNN of PyTorch is itself such a loop in C++; the others have layers of their own.
            raise Unsupported("PyTorch has a layer for this cell")
        steps = STEPS.get(problem.cell)
        if steps is None:
            raise Unsupported("not written for this cell")
        step = self._step(steps.step)
        p = {n: torch.from_numpy(a.copy()) for n, a in unstacked(problem.cell, problem.params).items()}
        x, y = torch.from_numpy(problem.x), torch.from_numpy(problem.y)
        first = tuple(torch.zeros(problem.shape.B, problem.shape.H, dtype=x.dtype) for _ in range(steps.states))

        def forward() -> Any:
            state, outputs = first, []
            for wx in steps.project(LIBRARY, p, x):
                state = step(LIBRARY, p, wx, state)
                outputs.append(state[0])
            return torch.stack(outputs)

        def infer() -> Any:
            with torch.no_grad():
                return forward()

        if op == INFERENCE:
            return Contender(infer, lambda out: {"out": out.numpy()})
        for leaf in p.values():
            leaf.requires_grad_()

        def train() -> Any:
            for leaf in p.values():
                leaf.grad = None
            loss = torch.nn.functional.mse_loss(forward(), y, reduction="sum")
            loss.backward()  # type: ignore[no-untyped-call,unused-ignore]
            return loss

        def result(loss: Any) -> Any:
            grads = {name: leaf.grad.numpy() for name, leaf in p.items() if leaf.grad is not None}
            return {"loss": np.asarray(loss.item()), **stacked(problem.cell, grads, np.concatenate)}

        return Contender(train, result)

    def _step(self, step: Any) -> Any:
        return step


class TorchCompiled(TorchEager):
    """The step through TorchInductor, which writes C++ for it."""

    def start(self, threads: int) -> dict[str, Any]:
        logging.getLogger("torch").setLevel(logging.ERROR)
        return torch_library.start(threads)

    def prepare(self, problem: Problem, op: str) -> Contender:
        torch._dynamo.reset()
        made = super().prepare(problem, op)
        try:
            made.call()
        except Exception as error:
            first = str(error).strip().partition("\n")[0]
            raise Unsupported(f"torch.compile fails: {type(error).__name__}: {first}") from error
        return made

    def _step(self, step: Any) -> Any:
        return torch.compile(step, dynamic=False)
