"""PyTorch as a reference: nn.RNN, nn.LSTM and nn.GRU where it has the cell, autograd through eager code where not.

Needs the optional package torch; `available()` says whether it is there.  The eager cells work on one sequence and one
gate at a time, so that they share neither stacking nor batching with anything else here.
"""

from __future__ import annotations

import importlib.util
from typing import Any

import numpy as np

Arrays = dict[str, Any]

_LIBRARY = {"rnn": "RNN", "lstm": "LSTM", "gru": "GRU"}
_EAGER = ("lstm_peephole", "lstm_layernorm", "lstm_toy", "lstm_readout")


def available(cell: str) -> bool:
    """Whether torch is installed and this module knows the cell."""
    return (cell in _LIBRARY or cell in _EAGER) and importlib.util.find_spec("torch") is not None


def loss_and_grad(cell: str, x: Any, y: Any, params: Arrays, state: tuple[Any, ...]) -> tuple[float, Arrays]:
    """L = sum over time and batch of ||out - y||^2 and all its gradients, by autograd, in the dtype of x.

    Shapes as in the public interface: x (T, B, I), y (T, B, H or O), states (B, H); keys of the result are the names of
    the parameters, "x" and "h0", "c0".
    """
    import torch

    leaves = {n: torch.tensor(np.asarray(a), requires_grad=True) for n, a in params.items()}
    first = torch.tensor(np.asarray(x), requires_grad=True)
    states = tuple(torch.tensor(np.asarray(s), requires_grad=True) for s in state)
    out = forward(cell, leaves, first, states)
    loss = ((out - torch.tensor(np.asarray(y))) ** 2).sum()
    loss.backward()  # type: ignore[no-untyped-call]
    names = [*leaves, "x", *(f"{s}0" for s, _ in zip("hc", states, strict=False))]
    found = [*leaves.values(), first, *states]
    return float(loss.detach()), {
        n: leaf.grad.numpy() for n, leaf in zip(names, found, strict=True) if leaf.grad is not None
    }


def forward(cell: str, p: Arrays, x: Any, state: tuple[Any, ...]) -> Any:
    """The output sequence, as a tensor that autograd can differentiate."""
    import torch

    if cell in _LIBRARY:
        return _library(cell, p, x, state)
    sequences = [_lstm_like(cell, p, x[:, b], state[0][b], state[1][b]) for b in range(x.shape[1])]
    return torch.stack(sequences, dim=1)


def _library(cell: str, p: Arrays, x: Any, state: tuple[Any, ...]) -> Any:
    import torch

    hidden, inputs = p["weight_hh"].shape[1], p["weight_ih"].shape[1]
    net = getattr(torch.nn, _LIBRARY[cell])(inputs, hidden, dtype=x.dtype)
    bias = p["bias_ih"] if "bias_ih" in p else p["bias"]
    weights = {
        "weight_ih_l0": p["weight_ih"],
        "weight_hh_l0": p["weight_hh"],
        "bias_ih_l0": bias,
        "bias_hh_l0": p["bias_hh"] if "bias_hh" in p else torch.zeros_like(bias),
    }
    first = tuple(s[None] for s in state)
    out, _ = torch.func.functional_call(net, weights, (x, first if len(first) > 1 else first[0]))
    return out


def _gates(v: Any) -> dict[str, Any]:
    import torch

    return dict(zip("ifgo", torch.tensor_split(v, 4), strict=True))


def _lstm_like(cell: str, p: Arrays, x: Any, h: Any, c: Any) -> Any:
    """One sequence x (T, I) of an LSTM variant, gate by gate; returns (T, H) or (T, O)."""
    import torch

    norm, eps, outputs = torch.nn.functional.layer_norm, 1e-5, []
    for x_t in x:
        wx, uh = torch.mv(p["weight_ih"], x_t), torch.mv(p["weight_hh"], h)
        if cell == "lstm_layernorm":
            wx, uh = norm(wx, wx.shape, p["gain_ih"], None, eps), norm(uh, uh.shape, p["gain_hh"], None, eps)
        a = _gates(wx + uh + p["bias"])
        if cell == "lstm_peephole":
            a["i"], a["f"] = a["i"] + p["peephole_i"] * c, a["f"] + p["peephole_f"] * c
        c = torch.sigmoid(a["f"]) * c + torch.sigmoid(a["i"]) * torch.tanh(a["g"])
        if cell == "lstm_peephole":
            a["o"] = a["o"] + p["peephole_o"] * c
        squashed = (
            c
            if cell == "lstm_toy"
            else torch.tanh(norm(c, c.shape, p["gain_c"], p["bias_c"], eps) if cell == "lstm_layernorm" else c)
        )
        h = torch.sigmoid(a["o"]) * squashed
        outputs.append(torch.mv(p["weight_ho"], h) + p["bias_o"] if cell == "lstm_readout" else h)
    return torch.stack(outputs)
