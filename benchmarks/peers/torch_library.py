"""PyTorch's own recurrent layers: nn.LSTM, nn.GRU and nn.RNN. Gates and matrices lie as ours do."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from benchmarks.problem import Arrays, Contender, Problem, Unsupported
from benchmarks.shapes import INFERENCE

LAYERS = {"lstm": torch.nn.LSTM, "gru": torch.nn.GRU, "rnn": torch.nn.RNN}


def start(threads: int) -> dict[str, Any]:
    """Threads and denormals, for every peer that is made of PyTorch."""
    torch.set_num_threads(threads)
    if not torch.set_flush_denormal(True):
        raise Unsupported("PyTorch cannot flush denormals on this processor")
    found = torch.get_num_threads()
    if found != threads:
        raise Unsupported(f"PyTorch runs on {found} threads where {threads} were asked for")
    return {"version": torch.__version__, "threads": found}


class TorchLibrary:
    """The layer of the library, under no_grad for inference, with autograd for training."""

    def start(self, threads: int) -> dict[str, Any]:
        return start(threads)

    def prepare(self, problem: Problem, op: str) -> Contender:
        if problem.cell not in LAYERS:
            raise Unsupported("PyTorch has no layer for this cell")
        layer = LAYERS[problem.cell](problem.shape.I, problem.shape.H, dtype=getattr(torch, problem.dtype))
        _fill(layer, problem.params)
        x, y = torch.from_numpy(problem.x), torch.from_numpy(problem.y)
        if op == INFERENCE:
            layer.eval()

            def infer() -> Any:
                with torch.no_grad():
                    return layer(x)

            return Contender(infer, lambda result: {"out": result[0].numpy()})
        leaves = dict(layer.named_parameters())

        def train() -> Any:
            for leaf in leaves.values():
                leaf.grad = None
            loss = torch.nn.functional.mse_loss(layer(x)[0], y, reduction="sum")
            loss.backward()  # type: ignore[no-untyped-call,unused-ignore]
            return loss

        return Contender(train, lambda loss: {"loss": np.asarray(loss.item()), **_grads(leaves, problem.params)})


def _fill(layer: Any, params: Arrays) -> None:
    """Our one bias is the sum of PyTorch's two; a cell with both keeps them apart."""
    bias = params.get("bias_ih", params.get("bias"))
    assert bias is not None
    second = params.get("bias_hh", np.zeros_like(bias))
    ours = {"weight_ih": params["weight_ih"], "weight_hh": params["weight_hh"], "bias_ih": bias, "bias_hh": second}
    with torch.no_grad():
        for name, array in ours.items():
            getattr(layer, f"{name}_l0").copy_(torch.from_numpy(array))


def _grads(leaves: dict[str, Any], params: Arrays) -> Arrays:
    found = {name.removesuffix("_l0"): leaf.grad.numpy() for name, leaf in leaves.items()}
    return {**found, "bias": found["bias_ih"]} if "bias" in params else found
