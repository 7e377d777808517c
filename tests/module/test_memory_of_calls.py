"""What `memory` says that a call needs, against what the call takes; and that no call leaves its memory."""

import inspect
import subprocess
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from cells import CELLS, Problem, load

from derive.runtime import Memory
from derive.runtime.core.kept import KEPT
from derive.runtime.numpy.arrays import aligned


def sizes(problem):
    return {**problem.keywords, "steps": len(problem.x), "batch": problem.x.shape[1], "dtype": problem.x.dtype}


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("cell", CELLS)
def test_results_and_tape(cell, dtype, threads):
    p = Problem(load(cell), 30, 9, dtype)
    module = p.module
    out, final, tape = module.forward(p.x, p.params, threads=threads)
    found = module.memory(**sizes(p), op="forward", threads=threads)
    assert found.tape == tape.nbytes
    assert found.out == out.nbytes + sum(array.nbytes for array in final)
    assert found.total == found.tape + found.workspace + found.out
    infer = module.memory(**sizes(p), op="infer", threads=threads)
    assert (infer.tape, infer.out) == (0, found.out)
    grads = module.backward(tape, p.d_out)
    for op in ("backward", "loss_and_grad"):
        assert module.memory(**sizes(p), op=op, threads=threads).out == sum(array.nbytes for array in grads.values())


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("op", ["infer", "forward", "loss_and_grad"])
def test_what_a_call_allocates(op, threads, monkeypatch):
    """Memory of a call comes from NumPy and from cffi, which tell tracemalloc; here that of large blocks too."""
    p = Problem(load("lstm"), 50, 64, np.float32, inputs=40, units=40)
    module = p.module
    args = (p.x, p.y, p.params) if op == "loss_and_grad" else (p.x, p.params)
    KEPT.release()
    monkeypatch.setattr("derive.runtime.core.kept.scratch", lambda nbytes: memoryview(aligned(nbytes)))
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        result = getattr(module, op)(*args, threads=threads)
        peak = tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()
    assert result
    expected = module.memory(**sizes(p), op=op, threads=threads).total
    assert expected <= peak <= 1.05 * expected + 20_000


def test_sizes_that_no_machine_has_are_told_or_refused():
    module = load("lstm")
    assert module.memory(512, 512, 10**9, 64).total > 10**14
    assert module.memory(8, 8, 64) == module.memory(
        8, 8, 64, 1, np.float32, op="loss_and_grad", tape=None, threads=None
    )
    for steps in (2**62, 2**80):
        with pytest.raises(MemoryError):
            module.memory(8, 8, steps)


def test_signature():
    module = load("lstm_readout")
    names = [*inspect.signature(module.memory).parameters]
    assert names[-6:] == ["steps", "batch", "dtype", "op", "tape", "threads"]
    assert names[:-6] == [*inspect.signature(module.init_params).parameters][:-2]
    assert isinstance(module.memory(3, 4, 5, 6, 7), Memory) and len(inspect.getdoc(module.memory)) > 200


@pytest.mark.parametrize(
    ("kwargs", "error", "words"),
    [
        ({"steps": 0}, ValueError, "steps must be at least 1"),
        ({"batch": -1}, ValueError, "batch must be at least 0"),
        ({"dtype": int}, TypeError, "dtype must be"),
        ({"op": "train"}, ValueError, "op must be one of infer, forward, backward, loss_and_grad, found 'train'"),
        ({"tape": "some"}, ValueError, "tape must be"),
        ({"threads": 0}, ValueError, "threads must be at least 1"),
        ({"hidden": 3}, TypeError, "hidden"),
    ],
)
def test_bad_arguments(kwargs, error, words):
    with pytest.raises(error) as caught:
        load("lstm").memory(**{"input_size": 3, "hidden_size": 4, "steps": 5, **kwargs})
    assert "lstm.memory:" in str(caught.value) and words in str(caught.value)


GUARDED = """
import ctypes, mmap, sys
import numpy as np
sys.path.insert(0, sys.argv[1])
from cells import Problem, load
import derive.runtime.numpy.arrays as arrays, derive.runtime.numpy.tape as tape, derive.runtime.numpy.plan as plan
import derive.runtime.core.runner as runner, derive.runtime.core.kept as store

libc = ctypes.CDLL(None, use_errno=True)
libc.mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
PAGE = mmap.PAGESIZE
kept = []

def guarded(nbytes):
    # `nbytes` that end where a page begins that no access may touch
    size = -(-max(nbytes, 1) // PAGE) * PAGE
    memory = mmap.mmap(-1, size + PAGE)
    array = np.frombuffer(memory, np.uint8)
    assert libc.mprotect(array.ctypes.data + size, PAGE, 0) == 0
    kept.append(memory)
    return array[size - nbytes : size]

def moved(array):
    copy = guarded(array.nbytes).view(array.dtype).reshape(array.shape)
    copy[...] = array
    return copy

for module in (arrays, tape, plan, runner):
    if hasattr(module, "aligned"):
        module.aligned = guarded
store.scratch = lambda nbytes: memoryview(guarded(nbytes))
store.KEPT.budget = 0  # each block is new, and as large as it has to be

cell = load(sys.argv[2])
for steps, batch, lengths in ((1, 1, [1]), (7, 5, [3, 7, 1, 7, 2]), (5, 8, [5] * 8), (300, 2, [300, 7])):
    for dtype in (np.float32, np.float64):
        for units in (4, 17):
            p = Problem(cell, steps, batch, dtype, units=units)
            expected = p.everything(threads=1)
            for name in ("x", "y", "d_out"):
                setattr(p, name, moved(getattr(p, name)))
            p.params = {n: moved(a) for n, a in p.params.items()}
            p.state, p.d_state = (tuple(moved(a) for a in s) for s in (p.state, p.d_state))
            for options in OPTIONS:
                if options.pop("lengths", False):
                    options["lengths"] = lengths
                p.everything(**options)
                out = moved(expected["out"])
                options.pop("tape", None)
                cell.infer(p.x, p.params, p.state, out=out, **options)
            for threads in (1, 2):
                repeated = cell.plan(p.params, steps, batch, threads=threads)
                for more in (None, lengths):
                    repeated.infer(p.x, p.state, out=out, lengths=more)
                    repeated.loss_and_grad(p.x, p.y, p.state, lengths=more)
print("in bounds", len(kept))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="needs mprotect")
@pytest.mark.parametrize("cell", CELLS)
def test_nothing_is_touched_beyond_the_end(cell):
    """Arrays of the caller and all memory of the run time end at a page that cannot be read."""
    options = "[dict(threads=n, lengths=l, tape=t) for n in (1, 2) for l in (False, True) for t in TAPES]"
    code = GUARDED.replace("OPTIONS", options).replace("TAPES", "(None,)")
    command = [sys.executable, "-c", code, str(Path(__file__).parent), cell]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{done.returncode}: {done.stderr}"
    assert done.stdout.startswith("in bounds")
