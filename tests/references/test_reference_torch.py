"""Every reference against PyTorch in float64, forward and all gradients.

Where PyTorch has the cell it is used as it is (nn.RNN, nn.LSTM, nn.GRU); the others are written here, one sequence and
one gate at a time, so that they share neither stacking nor batching with the references; autograd differentiates them.
"""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed")

from derive.verify.references import numerics  # noqa: E402

NN = {"rnn": "RNN", "lstm": "LSTM", "gru": "GRU"}


def library(cell, p, x, state):
    """nn.RNN, nn.LSTM or nn.GRU with the parameters put in its place."""
    hidden, inputs = p["weight_hh"].shape[1], p["weight_ih"].shape[1]
    net = getattr(torch.nn, NN[cell])(inputs, hidden, dtype=torch.float64)
    bias = p["bias_ih"] if cell == "gru" else p["bias"]
    bias_hh = p["bias_hh"] if cell == "gru" else torch.zeros_like(bias)
    weights = {
        "weight_ih_l0": p["weight_ih"],
        "weight_hh_l0": p["weight_hh"],
        "bias_ih_l0": bias,
        "bias_hh_l0": bias_hh,
    }
    first = tuple(s[None] for s in state)
    out, final = torch.func.functional_call(net, weights, (x, first if cell == "lstm" else first[0]))
    return out, tuple(s[0] for s in (final if cell == "lstm" else (final,)))


def gates(v):
    return dict(zip("ifgo", torch.tensor_split(v, 4), strict=True))


def lstm_like(cell, p, x, h, c):
    """One sequence x (T, I) of any LSTM variant, gate by gate."""
    outputs = []
    eps = 1e-5
    if cell != "lstm_layernorm":
        W, U, b = gates(p["weight_ih"]), gates(p["weight_hh"]), gates(p["bias"])
    for x_t in x:
        if cell == "lstm_layernorm":
            wx, uh = torch.mv(p["weight_ih"], x_t), torch.mv(p["weight_hh"], h)
            norm = torch.nn.functional.layer_norm
            a = norm(wx, wx.shape, p["gain_ih"], None, eps) + norm(uh, uh.shape, p["gain_hh"], p["bias"], eps)
            a = gates(a)
        else:
            a = {q: torch.mv(W[q], x_t) + torch.mv(U[q], h) + b[q] for q in "ifgo"}
        if cell == "lstm_peephole":
            a["i"] = a["i"] + p["peephole_i"] * c
            a["f"] = a["f"] + p["peephole_f"] * c
        c = torch.sigmoid(a["f"]) * c + torch.sigmoid(a["i"]) * torch.tanh(a["g"])
        if cell == "lstm_peephole":
            a["o"] = a["o"] + p["peephole_o"] * c
        if cell == "lstm_toy":
            squashed = c
        elif cell == "lstm_layernorm":
            squashed = torch.tanh(torch.nn.functional.layer_norm(c, c.shape, p["gain_c"], p["bias_c"], eps))
        else:
            squashed = torch.tanh(c)
        h = torch.sigmoid(a["o"]) * squashed
        outputs.append(h if cell != "lstm_readout" else torch.mv(p["weight_ho"], h) + p["bias_o"])
    return torch.stack(outputs), h, c


def run(cell, p, x, state):
    if cell in NN:
        return library(cell, p, x, state)
    sequences = [lstm_like(cell, p, x[:, b], state[0][b], state[1][b]) for b in range(x.shape[1])]
    out, h, c = (torch.stack(s, dim=d) for s, d in zip(zip(*sequences, strict=True), (1, 0, 0), strict=True))
    return out, (h, c)


@pytest.mark.parametrize("T, B, I, H", [(5, 3, 4, 3), (1, 1, 1, 1), (17, 2, 7, 9)])
def test_forward_and_every_gradient(cell, draw, T, B, I, H):
    problem = draw(cell, T=T, B=B, I=I, H=H, seed=1)
    leaves = problem.map(lambda a: torch.tensor(a, requires_grad=True))
    out, final = run(cell, leaves.params, leaves.x, leaves.state)
    value = (out * leaves.weights_out).sum() + sum(
        (s * w).sum() for s, w in zip(final, leaves.weights_state, strict=True)
    )
    value.backward()

    ours, ours_final, _ = problem.module.forward(problem.x, problem.params, problem.state)
    assert numerics.normwise_error(ours, out.detach().numpy()) < 1e-14
    for state, expected in zip(ours_final, final, strict=True):
        assert numerics.normwise_error(state, expected.detach().numpy()) < 1e-14
    magnitudes = problem.magnitudes()
    for name, grad in problem.gradients().items():
        expected = leaves.value(name).grad.numpy()
        if np.any(magnitudes[name]):
            assert numerics.condition_scaled_error(grad, expected, magnitudes[name]) < 1e-13, name
        else:  # a layer norm over one entry is 0 whatever its input; PyTorch leaves some rounding there
            assert np.max(abs(expected)) < 1e-12, name
        if H > 1:
            assert numerics.normwise_error(grad, expected) < 1e-13, name
