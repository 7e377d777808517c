"""pickle and copy: cells and their functions by reference, tapes and plans in words; and other processes."""

import copy
import multiprocessing
import pickle
import sys
from concurrent.futures import ProcessPoolExecutor

import numpy as np
import pytest
from cells import CELLS, Problem, equal, load

from derive.runtime import Cell

FUNCTIONS = ("init_params", "infer", "forward", "backward", "loss_and_grad", "plan", "memory")
PROTOCOLS = range(pickle.HIGHEST_PROTOCOL + 1)


@pytest.mark.parametrize("cell", CELLS)
def test_functions_and_cells_are_the_same_object_again(cell):
    module = load(cell)
    for name in FUNCTIONS:
        function = getattr(module, name)
        for again in (*(pickle.loads(pickle.dumps(function, p)) for p in PROTOCOLS), copy.copy(function)):
            assert again == function and again.__self__ is module._cell
        assert copy.deepcopy({"f": function})["f"] == function
    assert copy.deepcopy(module._cell) is copy.copy(module._cell) is pickle.loads(pickle.dumps(module._cell))
    for plain in (module.SPEC, module.PARAMS, module.STATES, module.GATES):
        assert pickle.loads(pickle.dumps(plain)) == copy.deepcopy(plain) == plain


def test_a_pickle_says_names_and_no_code():
    assert len(pickle.dumps(load("lstm").infer)) < 300


def test_results_and_errors_can_be_sent():
    lstm = load("lstm")
    memory = lstm.memory(3, 4, 5)
    assert pickle.loads(pickle.dumps(memory)) == copy.deepcopy(memory) == memory
    for call in (lambda: lstm.infer(None, {}), lambda: lstm.memory(3, 4, 0), lambda: lstm.memory(3, 4, 2**80)):
        with pytest.raises((TypeError, ValueError, MemoryError)) as caught:
            call()
        again = pickle.loads(pickle.dumps(caught.value))
        assert type(again) is type(caught.value) and str(again) == str(caught.value)


def test_a_copied_tape():
    """Deep, it no longer depends on the arrays of `forward`; flat, it is the tape itself, which no caller can change."""
    p = Problem(load("lstm"), 7, 3)
    for options in ({}, {"tape": "recompute"}, {"tape": 2}, {"lengths": [7, 3, 5]}, {"threads": 2}):
        _, _, tape = p.module.forward(p.x, p.params, p.state, **options)
        expected = p.module.backward(tape, p.d_out)
        assert copy.copy(tape) is tape
        both = copy.deepcopy([tape, tape])
        assert both[0] is both[1] is not tape and both[0].nbytes == tape.nbytes and str(both[0]) == str(tape)
        kept = {name: array.copy() for name, array in p.params.items()}, p.x.copy()
        for array in (p.x, *p.params.values()):
            array[...] = np.nan
        del tape
        equal(p.module.backward(both[0], p.d_out), expected)
        p.params, p.x = kept


def test_tapes_and_plans_refuse_in_words():
    p = Problem(load("lstm"), 4, 2)
    tape, plan = p.module.forward(p.x, p.params)[2], p.module.plan(p.params, 4, 2)
    for protocol in PROTOCOLS:
        with pytest.raises(TypeError, match=r"a tape of lstm .* cannot be pickled; call lstm\.backward where"):
            pickle.dumps(tape, protocol)
    for act in (pickle.dumps, copy.copy, copy.deepcopy, lambda o: pickle.dumps(o.infer), lambda o: copy.deepcopy([o])):
        with pytest.raises(
            TypeError, match=r"lstm\.plan: .* neither copied nor pickled; make another one with lstm\.plan\("
        ):
            act(plan)


def test_a_cell_that_no_other_process_would_find():
    module = load("rnn")
    other = Cell(module.SPEC, module._kernels)
    with pytest.raises(pickle.PicklingError, match="rnn: this cell is not that of an imported module"):
        pickle.dumps(other.infer)
    assert copy.copy(other) is copy.deepcopy(other) is other


def test_another_build_in_the_other_process(monkeypatch):
    module = load("rnn")
    sent = pickle.dumps(module.infer)
    monkeypatch.setattr(module._cell._spec, "code", "0123")
    with pytest.raises(
        ImportError, match=r"rnn: it was pickled with C .* has 0123: the two processes must use the same"
    ):
        pickle.loads(sent)


def test_a_module_that_is_not_there(monkeypatch):
    module = load("rnn")
    sent = pickle.dumps(module.infer)
    monkeypatch.setitem(sys.modules, "derive.generated.rnn", None)
    with pytest.raises(ImportError, match=r"derive\.generated\.rnn"):
        pickle.loads(sent)


@pytest.mark.parametrize("method", multiprocessing.get_all_start_methods())
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_other_processes(method):
    """However they are started, after threads of this process have worked."""
    p = Problem(load("lstm"), 9, 8, np.float32)
    p.everything(threads=2)
    xs = [p.x[:k] for k in (9, 4, 1)]
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context(method)) as pool:
        found = list(pool.map(p.module.infer, xs, [p.params] * 3))
        loss, grads = pool.submit(p.module.loss_and_grad, p.x, p.y, p.params, threads=2).result(120)
        params = pool.submit(p.module.init_params, 3, 5, seed=3).result(120)
        refused = pool.submit(p.module.forward, p.x, p.params)
        with pytest.raises(TypeError, match="a tape of lstm"):
            refused.result(120)
    for x, (out, state) in zip(xs, found, strict=True):
        expected, last = p.module.infer(x, p.params)
        equal({"out": out, "h": state[0], "c": state[1]}, {"out": expected, "h": last[0], "c": last[1]})
    expected, other = p.module.loss_and_grad(p.x, p.y, p.params, threads=2)
    assert loss == expected
    equal(grads, other)
    equal(params, p.module.init_params(3, 5, seed=3))
