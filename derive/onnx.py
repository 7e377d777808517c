"""The recurrent operators of ONNX: RNN, GRU and LSTM with their whole set of attributes, as cells and as calls.

    lstm = derive.onnx.cell("LSTM", clip=3.0, peepholes=True)         a cell like any other: derivation, gradients, C
    Y, Y_h, Y_c = derive.onnx.run("LSTM", X, W, R, B, direction="bidirectional")

Attributes, layouts and the order of gates are those of the operators (onnx.ai, operators RNN-22, GRU-22, LSTM-22): weights are
(directions, gates*H, ...), gates in the order i o f c of the LSTM and z r h of the GRU, both biases side by side in B.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import sympy as sp

from derive.building import build as compiled
from derive.errors import DeriveError
from derive.notation import Cell, Sum, elu, j, k, leaky_relu, n, relu, sigmoid, softplus, softsign, t, tanh, where
from derive.notation import cell as made
from derive.notation import clip as clipped
from derive.runtime.numpy.turn import Turn

Array = Any


NEEDED = float("nan")


class Activation(NamedTuple):
    """A function of ONNX, and what alpha and beta are where none is given; None: it has none; NEEDED: ONNX has no default."""

    function: Callable[..., sp.Expr]
    alpha: float | None = None
    beta: float | None = None


# Defaults are those of the operators of the same names, as the recurrent operators say.  Affine and ScaledTanh are no operators
# any more; onnxruntime 1.32 takes 0 for both, and for ThresholdedRelu 0 where the operator has 1.
ACTIVATIONS = {
    "Relu": Activation(lambda x: relu(x)),
    "Tanh": Activation(lambda x: tanh(x)),
    "Sigmoid": Activation(lambda x: sigmoid(x)),
    "Affine": Activation(lambda x, a, b: a * x + b, NEEDED, NEEDED),
    "LeakyRelu": Activation(lambda x, a: leaky_relu(x, a), 0.01),
    "ThresholdedRelu": Activation(lambda x, a: where(x > a, x, 0), 1.0),
    "ScaledTanh": Activation(lambda x, a, b: a * tanh(b * x), NEEDED, NEEDED),
    "HardSigmoid": Activation(lambda x, a, b: clipped(a * x + b, 0, 1), 0.2, 0.5),
    "Elu": Activation(lambda x, a: elu(x, a), 1.0),
    "Softsign": Activation(lambda x: softsign(x)),
    "Softplus": Activation(lambda x: softplus(x)),
}
USUAL = {"RNN": ("Tanh",), "GRU": ("Sigmoid", "Tanh"), "LSTM": ("Sigmoid", "Tanh", "Tanh")}
GATES = {"RNN": 1, "GRU": 3, "LSTM": 4}
DIRECTIONS = ("forward", "reverse", "bidirectional")


def cell(
    op: str,
    activations: Sequence[str] | None = None,
    activation_alpha: Sequence[float] | None = None,
    activation_beta: Sequence[float] | None = None,
    *,
    clip: float | None = None,
    input_forget: bool = False,
    linear_before_reset: bool = False,
    peepholes: bool = False,
) -> Cell:
    """The cell of an operator in one direction; the arguments are attributes of the operator, `peepholes` that it has P.

    `clip` bounds what stands inside of activations.  Parameters: weight_ih (gates*H, I), weight_hh (gates*H, H), bias_ih and
    bias_hh (gates*H,), peephole_i, peephole_o, peephole_f (H,).  Raises DeriveError for what the operator does not have.
    """
    if op not in USUAL:
        raise DeriveError(f"ONNX has no recurrent operator {op!r}; there are {', '.join(USUAL)}")
    functions = _functions(op, activations or USUAL[op], activation_alpha or (), activation_beta or ())
    if clip is not None and not clip > 0:
        raise DeriveError(f"{op}: clip is {clip!r}; it is a bound above 0, or None")
    for name, given, owner in (
        ("input_forget", input_forget, "LSTM"),
        ("peepholes", peepholes, "LSTM"),
        ("linear_before_reset", linear_before_reset, "GRU"),
    ):
        if given and op != owner:
            raise DeriveError(f"{op} has no {name}; the {owner} has")

    def inside(x: sp.Expr) -> sp.Expr:
        """What stands inside of an activation."""
        return x if clip is None else clipped(x, -clip, clip)

    if op == "RNN":
        return _rnn(functions[0], inside)
    if op == "GRU":
        return _gru(functions[0], functions[1], inside, linear_before_reset)
    return _lstm(functions[0], functions[1], functions[2], inside, input_forget, peepholes)


def _functions(
    op: str, names: Sequence[str], alphas: Sequence[float], betas: Sequence[float]
) -> list[Callable[..., Any]]:
    """The activations of one direction; alpha and beta go to those that have them, in order."""
    if len(names) != len(USUAL[op]):
        raise DeriveError(f"{op}: {len(USUAL[op])} activations for a direction, found {', '.join(names) or 'none'}")
    known = {name.lower(): name for name in ACTIVATIONS}
    given = {"alpha": list(alphas), "beta": list(betas)}
    found = []
    for name in names:
        if name.lower() not in known:
            raise DeriveError(f"{op}: no activation {name!r}; there are {', '.join(ACTIVATIONS)}")
        record = ACTIVATIONS[known[name.lower()]]
        values = [
            given[kind].pop(0) if given[kind] else usual
            for kind, usual in (("alpha", record.alpha), ("beta", record.beta))
            if usual is not None
        ]
        if any(value != value for value in values):
            raise DeriveError(
                f"{op}: {name} has alpha and beta, and ONNX no defaults for them; give activation_alpha and activation_beta"
            )
        found.append(_at(record.function, values))
    return found


def _at(function: Callable[..., Any], values: Sequence[float]) -> Callable[..., Any]:
    numbers = [sp.nsimplify(value, rational=True) for value in values]
    return lambda x: function(x, *numbers)


def _rnn(act: Any, inside: Any) -> Cell:
    @made(states="h", bias_ih="b", bias_hh="v")
    def onnx_rnn(x, h, W, U, b, v):  # type: ignore[no-untyped-def]
        """RNN of ONNX: H(t) = f(W X(t) + R H(t-1) + Wb + Rb)."""
        h[t, n] = act(inside(Sum(W[n, j] * x[t, j], j) + Sum(U[n, k] * h[t - 1, k], k) + b[n] + v[n]))

    return onnx_rnn


def _gru(act: Any, new: Any, inside: Any, linear_before_reset: bool) -> Cell:
    @made(states="h", gates="z r g", bias_ih="b", bias_hh="v")
    def onnx_gru(x, h, W, U, b, v, z, r, g):  # type: ignore[no-untyped-def]
        """GRU of ONNX: H(t) = (1 - z) g + z H(t-1)."""
        for q in (z, r):
            q[t, n] = act(inside(Sum(W[q][n, j] * x[t, j], j) + Sum(U[q][n, k] * h[t - 1, k], k) + b[q][n] + v[q][n]))
        if linear_before_reset:
            past = r[t, n] * (Sum(U[g][n, k] * h[t - 1, k], k) + v[g][n])
        else:
            past = Sum(U[g][n, k] * r[t, k] * h[t - 1, k], k) + v[g][n]
        g[t, n] = new(inside(Sum(W[g][n, j] * x[t, j], j) + past + b[g][n]))
        h[t, n] = (1 - z[t, n]) * g[t, n] + z[t, n] * h[t - 1, n]

    return onnx_gru


def _lstm(act: Any, new: Any, squash: Any, inside: Any, input_forget: bool, peepholes: bool) -> Cell:
    def equations(
        x: Any, h: Any, c: Any, W: Any, U: Any, b: Any, v: Any, i: Any, o: Any, f: Any, g: Any, p: Any
    ) -> None:
        def argument(q: Any, state: Any = 0) -> Any:
            found = Sum(W[q][n, j] * x[t, j], j) + Sum(U[q][n, k] * h[t - 1, k], k) + b[q][n] + v[q][n]
            return inside(found + state)

        def seen(q: Any, state: Any) -> Any:
            return 0 if p is None else p[q][n] * state

        i[t, n] = act(argument(i, seen(i, c[t - 1, n])))
        f[t, n] = 1 - i[t, n] if input_forget else act(argument(f, seen(f, c[t - 1, n])))
        g[t, n] = new(argument(g))
        c[t, n] = f[t, n] * c[t - 1, n] + i[t, n] * g[t, n]
        o[t, n] = act(argument(o, seen(o, c[t, n])))
        h[t, n] = o[t, n] * squash(c[t, n])

    gates = "i o g" if input_forget else "i o f g"
    if peepholes:

        @made(states="h c", gates=gates, bias_ih="b", bias_hh="v", peephole="p")
        def onnx_lstm(x, h, c, W, U, b, v, p, i, o, f, g):  # type: ignore[no-untyped-def]
            """LSTM of ONNX, with peepholes: the output gate looks at the new cell state."""
            equations(x, h, c, W, U, b, v, i, o, f, g, p)

    else:

        @made(states="h c", gates=gates, bias_ih="b", bias_hh="v")
        def onnx_lstm(x, h, c, W, U, b, v, i, o, f, g):  # type: ignore[no-untyped-def]
            """LSTM of ONNX."""
            equations(x, h, c, W, U, b, v, i, o, f, g, None)

    return onnx_lstm


def run(
    op: str,
    X: Array,
    W: Array,
    R: Array,
    B: Array | None = None,
    sequence_lens: Array | None = None,
    initial_h: Array | None = None,
    initial_c: Array | None = None,
    P: Array | None = None,
    *,
    hidden_size: int | None = None,
    direction: str = "forward",
    layout: int = 0,
    activations: Sequence[str] | None = None,
    activation_alpha: Sequence[float] | None = None,
    activation_beta: Sequence[float] | None = None,
    clip: float | None = None,
    input_forget: int = 0,
    linear_before_reset: int = 0,
    build: Callable[[Cell], Any] = compiled,
) -> tuple[Array, ...]:
    """What a node of ONNX gives: Y (T, D, B, H), Y_h (D, B, H), and of an LSTM Y_c; with layout 1 the batch comes first.

    Inputs and attributes are those of the operator; an input that is left out is None.  Beyond `sequence_lens` Y is 0.  `build`
    makes a module of a cell.  Raises DeriveError for what the operator does not take.
    """
    if direction not in DIRECTIONS:
        raise DeriveError(f"{op}: direction is {direction!r}; there are {', '.join(DIRECTIONS)}")
    if layout not in (0, 1):
        raise DeriveError(f"{op}: layout is {layout!r}; it is 0, time first, or 1, the batch first")
    passes = [False, True] if direction == "bidirectional" else [direction == "reverse"]
    x = np.ascontiguousarray(X.swapaxes(0, 1) if layout else X)
    steps, units = len(x), R.shape[2]
    if W.shape[0] != len(passes) or (hidden_size is not None and hidden_size != units):
        raise DeriveError(
            f"{op}: W has {W.shape[0]} directions and R {units} units; {direction} has {len(passes)}"
            + (f", and hidden_size is {hidden_size}" if hidden_size is not None else "")
        )
    lengths = None if sequence_lens is None else np.asarray(sequence_lens, np.int64)
    turn = Turn(steps, lengths)
    given = [
        a.swapaxes(0, 1) if a is not None and layout else a for a in (initial_h, initial_c)[: 2 if op == "LSTM" else 1]
    ]
    outs, finals = [], []
    for number, backwards in enumerate(passes):
        one = cell(
            op,
            _part(activations, number, len(USUAL.get(op, ()))),
            _share(op, activations, activation_alpha, number, "alpha"),
            _share(op, activations, activation_beta, number, "beta"),
            clip=clip,
            input_forget=bool(input_forget),
            linear_before_reset=bool(linear_before_reset),
            peepholes=P is not None,
        )
        arrays = (W[number], R[number], None if B is None else B[number], None if P is None else P[number])
        params = _params(op, *arrays, coupled=bool(input_forget))
        state = tuple(None if a is None else np.ascontiguousarray(a[number]) for a in given)
        read = turn.values(x) if backwards else x
        out, final = build(one).infer(read, params, state, **({} if lengths is None else {"lengths": lengths}))
        out = turn.values(out) if backwards else out
        if lengths is not None:
            out = np.where((np.arange(steps)[:, None] < lengths)[..., None], out, 0).astype(out.dtype)
        outs.append(out)
        finals.append(final)
    y = np.stack(outs, axis=1)
    last = [np.stack(arrays) for arrays in zip(*finals, strict=True)]
    if layout:
        return (np.ascontiguousarray(y.transpose(2, 0, 1, 3)), *(a.swapaxes(0, 1) for a in last))
    return (y, *last)


def _part(names: Sequence[str] | None, number: int, count: int) -> Sequence[str] | None:
    """The activations of one direction."""
    return None if names is None else list(names)[number * count : (number + 1) * count]


def _share(
    op: str, names: Sequence[str] | None, values: Sequence[float] | None, number: int, kind: str
) -> Sequence[float]:
    """The numbers of one direction: those that the activations of the directions before it have taken come first."""
    if not values:
        return ()
    count = len(USUAL.get(op, ()))
    before = list(names or USUAL.get(op, ()) * 2)[: number * count]
    known = {name.lower(): record for name, record in ACTIVATIONS.items()}
    taken = sum(getattr(known[name.lower()], kind, None) is not None for name in before if name.lower() in known)
    return list(values)[taken:]


def _params(op: str, W: Array, R: Array, B: Array | None, P: Array | None, coupled: bool) -> dict[str, Array]:
    """The arrays of one direction by the names of the cell.  `coupled`: the forget gate is 1 - i, and has no weights."""
    count, units = GATES[op], R.shape[1]
    both = np.zeros(2 * count * units, W.dtype) if B is None else B
    found = {"weight_ih": W, "weight_hh": R, "bias_ih": both[: count * units], "bias_hh": both[count * units :]}
    if coupled:  # the third of i o f c
        found = {name: np.delete(array, slice(2 * units, 3 * units), axis=0) for name, array in found.items()}
    if P is not None:
        own = dict(zip(("peephole_i", "peephole_o", "peephole_f"), P.reshape(3, units), strict=True))
        found |= {name: array for name, array in own.items() if not (coupled and name == "peephole_f")}
    return {name: np.ascontiguousarray(array) for name, array in found.items()}
