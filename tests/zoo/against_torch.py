"""A module beside a loop in PyTorch: outputs, final states and every gradient, for all kinds of call."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

Array = Any
SIZES = (5, 7, 3, 6, 4, 9)  # no two alike: below a vector, beyond it, odd and even
TOLERANCE = 1e-12


@dataclass
class Draw:
    """Arrays of one problem: inputs (T, B, dim), parameters, states (B, dim), derivatives of outputs and final states, targets."""

    inputs: dict[str, Array]
    params: dict[str, Array]
    state: tuple[Array, ...]
    d_out: Array
    d_state: tuple[Array, ...]
    y: Array

    @property
    def x(self) -> Array:
        """The first input."""
        return next(iter(self.inputs.values()))

    @property
    def others(self) -> dict[str, Array]:
        """The inputs that are given by keyword."""
        return dict(list(self.inputs.items())[1:])


def sizes_of(module: Any, given: tuple[int, ...] = SIZES) -> dict[str, int]:
    """A size for every dimension of a module."""
    spec = module._cell._spec
    return dict(zip(sorted(spec.dims), given, strict=False))


def draw(
    module: Any, steps: int, batch: int, sizes: dict[str, int], positive: tuple[str, ...] = (), seed: int = 0
) -> Draw:
    """A problem; states in `positive` are drawn from 0.5 to 1.5, all else from normal distributions."""
    rng, spec = np.random.default_rng([seed, steps, batch]), module._cell._spec

    def shape(axes: Any) -> tuple[int, ...]:
        return tuple(axis.size(sizes) for axis in axes)

    def some(name: str, *shape: int) -> Array:
        return rng.uniform(0.5, 1.5, shape) if name in positive else rng.normal(size=shape)

    shapes = {n: shape(axes) for n, axes in spec.params.items()}
    rows = [shape(axes) for axes in spec.states.values()]
    return Draw(
        {n: some(n, steps, batch, *shape(axes)) for n, axes in spec.inputs.items()},
        {n: some(n, *s) / np.sqrt(s[-1] if len(s) > 1 else 1) for n, s in shapes.items()},
        tuple(some(n, batch, *row) for n, row in zip(spec.states, rows, strict=True)),
        rng.normal(size=(steps, batch, *rows[0])),
        tuple(rng.normal(size=(batch, *row)) for row in rows),
        rng.normal(size=(steps, batch, *rows[0])),
    )


def loop(step: Any, given: Draw, lengths: list[int] | None, objective: str) -> dict[str, Array]:
    """What PyTorch gives: out, s_T, and the gradients of an objective: "backward" (d_out, d_state) or "loss"."""
    leaves = {**given.inputs, **given.params, **{f"state {p}": s for p, s in enumerate(given.state)}}
    leaf = {n: torch.tensor(a, dtype=torch.float64, requires_grad=True) for n, a in leaves.items()}
    params = {n: leaf[n] for n in given.params}
    first, *others = given.inputs
    d_out, y = torch.from_numpy(given.d_out), torch.from_numpy(given.y)
    outs, finals, total = [], [], torch.zeros((), dtype=torch.float64)
    for row in range(given.x.shape[1]):  # one sequence at a time: what a batch and lengths mean is not left to masks
        last = given.x.shape[0] if lengths is None else lengths[row]
        state = tuple(leaf[f"state {p}"][row : row + 1] for p in range(len(given.state)))
        rows = []
        for now in range(last):
            more = {n: leaf[n][now, row : row + 1] for n in others}
            state = step(leaf[first][now, row : row + 1], params, *state, **more)
            rows.append(state[0])
            judged = ((state[0] - y[now, row]) ** 2) if objective == "loss" else state[0] * d_out[now, row]
            total = total + judged.sum()
        rows += [state[0]] * (given.x.shape[0] - last)
        outs.append(torch.cat(rows))
        finals.append(state)
        if objective != "loss":
            total = total + sum((s * torch.from_numpy(d[row])).sum() for s, d in zip(state, given.d_state, strict=True))
    grads = torch.autograd.grad(total, list(leaf.values()), allow_unused=True)
    found = {"out": torch.stack(outs, 1), "loss": total}
    found |= {f"final {p}": torch.cat(s) for p, s in enumerate(zip(*finals, strict=True))}
    found |= {
        f"grad {n}": torch.zeros_like(a) if g is None else g for (n, a), g in zip(leaf.items(), grads, strict=True)
    }
    return {n: a.detach().numpy() for n, a in found.items()}


def calls(
    module: Any, given: Draw, tapes: list[Any], wrts: list[Any], **options: Any
) -> Iterator[tuple[str, str, dict[str, Array]]]:
    """(title, objective, results) of every call of a module, results by the names of `loop`."""
    names = {n: n for n in (*given.inputs, *given.params)} | {
        f"{s}0": f"state {p}" for p, s in enumerate(module.STATES)
    }
    options |= given.others

    def forward(out: Array, final: tuple[Array, ...]) -> dict[str, Array]:
        return {"out": out, **{f"final {p}": s for p, s in enumerate(final)}}

    out, final = module.infer(given.x, given.params, given.state, **options)
    yield "infer", "backward", forward(out, final)
    for tape in tapes:
        out, final, kept = module.forward(given.x, given.params, given.state, tape=tape, **options)
        yield f"forward tape={tape!r}", "backward", forward(out, final)
        for wrt in wrts:
            label = f"tape={tape!r} wrt={wrt!r}"
            grads = module.backward(kept, given.d_out, given.d_state, wrt=wrt)
            assert wrt is not None or set(grads) == set(names), f"gradients of {set(grads)}, expected {set(names)}"
            yield f"backward {label}", "backward", {f"grad {names[n]}": g for n, g in grads.items()}
            loss, grads = module.loss_and_grad(
                given.x, given.y, given.params, given.state, tape=tape, wrt=wrt, **options
            )
            yield f"loss_and_grad {label}", "loss", {"loss": loss, **{f"grad {names[n]}": g for n, g in grads.items()}}


def differences(
    title: str, found: dict[str, Array], expected: dict[str, Array], tolerance: float = TOLERANCE
) -> list[str]:
    """Sentences for results that are further from those of PyTorch than the tolerance, relative to the largest element."""
    wrong = []
    for name, array in found.items():
        wanted = expected[name]
        if np.shape(array) != wanted.shape:
            wrong.append(f"{title}: {name} has the shape {np.shape(array)}, expected {wanted.shape}")
            continue
        if not wanted.size:
            continue
        off = np.abs(np.asarray(array) - wanted).max()
        scale = np.abs(wanted).max()
        if not (off <= tolerance * scale):
            wrong.append(f"{title}: {name} is off by {off:.1e}, of {scale:.1e}")
    return wrong


def wrts_of(module: Any) -> list[Any]:
    """None, each gradient alone, and "params"."""
    return [None, "params", *module._cell._spec.inputs, *module.PARAMS, *(f"{s}0" for s in module.STATES)]


def compare(module: Any, step: Any, positive: tuple[str, ...] = (), tolerance: float = TOLERANCE) -> list[str]:
    """All calls of a module against the loop: T, B, lengths, tapes, wrt, threads."""
    wrong, sizes = [], sizes_of(module)
    cases: list[tuple[int, int, list[int] | None, list[Any], list[Any], dict[str, Any]]] = [
        (1, 1, None, [None, "recompute", 1], [None, "params"], {}),
        (2, 3, None, [None, "recompute", 1, 2], [None, "x"], {}),
        (5, 3, None, [None, "recompute", 1, 2], wrts_of(module), {}),
        (5, 3, [2, 5, 1], [None, "recompute", 1, 2], [None, "params"], {}),
        (5, 3, None, [None, 2], [None, "params"], {"threads": 2}),
        (5, 1, None, [None, "recompute"], [None], {"threads": 2}),
        (5, 3, [4, 1, 5], [None, 2], [None], {"threads": 2}),
    ]
    for steps, batch, lengths, tapes, wrts, options in cases:
        given = draw(module, steps, batch, sizes, positive)
        expected = {o: loop(step, given, lengths, o) for o in ("backward", "loss")}
        if batch > 1 and steps > 2 and not np.ptp(expected["backward"]["out"]):
            wrong.append(f"T={steps} B={batch}: all outputs are alike, so that nothing was compared")
        more = {**options, **({} if lengths is None else {"lengths": lengths})}
        for title, objective, found in calls(module, given, tapes, wrts, **more):
            where = f"T={steps} B={batch} {more or ''} {title}"
            wrong += differences(where, found, expected[objective], tolerance)
    return wrong


def error(module: Any, step: Any, positive: tuple[str, ...] = ()) -> float:
    """The largest difference of any output, final state or gradient, relative to the largest element of its array."""
    given = draw(module, 5, 3, sizes_of(module), positive)
    expected = {o: loop(step, given, None, o) for o in ("backward", "loss")}
    worst = 0.0
    for _, objective, found in calls(module, given, [None], [None]):
        pairs = ((np.asarray(array), expected[objective][name]) for name, array in found.items())
        worst = max(worst, *(np.abs(a - b).max() / max(np.abs(b).max(), 1e-300) for a, b in pairs))
    return float(worst)
