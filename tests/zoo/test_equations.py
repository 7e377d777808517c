"""The equations of the zoo without a compiler: the interpreter and `vjp` against loops in PyTorch that autograd differentiates."""

import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="the loops that cells are compared with need PyTorch: pip install torch==2.13.0")
sys.path.insert(0, str(Path(__file__).resolve().parent))

import continuous  # noqa: F401
import gated  # noqa: F401
import linear  # noqa: F401
import memory  # noqa: F401
import plain  # noqa: F401
import spiking  # noqa: F401
from against_torch import Draw, differences, loop
from register import ZOO

from derive import registry
from derive.verify.oracle import Oracle
from derive.verify.problem import draw, sizes_of

STEPS, BATCH, SIZES = 4, 2, (5, 7, 3, 6, 4, 9)


def drawn(oracle, positive):
    """A problem whose parts may have any sign; the states that a cell divides by are positive."""
    sizes = sizes_of([str(d) for d in oracle.primal.facts.sizes], SIZES, {})
    problem = draw(oracle.primal, oracle.objective, {**sizes, "T": STEPS, "B": BATCH}, (-1.0, 1.0))
    for state in positive:
        problem.values[f"{state}_0"] = 1 + abs(problem.values[f"{state}_0"])
    return problem


def as_given(oracle, problem):
    """The same as a loop takes it: time first, gates stacked."""
    places, primal = oracle.places, oracle.primal

    def front(array):
        return np.moveaxis(array, 0, 1)

    return Draw(
        {public: front(problem.values[name]) for name, public in places.inputs.items()},
        places.gather({name: problem.values[name] for name in places.params}),
        tuple(problem.values[f"{s}_0"] for s in primal.facts.states),
        front(problem.d_out),
        tuple(problem.d_state[s] for s in primal.facts.states),
        front(*problem.targets.values()),
    )


@pytest.mark.parametrize("name", registry.zoo())
def test_the_equations_of_a_cell_are_its_loop(name):
    oracle, paper = Oracle(registry.cell(name), registry.loss("squared_error")), ZOO[name]
    problem = drawn(oracle, paper.positive)
    given, found = as_given(oracle, problem), oracle.evaluate(problem)
    names = {f"{s}0": f"state {p}" for p, s in enumerate(oracle.states)}
    wrong = []
    for title, objective in (("backward", "backward"), ("loss", "loss")):
        results = {f"grad {names.get(n, n)}": found[f"{title} {n}"] for n in (*given.inputs, *given.params, *names)}
        results |= {"out": found["out"], **{f"final {p}": found[f"{s}_T"] for p, s in enumerate(oracle.states)}}
        wrong += differences(title, results, loop(paper.step, given, None, objective), 1e-11)
    assert not wrong
