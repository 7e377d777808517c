"""wrt= leaves gradients away and changes none of the others."""

import numpy as np
import pytest
from cells import CELLS, Problem, equal, load


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("cell", CELLS)
def test_what_is_asked_for_is_what_comes(cell, dtype):
    module = load(cell)
    problem = Problem(module, 5, 3, dtype)
    states = [f"{name}0" for name in module.STATES]
    names = ["x", *module.PARAMS, *states]
    everything = problem.everything()
    requests = [(names, names), ("params", list(module.PARAMS)), (("params", "x"), ["x", *module.PARAMS])]
    requests += [(name, [name]) for name in names]
    requests += [({*states, "params"}, names[1:]), (iter(names[1:3]), names[1:3])]
    for wrt, expected in requests:
        wrt = list(wrt) if not isinstance(wrt, (str, tuple, set)) else wrt
        found = problem.everything(wrt=wrt)
        equal(
            found, {n: a for n, a in everything.items() if " " not in n or n.split()[-1] in (*expected, *final(module))}
        )


def final(module):
    return [f"{name}_T" for name in module.STATES]


def test_several_threads_and_lengths():
    problem = Problem(load("lstm"), 6, 9)
    for options in ({"threads": 2}, {"threads": 3, "lengths": np.arange(9) % 6 + 1}, {"lengths": np.arange(9) % 6 + 1}):
        everything = problem.everything(**options)
        for wrt in ("params", "x", ("bias", "h0")):
            found = problem.everything(wrt=wrt, **options)
            equal(found, {name: everything[name] for name in found})
            assert ("loss x" in found) == (wrt == "x")


def test_after_a_call_without_x_comes_one_with():
    problem = Problem(load("lstm"), 5, 2)
    before = problem.everything()
    problem.everything(wrt="params")
    equal(problem.everything(), before)


def test_an_empty_batch_and_one_sequence():
    module = load("lstm")
    for batch in (0, None):
        problem = Problem(module, 4, batch)
        assert set(module.loss_and_grad(problem.x, problem.y, problem.params, wrt=("c0", "params"))[1]) == {
            *module.PARAMS,
            "c0",
        }


BAD = {
    "misspelt": ("weigth_hh", ValueError, ["wrt has 'weigth_hh' (did you mean 'weight_hh'?)", "h0, c0"]),
    "state": (("x", "h"), ValueError, ["wrt has 'h'"]),
    "empty": ((), ValueError, ["wrt is empty"]),
    "empty text": ("", ValueError, ["wrt has ''"]),
    "number": (3, TypeError, ["wrt must be None or names out of x, params, weight_ih", "found 3"]),
    "numbers": ([1], TypeError, ["wrt must be None or names", "found 1"]),
    "bool": (True, TypeError, ["found True"]),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_names(case):
    wrt, error, words = BAD[case]
    problem = Problem(load("lstm"), 4, 2)
    module, p = problem.module, problem
    tape = module.forward(p.x, p.params)[2]
    calls = {
        "backward": lambda: module.backward(tape, p.d_out, wrt=wrt),
        "loss_and_grad": lambda: module.loss_and_grad(p.x, p.y, p.params, wrt=wrt),
        "plan": lambda: module.plan(p.params, 4, 2, wrt=wrt),
    }
    for name, function in calls.items():
        with pytest.raises(error) as caught:
            function()
        for word in [f"lstm.{name}:", *words]:
            assert word in str(caught.value)
