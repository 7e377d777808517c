"""The steps beside the cells of libraries, with the same weights; where a library differs from its paper, by how much.

The steps are what the zoo is compared with, so that an error that a step and a cell have in common shows here.  The libraries
are no dependencies: pip install --no-deps torchrecurrent ncps.
"""

import sys
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="the loops need PyTorch: pip install torch==2.13.0")
HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

import continuous  # noqa: E402, F401
import gated  # noqa: E402, F401
import linear  # noqa: E402, F401
import memory  # noqa: E402, F401
import plain  # noqa: E402, F401
import spiking  # noqa: E402, F401
from register import ZOO  # noqa: E402
from torch import cat  # noqa: E402
from torch.func import functional_call  # noqa: E402

from derive import registry  # noqa: E402
from derive.notation.public import parameter  # noqa: E402

STEPS, ROWS, INPUTS, UNITS = 5, 3, 4, 6


def stacked(*names, bias=True):
    """The parameters of a cell whose arrays are stacked as ours; `names` are pairs (theirs, ours)."""
    pairs = {"weight_ih": "weight_ih", "weight_hh": "weight_hh", **({"bias_ih": "bias"} if bias else {}), **dict(names)}
    return lambda p: {theirs: p[ours] for theirs, ours in pairs.items()}


def by_gate(p, name, gates):
    return cat([p[f"{name}_{q}"] for q in gates])


def chunk(a, count, *which):
    parts = a.chunk(count)
    return cat([parts[w] for w in which])


def zeros(p, name="weight_ih"):
    return torch.zeros(UNITS, dtype=torch.float64)


def one(state):
    return state[0]


def two(state):
    return tuple(state)


# Ours -> (class, its options, its parameters from ours, its state from ours). Biases that are not named are zero.
TORCHRECURRENT = {
    "indrnn": (
        "IndRNNCell",
        {"nonlinearity": "relu"},
        lambda p: {"weight_ih": p["weight_ih"], "vector_u": p["u"], "bias_ih": p["bias"]},
        one,
    ),
    "fastrnn": ("FastRNNCell", {}, stacked(("alpha", "alpha_"), ("beta", "beta_")), one),
    "fastgrnn": (
        "FastGRNNCell",
        {"nonlinearity": "sigmoid"},
        lambda p: {
            "weight_ih": p["left_in"] @ p["right_in"],
            "weight_hh": p["left"] @ p["right"],
            "bias_ih": p["bias"],
            "zeta": p["zeta"],
            "nu": p["nu"],
        },
        one,
    ),
    "minimal_rnn": (
        "MinimalRNNCell",
        {},
        lambda p: {
            "weight_ih": p["latent"],
            "bias_ih": p["latent_b"],
            "weight_mm": p["weight_ih"],
            "weight_hh": p["weight_hh"],
            "bias_hh": p["bias"],
        },
        one,
    ),
    "antisymmetric": ("AntisymmetricRNNCell", {"epsilon": 0.1, "gamma": 0.01}, stacked(("weight_hh", "inner")), one),
    "antisymmetric_gated": (
        "GatedAntisymmetricRNNCell",
        {"epsilon": 0.1, "gamma": 0.01},
        lambda p: {
            "weight_ih": chunk(p["weight_ih"], 2, 1, 0),
            "bias_ih": chunk(p["bias"], 2, 1, 0),
            "weight_hh": p["inner"],
        },
        one,
    ),
    "cornn": (
        "coRNNCell",
        {"dt": 0.1, "gamma": 1.0, "epsilon": 2.0},
        stacked(("weight_hh", "position"), ("weight_ch", "velocity")),
        two,
    ),
    "unicornn": ("UnICORNNCell", {"dt": 0.125, "alpha": 2.0}, stacked(("weight_hh", "w"), ("weight_ch", "speed")), two),
    "taugru": ("tauGRUCell", {}, stacked(), two),
    "atr": ("ATRCell", {}, stacked(bias=False), one),
    "brc": ("BRCell", {}, lambda p: {"weight_ih": p["weight_ih"], "weight_hh": cat([p["w_a"], p["w_c"]])}, one),
    "nbrc": (
        "NBRCell",
        {},
        lambda p: {"weight_ih": cat([p["weight_ih"], p["cand"]]), "weight_hh": p["weight_hh"]},
        one,
    ),
    "cfn": (
        "CFNCell",
        {},
        lambda p: {"weight_ih": cat([p["weight_ih"], p["content"]]), "weight_hh": p["weight_hh"], "bias_hh": p["bias"]},
        one,
    ),
    "lightru": (
        "LightRUCell",
        {},
        lambda p: {"weight_ih": chunk(p["weight_ih"], 2, 1, 0), "weight_hh": p["weight_hh"], "bias_hh": p["bias"]},
        one,
    ),
    "ligru": ("LiGRUCell", {}, stacked(bias=False), one),
    "mgu": ("MGUCell", {}, stacked(), one),
    "mut1": (
        "MUT1Cell",
        {},
        lambda p: {
            "weight_ih": cat([p["update"], p["reset"], p["embed"]]),
            "weight_hh": cat([p["reset_h"], p["cand"]]),
            "bias_ih": cat([p["bz"], p["br"], zeros(p)]),
            "bias_hh": cat([zeros(p), p["bh"]]),
        },
        one,
    ),
    "mut2": (
        "MUT2Cell",
        {},
        lambda p: {
            "weight_ih": cat([p["weight_ih"], p["embed"], p["cand_x"]]),
            "weight_hh": cat([p["weight_hh"], p["cand_h"]]),
            "bias_ih": cat([p["bias"], p["bh"]]),
        },
        one,
    ),
    "mut3": ("MUT3Cell", {}, stacked(), one),
    "star": ("STARCell", {}, stacked(), one),
    "ugrnn": ("UGRNNCell", {}, stacked(), one),
    "trnn": (
        "TRNNCell",
        {},
        lambda p: {"weight_ih": cat([p["weight_ih"], p["forget"]]), "bias_ih": cat([zeros(p), p["bias"]])},
        one,
    ),
    "tgru": ("TGRUCell", {}, stacked(("weight_hh", "weight_before")), two),
    "tlstm": ("TLSTMCell", {}, stacked(("weight_hh", "weight_before")), lambda s: (s[1], s[2])),
    "janet": ("JANETCell", {}, stacked(), lambda s: (s[0], s[0])),
    "ran": (
        "RANCell",
        {},
        lambda p: {"weight_ih": cat([p["content"], p["weight_ih"]]), "weight_hh": p["weight_hh"], "bias_ih": p["bias"]},
        two,
    ),
    "multiplicative_lstm": (
        "MultiplicativeLSTMCell",
        {},
        lambda p: {
            "weight_ih": cat([p["inner_x"], p["weight_ih"]]),
            "weight_hh": p["inner_h"],
            "weight_mh": p["weight_hh"],
            "bias_mh": p["bias"],
        },
        two,
    ),
    "lstm_wm": (
        "WMCLSTMCell",
        {},
        lambda p: {
            "weight_ih": p["weight_ih"],
            "weight_hh": p["weight_hh"],
            "bias_ih": p["bias"],
            "weight_mh": by_gate(p, "memory", "ifo"),
            "bias_mh": by_gate(p, "shift", "ifo"),
        },
        two,
    ),
    "nas": ("NASCell", {}, stacked(bias=False), two),
    "lem": (
        "LEMCell",
        {},
        lambda p: {
            "weight_ih": cat([by_gate(p, "weight_ih", "qpc"), p["weight_ih_y"]]),
            "weight_hh": by_gate(p, "weight_hh", "qpc"),
            "weight_ch": p["weight_hh_y"],
            "bias_ih": cat([by_gate(p, "bias", "qpc"), p["bias_y"]]),
        },
        two,
    ),
    "scrn": (
        "SCRNCell",
        {},
        lambda p: {
            "alpha": torch.tensor(0.95, dtype=torch.float64),
            "weight_ih": cat([p["context"], p["hidden"]]),
            "weight_hh": cat([p["recurrent"], torch.eye(UNITS, dtype=torch.float64)]),
            "weight_ch": cat([p["mix"], torch.zeros(UNITS, UNITS, dtype=torch.float64)]),
        },
        two,
    ),
}

# What torchrecurrent 0.2.5 computes otherwise than the paper.
WRONG = {
    "lem": "y(t) reads z(t-1) where eq. 3 and the authors' code read z(t), which was updated before",
    "nas": "node 3 is relu(W x + U h) where the authors' code multiplies, relu(W x * U h)",
    "scrn": "R reads the output y(t-1) of a layer above where the paper's R reads the hidden units h(t-1)",
    "fastgrnn": "nonlinearity=, tanh unless it is given, is that of the gate, which is a sigmoid in the paper",
}


def drawn(name):
    """Parameters, inputs by step, and states, as leaves of autograd; all units are of one size, which the libraries ask for."""
    generator = torch.Generator().manual_seed(1)
    program = registry.cell(name).program()
    first = str(program.tensors[program.facts.inputs[0]].dims[0])

    def leaf(*dims):
        shape = [INPUTS if str(d) == first else UNITS for d in dims]
        return torch.randn(*shape, generator=generator, dtype=torch.float64).mul(0.6).requires_grad_()

    pieces = {}
    for tensor in program.of_role("param"):
        array, position = parameter(program, tensor)
        pieces.setdefault(array, {})[position] = leaf(*tensor.dims)
    params = {
        array: cat([part for _, part in sorted(parts.items())]) if len(parts) > 1 else parts[0]
        for array, parts in pieces.items()
    }
    leaves = [part for parts in pieces.values() for part in parts.values()]
    sized = {str(x.dims[0]): INPUTS if str(x.dims[0]) == first else UNITS for x in program.of_role("initial")}
    kept = [sized[str(x.dims[0])] for x in program.of_role("initial")]
    states, xs = (
        [torch.randn(ROWS, n, generator=generator, dtype=torch.float64).requires_grad_() for n in many]
        for many in (kept, [INPUTS] * STEPS)
    )
    return params, leaves, xs, states


def differences(name, call, state_of, read=lambda h: h):
    """The largest relative difference of outputs, by step, and of gradients of sum_t <d_t, out_t>; `read` makes the output of h."""
    params, leaves, xs, states = drawn(name)
    weights = torch.randn(STEPS, ROWS, UNITS, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    ours, theirs = tuple(states), state_of(states)
    outs, others = [], []
    for x in xs:
        ours = ZOO[name].step(x, params, *ours)
        theirs, out = call(params, x, theirs)
        outs.append(read(ours[0]))
        others.append(out)
    found, expected = torch.stack(outs), torch.stack(others)
    wrt = [*leaves, *xs, *states]
    first = torch.autograd.grad((found * weights).sum(), wrt, retain_graph=True, allow_unused=True)
    second = torch.autograd.grad((expected * weights).sum(), wrt, allow_unused=True)
    pairs = [(a, b) for a, b in zip(first, second, strict=True) if a is not None or b is not None]
    assert all(a is not None and b is not None for a, b in pairs)

    def off(a, b):
        return float((a - b).detach().abs().max() / b.detach().abs().max())

    return [off(a, b) for a, b in zip(found, expected, strict=True)], max(
        off(a, b) for a, b in pairs if b.abs().max() > 0
    )


def torchrecurrent_call(name, default=False):
    library = pytest.importorskip("torchrecurrent", reason="torchrecurrent is not installed")
    kind, options, mapped, state_of = TORCHRECURRENT[name]
    module = getattr(library, kind)(INPUTS, UNITS, **({} if default else options)).double()
    silent = {n: torch.zeros_like(a) for n, a in module.named_parameters() if "bias" in n}

    def call(params, x, state):
        given = {**silent, **mapped(params)}
        if name == "taugru":
            return (functional_call(module, given, (x, *state)), state[0]), functional_call(module, given, (x, *state))
        state = functional_call(module, given, (x, state))
        if name == "tlstm":
            return state[1], state[0]
        return state, state[0] if isinstance(state, tuple) else state

    return call, state_of


@pytest.mark.parametrize("name", [name for name in TORCHRECURRENT if name not in WRONG or name == "fastgrnn"])
def test_a_step_is_what_torchrecurrent_computes(name):
    out, gradient = differences(name, *torchrecurrent_call(name))
    assert max(out) < 1e-13 and gradient < 1e-12


@pytest.mark.parametrize("name", WRONG)
def test_torchrecurrent_differs_from_the_paper(name):
    """By ten percent and more; if it does not any more, the row goes into the table above."""
    read = torch.tanh if name == "scrn" else lambda h: h  # its cell has an output layer, here with U = 1 and V = 0
    out, gradient = differences(name, *torchrecurrent_call(name, default=name == "fastgrnn"), read)
    print(f"{name}: {WRONG[name]}; outputs differ by {', '.join(f'{o:.2g}' for o in out)}, gradients by {gradient:.2g}")
    assert max(out) > 0.05 and gradient > 0.1
    assert name != "scrn" or out[0] < 1e-14  # the first step is right: nothing was fed back yet


def test_a_step_is_what_ncps_computes():
    library = pytest.importorskip("ncps.torch", reason="ncps is not installed")
    module = library.CfCCell(INPUTS, UNITS, backbone_units=UNITS, backbone_layers=1).double()
    params, leaves, xs, states = drawn("cfc")
    span = torch.rand(STEPS, ROWS, 1, dtype=torch.float64, generator=torch.Generator().manual_seed(4)).requires_grad_()
    heads, shifts = params["head"].chunk(4), params["head_b"].chunk(4)
    given = {"backbone.0.weight": cat([params["weight_ih"], params["weight_hh"]], 1), "backbone.0.bias": params["bias"]}
    for theirs, head, shift in zip(("ff1", "ff2", "time_a", "time_b"), heads, shifts, strict=True):
        given |= {f"{theirs}.weight": head, f"{theirs}.bias": shift}
    ours = theirs = states[0]
    wrt, totals = [*leaves, *xs, *states, span], [0, 0]
    for now, x in enumerate(xs):
        (ours,), (theirs, _) = (
            ZOO["cfc"].step(x, params, ours, s=span[now][:, 0]),
            functional_call(module, given, (x, theirs, span[now])),
        )
        assert torch.allclose(ours, theirs, rtol=0, atol=1e-14)
        totals = [total + (out * (now + 1)).sin().sum() for total, out in zip(totals, (ours, theirs), strict=True)]
    first, second = (torch.autograd.grad(total, wrt) for total in totals)
    for a, b in zip(first, second, strict=True):
        assert (a - b).abs().max() <= 1e-12 * b.abs().max()
