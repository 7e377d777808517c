"""docs/zoo.md: every cell with its source, size, work, tape, and the error against a loop in PyTorch that shares nothing with it.

    rows(names)     what is counted, and the error of a build without optimisation: needs PyTorch and a compiler
    timed(names)    microseconds of a training call beside a compiled loop in PyTorch and lax.scan in JAX, one process for each
    page(rows)      the page; timings stand there if benchmarks/results/zoo.json has them

The loops are those of tests/zoo/.  Each is run by PyTorch as it is written, and by JAX through benchmarks/peers/zoo_jax.py.
"""

from __future__ import annotations

import ast
import importlib
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import machine, results
from benchmarks.measure import interleave
from benchmarks.problem import Arrays, Contender, Unsupported, compare
from benchmarks.shapes import CELL_SHAPES, Shape
from benchmarks.stats import spread

ROOT = Path(__file__).resolve().parent.parent
STEPS = ROOT / "tests" / "zoo"
PAGE, TIMES = ROOT / "docs" / "zoo.md", results.FOLDER / "zoo.json"
COUNTED = CELL_SHAPES[0]
PEERS = {"torch": "torch.compile", "jax": "JAX"}


@dataclass(frozen=True)
class Row:
    """One cell: flop and bytes of the tape of one step of one sequence, and the largest relative error of anything."""

    name: str
    title: str
    lines: int
    parameters: str
    flop: float
    tape: float
    error: float


def steps(names: Iterable[str] = ()) -> dict[str, Any]:
    """The loops of tests/zoo/, by cell; raises ImportError without PyTorch."""
    if str(STEPS) not in sys.path:
        sys.path.insert(0, str(STEPS))
    from derive import registry

    for family in registry.families():
        importlib.import_module(family)
    found: dict[str, Any] = importlib.import_module("register").ZOO
    return found


def rows(names: Iterable[str], say: Callable[[str], None] = lambda text: None) -> list[Row]:
    """What is known of cells of the zoo, without a clock."""
    from derive import costs, registry
    from derive.registry.summary import summary

    quick = importlib.import_module("tests.campaign.quick")
    loops, found = steps(), []
    error = importlib.import_module("against_torch").error
    for name in names:
        say(name)
        cell = registry.cell(name)
        line = summary(cell)
        sizes = {d: COUNTED.I if d == "I" else COUNTED.H for d in map(str, cell.program().facts.sizes)}
        counted = costs.cost(cell, {"T": COUNTED.T, "B": 1, **sizes})
        with tempfile.TemporaryDirectory() as folder:
            off = error(quick.build(cell, None, Path(folder)), loops[name].step, loops[name].positive)
        count = line.count.replace("**2", "²").replace("*", "·")
        work, tape = counted.flop / COUNTED.T, counted.tape / COUNTED.T
        found.append(Row(name, line.title, _lines(name), count, work, tape, off))
    return found


def _lines(name: str) -> int:
    """The lines of a cell's equations."""
    from derive import registry

    (path,) = (ROOT / "derive" / "cells").glob(f"*/{name}.py")
    assert registry.is_in_zoo(name)
    (function,) = (n for n in ast.parse(path.read_text(encoding="utf-8")).body if isinstance(n, ast.FunctionDef))
    return (function.end_lineno or 0) - function.body[0].lineno + 1


# -- the page ----------------------------------------------------------------------------------------------------------

HEAD = f"""# The zoo

Cells of papers, written as equations; `python -m benchmarks zoo` writes this page. Each lies in a folder of
[`derive/cells/`](../derive/cells), is built when it is asked for (`derive build CELL`, `derive.load("CELL")`) and
kept in the cache. What the language cannot say yet is in [cells.md](cells.md).

Flop and bytes of the tape are those of one step of one sequence when training in float32, all sizes of units {COUNTED.H} and
{COUNTED.I} inputs. The error is the largest of outputs, final states and all gradients in float64, relative to the largest entry,
against a loop in PyTorch that autograd differentiates ([`tests/zoo/`](../tests/zoo)), T = 5, three sequences, all sizes
different, no state zero.
"""
TIMED = """
Microseconds of a training call in float32 on one thread, loss and gradients of all parameters, at (T, B, I, H), beside
the loop in PyTorch with its step compiled, and `lax.scan` in JAX under `jit`. Measured on PROCESSOR:
"""


def page(found: Iterable[Row], times: Mapping[str, Any] | None = None) -> str:
    """The page, with the families as sections."""
    from derive import registry

    known = {row.name: row for row in found}
    text = [HEAD, TIMED.replace("PROCESSOR", times["machine"]["processor"]) if times else ""]
    marks = [f"({shape}) {title}" for shape in CELL_SHAPES for title in ("ours", *PEERS.values())] if times else []
    for family, title in registry.families().items():
        own = [known[name] for name in registry.zoo(family) if name in known]
        if not own:
            continue
        columns = ["cell", "source", "lines", "parameters", "flop", "tape", "error", *marks]
        text.append(f"\n## {family}\n\n{title}\n\n| {' | '.join(columns)} |\n|{'---|' * len(columns)}\n")
        for row in own:
            cells = [f"`{row.name}`", row.title, row.lines, row.parameters, f"{row.flop:.0f}", f"{row.tape:.0f}"]
            cells += [f"{row.error:.0e}", *(_times(times, row.name) if times else [])]
            text.append(f"| {' | '.join(map(str, cells))} |\n")
    return "".join(text)


def _times(times: Mapping[str, Any], name: str) -> list[str]:
    shown = []
    for shape in CELL_SHAPES:
        figures = times["cells"].get(name, {}).get(str(shape), {})
        shown += [f"{figures[p] * 1e6:.0f}" if p in figures else "–" for p in ("ours", *PEERS)]
    return shown


# -- timings -----------------------------------------------------------------------------------------------------------


def timed(names: Iterable[str], seconds: float, say: Callable[[str], None]) -> dict[str, Any]:
    """Seconds of a call by cell, shape and contender; a process for each cell, confined to one processor."""
    cells: dict[str, Any] = {}
    for name in names:
        command = [sys.executable, "-m", "benchmarks.zoo", name, str(seconds)]
        done = subprocess.run(command, cwd=ROOT, env=machine.environment(1), capture_output=True, text=True)
        if done.returncode:
            say(f"{name}: {done.stderr.strip().splitlines()[-1:]}")
            continue
        cells[name] = json.loads(done.stdout.splitlines()[-1])
        say(f"{name}: {cells[name]}")
    return {"machine": machine.describe(), "cells": cells}


@dataclass(frozen=True)
class Posed:
    """A training problem of one cell."""

    module: Any
    step: Any
    inputs: Arrays
    params: Arrays
    state: tuple[Any, ...]
    y: Any


def posed(name: str, shape: Shape) -> Posed:
    """The same numbers for the same arguments; every size but I is that of the units."""
    import derive

    module, rng = derive.load(name), np.random.default_rng(0)
    spec: Any = module
    spec = spec.SPEC

    def size(dim: str) -> int:
        return shape.I if dim == "I" else shape.H

    def some(*dims: int) -> Any:
        return rng.normal(size=dims).astype(np.float32)

    rows = {n: axes for n, (role, *axes) in spec["arguments"].items() if role == "input"}
    inputs = {n: some(shape.T, shape.B, *map(size, axes[2:])) for n, axes in rows.items()}
    params = module.init_params(**{keyword: size(d) for d, keyword in spec["dims"].items()}, dtype=np.float32)
    params = {
        n: a if a.ndim == 2 else a + rng.uniform(-0.1, 0.1, a.shape).astype(np.float32) for n, a in params.items()
    }
    loop = steps()[name]
    state = tuple(
        np.full((shape.B, size(d)), 1.0 if n in loop.positive else 0.0, np.float32) for n, d in spec["states"].items()
    )
    y = some(shape.T, shape.B, size(next(iter(spec["states"].values()))))
    return Posed(module, loop.step, inputs, params, state, y)


def ours(it: Posed) -> Contender:
    """`loss_and_grad`, without gradients of inputs and states."""
    (_, x), *others = it.inputs.items()
    more, wrt = dict(others), tuple(it.params)
    return Contender(
        lambda: it.module.loss_and_grad(x, it.y, it.params, it.state, wrt=wrt, threads=1, **more),
        lambda found: {"loss": np.asarray(found[0]), **found[1]},
    )


def torch_loop(it: Posed) -> Contender:
    """A Python loop over steps that torch.compile has made C++ of."""
    import torch

    torch.set_num_threads(1)
    step = torch.compile(it.step, dynamic=False)
    inputs = {n: torch.from_numpy(a) for n, a in it.inputs.items()}
    first, *others = inputs
    params = {n: torch.from_numpy(a.copy()).requires_grad_() for n, a in it.params.items()}
    start, y = tuple(map(torch.from_numpy, it.state)), torch.from_numpy(it.y)

    def train() -> Any:
        for leaf in params.values():
            leaf.grad = None
        state, outs = start, []
        for now in range(len(y)):
            state = step(inputs[first][now], params, *state, **{n: inputs[n][now] for n in others})
            outs.append(state[0])
        loss = ((torch.stack(outs) - y) ** 2).sum()
        loss.backward()  # type: ignore[no-untyped-call,unused-ignore]
        return loss

    def result(loss: Any) -> Arrays:
        grads = {n: a.grad.numpy() for n, a in params.items() if a.grad is not None}
        return {"loss": np.asarray(loss.item()), **grads}

    return Contender(train, result)


def jax_scan(name: str, it: Posed) -> Contender:
    """The same step under `lax.scan` and `jit`."""
    from benchmarks.peers import zoo_jax

    return zoo_jax.contender(name, it.inputs, it.params, it.state, it.y)


def measure(name: str, seconds: float) -> dict[str, dict[str, float]]:
    """Seconds of a call by shape and contender; those that are not installed, or that compute something else, are left out."""
    machine.confine(1)
    found: dict[str, dict[str, float]] = {}
    for shape in CELL_SHAPES:
        it = posed(name, shape)
        contenders = {"ours": ours(it)}
        expected = contenders["ours"].result(contenders["ours"].call())
        for peer, make in (("torch", partial(torch_loop, it)), ("jax", partial(jax_scan, name, it))):
            try:
                made = make()
                compare(expected, made.result(made.call()), "float32")
                contenders[peer] = made
            except (ImportError, Unsupported, AttributeError) as error:  # JAX: what its form of torch lacks
                print(f"{name} {shape}: {PEERS[peer]}: {error}", file=sys.stderr)
        times = interleave({n: c.call for n, c in contenders.items()}, seconds, lambda number: None)
        found[str(shape)] = {n: spread(samples.seconds).median for n, samples in times.items()}
    return found


if __name__ == "__main__":
    print(json.dumps(measure(sys.argv[1], float(sys.argv[2]))))
