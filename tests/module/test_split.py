"""When threads pay off: the model alone, without a compiled cell."""

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from derive.runtime.core.split import ONE, PASSES, Split, choose, microseconds


def lstm(size):
    return 4 * size * (2 * size + 1)


def test_short_calls_stay_on_one_thread_and_long_ones_do_not():
    def spread(steps, batch, size, op="loss_and_grad", **options):
        return choose(op, steps, batch, lstm(size), processors=2, **options)

    assert spread(64, 1, 8) == ONE
    assert spread(64, 4, 64) == ONE
    assert spread(3, 32, 8) == ONE
    assert spread(50, 32, 128) == Split("batch", 2)
    assert spread(50, 32, 128, "infer") == Split("batch", 2)
    assert spread(150, 1, 256) == ONE
    assert spread(150, 1, 256, units=True) == Split("units", 2)
    assert spread(64, 1, 8, units=True) == ONE
    assert spread(50, 32, 128, units=True) == Split("batch", 2)
    assert spread(1, 1, 256, "infer", units=True, packed=True) == ONE


def test_threads_that_were_asked_for():
    assert choose("infer", 5, 3, 100, threads=1, processors=8) == ONE
    assert choose("infer", 5, 3, 100, threads=2, processors=8) == Split("batch", 2)
    assert choose("infer", 5, 3, 100, threads=1000, processors=1) == Split("batch", 3)
    assert choose("infer", 5, 1, 100, threads=4, processors=8) == ONE
    assert choose("infer", 500, 1, 10**6, threads=4, processors=8, units=True) == Split("units", 4)
    assert choose("infer", 500, 1, 10**6, threads=4, processors=2, units=True) == Split("units", 2)
    assert choose("infer", 500, 1, 10**6, threads=4, processors=1, units=True) == ONE


sizes = {
    "op": st.sampled_from(list(PASSES)),
    "steps": st.integers(1, 10**4),
    "batch": st.integers(1, 10**4),
    "weights": st.integers(1, 10**7),
}


@given(
    **sizes,
    processors=st.integers(1, 64),
    units=st.booleans(),
    threads=st.none() | st.integers(1, 100),
    itemsize=st.sampled_from([4, 8]),
)
def test_any_call(op, steps, batch, weights, processors, units, threads, itemsize):
    split = choose(op, steps, batch, weights, itemsize=itemsize, threads=threads, processors=processors, units=units)
    assert (split.parts == 1) == (split == ONE)
    if split.kind == "batch":
        assert split.parts <= batch
    if split.kind == "units":
        assert units and split.parts <= processors
    if threads is None:
        assert split.parts <= processors
        alone = microseconds(ONE, op, steps, batch, weights, itemsize=itemsize)
        assert split == ONE or microseconds(split, op, steps, batch, weights, itemsize=itemsize) <= 0.75 * alone
    else:
        assert split.parts <= threads


@given(**sizes)
def test_an_empty_sequence_of_choices_has_no_zero_work(op, steps, batch, weights):
    """Fewer valid steps never look slower."""
    full = microseconds(ONE, op, steps, batch, weights)
    assert microseconds(ONE, op, steps, batch, weights, work=batch) <= full * (1 + 1e-12)


def test_the_model_imports_nothing_but_the_standard_library():
    code = (
        "import sys, importlib.util; s = importlib.util.spec_from_file_location('split', sys.argv[1]); "
        "m = importlib.util.module_from_spec(s); s.loader.exec_module(m); print('numpy' in sys.modules, m.choose('infer', 1, 1, 1))"
    )
    from derive.runtime.core import split

    done = subprocess.run([sys.executable, "-c", code, split.__file__], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("False Split(kind='one'")


@pytest.mark.parametrize("op", PASSES)
def test_more_work_takes_longer(op):
    times = [microseconds(ONE, op, steps, 4, 10**5) for steps in (1, 2, 4, 8)]
    assert times == sorted(times) and times[-1] > times[0]
