"""Cells from papers that do not ship, against `validate` and against a loop in NumPy that was not derived.

The loop knows neither the notation nor the interpreter; its derivatives are complex steps.
"""

import textwrap

import numpy as np
import paper_cells
import pytest
import quick

from derive.registry.user_file import run_file
from derive.verify import Oracle, draw, sizes_of, validate

STEP = 1e-100


def cell_of(folder, name):
    path = folder / f"{name}.py"
    path.write_text("from derive.notation import *\n\n\n" + textwrap.dedent(paper_cells.CELLS[name][0]))
    return getattr(run_file(path, "a cell"), name)


def loop(step, x, params, state):
    """Outputs (T, B, dim) and the last states."""
    out = []
    for now in x:
        state = step(now, params, *state)
        out.append(state[0])
    return np.stack(out), state


@pytest.mark.parametrize("name", paper_cells.CELLS)
def test_a_cell_from_a_paper(name, tmp_path):
    from derive import registry

    cell = cell_of(tmp_path, name)
    module = quick.build(cell, None, tmp_path / "built")
    assert validate(module, cell) == []

    oracle = Oracle(cell, registry.loss("squared_error"))
    program, places = oracle.primal, oracle.places
    sizes = {"T": 4, "B": 3, **sizes_of(list(program.facts.sizes), (5, 7, 3, 4, 6), {})}
    problem = draw(program, oracle.target, sizes, (-1.0, 1.0))
    step, values = paper_cells.CELLS[name][1], problem.values
    (read,) = places.inputs
    x, d_out = np.moveaxis(values[read], 0, 1), np.moveaxis(problem.d_out, 0, 1)

    def objective(given):
        states = tuple(given[i] for i in places.initial.values())
        out, final = loop(step, np.moveaxis(given[read], 0, 1), given, states)
        last = sum((a * problem.d_state[s]).sum() for s, a in zip(places.initial, final, strict=True))
        return (out * d_out).sum() + last

    params = places.gather({n: values[n] for n in places.params})
    state = tuple(values[i] for i in places.initial.values())
    out, final, tape = module.forward(x, params, state)
    expected, last = loop(step, x, values, state)
    for found, wanted in zip((out, *final), (expected, *last), strict=True):
        np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-12 * np.abs(wanted).max())
    grads = module.backward(tape, d_out, tuple(problem.d_state.values()))

    rng = np.random.default_rng(3)
    for _ in range(4):  # a direction in everything at once sees every wrong element
        moves = {n: rng.normal(size=a.shape) for n, a in values.items()}
        slope = objective({n: a + 1j * STEP * moves[n] for n, a in values.items()}).imag / STEP
        public = {"x": np.moveaxis(moves[read], 0, 1), **places.gather({n: moves[n] for n in places.params})}
        public |= {f"{s}0": moves[i] for s, i in places.initial.items()}
        parts = [grads[n] * public[n] for n in grads]
        assert abs(slope - sum(p.sum() for p in parts)) <= 1e-12 * sum(np.abs(p).sum() for p in parts)
