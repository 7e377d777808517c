"""Threads: workers, forks, signals, and others who use threads too."""

import linecache
import os
import signal
import subprocess
import sys
import threading
import time
import weakref

import numpy as np
import pytest
from cells import Problem, equal, load

from derive.runtime.core import runner as runner_module
from derive.runtime.core import workers
from derive.runtime.numpy import plan as plan_module

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
quiet = pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")


@pytest.fixture(scope="module")
def problem():
    return Problem(load("lstm"), 20, 33, np.float32)


def at_once(count, function):
    """Runs function(k) on `count` threads; raises the first error."""
    failures = []
    start = threading.Barrier(count)

    def work(k):
        try:
            start.wait()
            function(k)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(k,)) for k in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()
    if failures:
        raise failures[0]


def derive_threads():
    return sum(thread.name == "derive" for thread in threading.enumerate())


def test_never_more_workers_than_processors(problem):
    at_once(8, lambda k: [problem.everything(threads=1 + k) for _ in range(5)])
    assert derive_threads() <= max(workers.cpus(), 2) - 1


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="this system does not tell where threads run")
def test_workers_keep_off_the_processor_of_the_caller(problem):
    problem.everything(threads=2)
    (worker, *_), allowed = workers._pool.idle, os.sched_getaffinity(0)
    if len(allowed) < 2:
        pytest.skip("there is one processor only")
    for here in sorted(allowed)[:2]:
        worker.avoid(here)
        assert os.sched_getaffinity(worker.thread.native_id) == allowed - {here}
    problem.everything(threads=2)
    assert worker.avoided in allowed and worker.avoided not in os.sched_getaffinity(worker.thread.native_id)
    before, last = os.sched_getaffinity(worker.thread.native_id), worker.avoided
    try:
        os.sched_setaffinity(0, {last})  # nowhere else to go: it stays where it was
        worker.avoid(last)
        assert os.sched_getaffinity(worker.thread.native_id) == before
    finally:
        os.sched_setaffinity(0, allowed)


def test_where_the_system_does_not_tell_the_processor(problem, monkeypatch):
    expected = problem.everything(threads=2)
    monkeypatch.setattr(workers, "_processor", lambda: None)
    equal(problem.everything(threads=2), expected)


@pytest.mark.parametrize("threads", [None, 2, 5])
def test_python_threads_that_split_at_the_same_time(problem, threads):
    expected = problem.everything(threads=threads)
    at_once(4, lambda k: [equal(problem.everything(threads=threads), expected) for _ in range(10)])


def test_share_runs_every_job_once_in_order():
    done = []

    def job(k):
        done.append(k)
        return k * k

    assert workers.share(job, range(100), None) == [k * k for k in range(100)]
    assert sorted(done) == list(range(100))


def test_a_gang_runs_all_at_once_or_none():
    count = max(workers.cpus(), 2)
    barrier = threading.Barrier(count)
    assert sorted(workers.gang(lambda k: barrier.wait(10) * 0 + k, range(count), None)) == list(range(count))
    assert workers.gang(lambda k: 1 / 0, range(count + 1), None) is None


def test_two_that_want_all_threads_do_not_wait_for_each_other():
    count = max(workers.cpus(), 2)
    alone = []

    def several(_):
        for _ in range(50):
            barrier = threading.Barrier(count)
            codes = workers.gang(lambda k, b=barrier: b.wait(10) * 0, range(count), None)
            alone.append(codes is None)

    at_once(4, several)
    assert len(alone) == 200 and not all(alone)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_an_error_is_not_taken_for_a_result():
    """A worker whose job raises (no function in C does) neither blocks its caller nor counts as done."""
    pool = workers.Pool()
    (worker,) = pool.take(1)
    (task,) = workers._assign([worker], [lambda: 1 / 0])
    worker.wake.release()
    workers._wait([task])
    assert worker not in pool.idle


def test_waiting_is_not_cut_short_by_a_signal_handler():
    class Stop(Exception):
        pass

    handled, ran, main = threading.Event(), [], threading.main_thread().ident

    def handler(*_):
        handled.set()
        raise Stop

    def waits():
        frame = sys._current_frames()[main]
        return "acquire" in linecache.getline(frame.f_code.co_filename, frame.f_lineno)

    def job(k):
        if threading.current_thread() is not threading.main_thread():
            while not waits():
                time.sleep(0)
            signal.pthread_kill(main, signal.SIGALRM)
            handled.wait()
            ran.append(k)
        return 0

    before = signal.signal(signal.SIGALRM, handler)
    try:
        with pytest.raises(Stop):
            workers.gang(job, range(2), None)
    finally:
        signal.signal(signal.SIGALRM, before)
    assert ran == [1]


def test_workers_let_go_of_what_they_ran():
    class Kept:
        pass

    kept = Kept()
    gone = weakref.ref(kept)
    workers.share(lambda k: time.sleep(0.001) or 0, range(8), kept)
    del kept
    assert gone() is None


@needs_fork
@quiet
def test_fork_in_the_middle_of_the_life_of_the_workers(problem):
    """While other threads of the parent are at work, some of them in a kernel, a child can do all the same."""
    expected = problem.everything(threads=2)
    stop = threading.Event()

    def busy():
        while not stop.is_set():
            problem.everything(threads=2)

    others = [threading.Thread(target=busy) for _ in range(2)]
    for thread in others:
        thread.start()
    try:
        for _ in range(10):
            child = os.fork()
            if child == 0:
                status = 1
                try:
                    signal.alarm(30)  # a deadlock ends the child
                    equal(problem.everything(threads=2), expected)
                    plan = problem.module.plan(problem.params, 20, 33, threads=2)
                    plan.infer(problem.x)
                    status = 0
                finally:
                    os._exit(status)
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    finally:
        stop.set()
        for thread in others:
            thread.join()
    equal(problem.everything(threads=2), expected)


def in_a_child(function):
    """The status of a forked child that runs a function: 0 if that returns."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            signal.alarm(30)  # a deadlock ends the child
            function()
            status = 0
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


class Halfway:
    """A step of a plan that stops in the middle until it is told to go on; what came before is done."""

    def __init__(self, monkeypatch, owner, name):
        self.inside, self.go = threading.Event(), threading.Event()
        original, stopped = getattr(owner, name), threading.Thread

        def step(*args, **kwargs):
            found = original(*args, **kwargs)
            if isinstance(threading.current_thread(), stopped) and threading.current_thread().name == "halfway":
                self.inside.set()
                self.go.wait(60)
            return found

        monkeypatch.setattr(owner, name, step)

    def run(self, call, meanwhile):
        thread = threading.Thread(target=call, name="halfway")
        thread.start()
        assert self.inside.wait(60)
        try:
            return meanwhile()
        finally:
            self.go.set()
            thread.join(60)


@needs_fork
@quiet
@pytest.mark.parametrize("where", [("_source", plan_module.Plan), ("lengths", plan_module.Runner)])
@pytest.mark.parametrize("threads", [1, 2])
def test_fork_while_a_plan_runs_in_another_thread(problem, monkeypatch, where, threads):
    """The child's plan is free, and nothing of the call that was cut off is left in it: neither states nor lengths."""
    lengths, p = [1 + k % 20 for k in range(33)], problem
    plan = p.module.plan(p.params, 20, 33, threads=threads)
    results = {
        None: (plan.infer(p.x)[0].copy(), plan.loss_and_grad(p.x, p.y)[0]),
        "some": (plan.infer(p.x, lengths=lengths)[0].copy(), plan.loss_and_grad(p.x, p.y, lengths=lengths)[0]),
    }

    def child():
        for _ in range(2):
            for some, (out, loss) in results.items():
                options = {} if some is None else {"lengths": lengths}
                np.testing.assert_array_equal(plan.infer(p.x, **options)[0], out)
                assert plan.loss_and_grad(p.x, p.y, **options)[0] == loss
        plan.update(p.params)

    halfway = Halfway(monkeypatch, where[1], where[0])
    for call in (plan.infer, lambda x, **options: plan.loss_and_grad(x, p.y, **options)):
        assert halfway.run(lambda call=call: call(p.x, lengths=lengths), lambda: in_a_child(child)) == 0
        halfway.inside.clear()
        halfway.go.clear()
    child()


@needs_fork
@quiet
def test_a_fork_waits_until_parameters_are_copied(problem):
    """No child gets a plan with some of the old parameters and some of the new ones."""
    p = problem
    plan = p.module.plan(p.params, 20, 33)
    copied = [{name: np.full_like(array, k) for name, array in p.params.items()} for k in (1, 2)]
    stop = threading.Event()

    def busy():
        while not stop.is_set():
            for params in copied:
                plan.update(params)

    def whole():
        assert len({float(v) for array in plan.params.values() for v in (array.min(), array.max())}) == 1

    plan.update(copied[0])
    thread = threading.Thread(target=busy)
    thread.start()
    try:
        assert [in_a_child(whole) for _ in range(20)] == [0] * 20
    finally:
        stop.set()
        thread.join()
    inside = threading.Event()

    def slow():
        with plan_module.forks.copying():
            for array in plan.params.values():
                array[...] = 3
                inside.set()
                threading.Event().wait(0.1)  # time for a fork that does not wait

    thread = threading.Thread(target=slow)
    thread.start()
    inside.wait(60)
    assert in_a_child(whole) == 0
    thread.join()


def test_an_update_that_was_cut_off_leaves_no_old_packed_weights():
    """Wherever an interrupt comes, `infer` computes with what is in `params`, as `loss_and_grad` does."""
    p = Problem(load("lstm"), 3, 9)
    plan = p.module.plan(p.params, 3, 9, threads=2)
    plan.infer(p.x)
    after, cut = 0, True
    while cut:
        new = {name: array + (after + 1) / 64 for name, array in p.params.items()}
        cut = interrupted(lambda new=new: plan.update(new), after, lambda code: code.co_name in ("update", "pack"))
        out = plan.infer(p.x)[0]
        np.testing.assert_array_equal(out, p.module.infer(p.x, plan.params, threads=2)[0])
        after += 1
    assert after > 10


class Stop(BaseException):
    pass


def interrupted(call, after, within):
    """Whether the call was cut off, at the line within some code that comes after so many."""
    left = [after]

    def trace(frame, event, arg):
        # At the end of a `with`, Python tells a trace function of a line where no signal handler can come in.
        if (
            event == "line"
            and within(frame.f_code)
            and not linecache.getline(*place(frame)).lstrip().startswith("with ")
        ):
            left[0] -= 1
            if left[0] < 0:
                sys.settrace(None)
                raise Stop
        return trace

    def place(frame):
        return frame.f_code.co_filename, frame.f_lineno

    sys.settrace(trace)
    try:
        call()
    except Stop:
        return True
    finally:
        sys.settrace(None)
    return False


def test_lengths_of_a_call_that_was_cut_off_do_not_stay():
    """Wherever an interrupt comes in a call with `lengths`, the next one without counts all steps."""
    p = Problem(load("lstm"), 6, 3)
    plan = p.module.plan(p.params, 6, 3)
    expected = plan.infer(p.x)[0].copy(), plan.loss_and_grad(p.x, p.y)[0]

    def within(code):
        return code.co_filename == runner_module.__file__ or code.co_name == "_run_ragged"

    for call in (plan.infer, lambda x, **options: plan.loss_and_grad(x, p.y, **options)):
        after = 0
        while interrupted(lambda call=call: call(p.x, lengths=[2, 6, 3]), after, within):
            np.testing.assert_array_equal(plan.infer(p.x)[0], expected[0])
            assert plan.loss_and_grad(p.x, p.y)[0] == expected[1]
            after += 1
        assert after > 30


def test_a_signal_handler_that_calls_while_workers_start():
    pool = workers.Pool()
    with pool.lock:
        assert len(pool.take(1)) == 1


@needs_fork
@quiet
def test_a_child_of_a_child(problem):
    expected = problem.everything(threads=2)
    child = os.fork()
    if child == 0:
        status = 1
        try:
            signal.alarm(30)
            problem.everything(threads=2)
            grandchild = os.fork()
            equal(problem.everything(threads=2), expected)
            if grandchild == 0:
                os._exit(0)
            status = os.waitstatus_to_exitcode(os.waitpid(grandchild, 0)[1])
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


INTERRUPTED = """
import signal
import numpy as np
from derive.generated import lstm
params = lstm.init_params(32, 32)
x, y = np.ones((50, 32, 32), np.float32), np.ones((50, 32, 32), np.float32)
expected = lstm.loss_and_grad(x, y, params, threads=2)
plan = lstm.plan(params, 50, 32, threads=2)
count = 0
def handler(*_):
    raise KeyboardInterrupt
signal.signal(signal.SIGALRM, handler)
while count < 200:
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.0001 + 0.00003 * (count % 100))
        for _ in range(1000):
            lstm.loss_and_grad(x, y, params, threads=2)
            plan.loss_and_grad(x, y)
    except KeyboardInterrupt:
        count += 1
signal.setitimer(signal.ITIMER_REAL, 0)
for loss, grads in (lstm.loss_and_grad(x, y, params, threads=2), plan.loss_and_grad(x, y)):
    assert loss == expected[0] and all((grads[n] == g).all() for n, g in expected[1].items())
print(count)
"""


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs setitimer")
def test_interrupts_leave_nothing_broken():
    done = subprocess.run([sys.executable, "-c", INTERRUPTED], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "200\n"


def test_the_process_ends_with_workers_waiting():
    code = (
        "import numpy as np; from derive.generated import lstm; p = lstm.init_params(3, 4); "
        "lstm.infer(np.ones((5, 8, 3), 'f4'), p, threads=2); print('done')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "done\n" and not done.stderr


def test_beside_threads_of_numpy(problem):
    """Matrix products of NumPy, on the threads of its BLAS, at the same time."""
    a = np.random.default_rng(0).normal(size=(300, 300))
    product, expected = a @ a, problem.everything(threads=2)

    def work(k):
        for _ in range(10):
            if k % 2:
                np.testing.assert_array_equal(a @ a, product)
            else:
                equal(problem.everything(threads=2), expected)

    at_once(4, work)


def test_beside_threads_of_torch(problem):
    torch = pytest.importorskip("torch")
    expected = problem.everything(threads=2)
    a = torch.from_numpy(np.random.default_rng(0).normal(size=(300, 300)))
    product = (a @ a).numpy()

    def work(k):
        for _ in range(10):
            if k % 2:
                np.testing.assert_allclose((a @ a).numpy(), product, rtol=1e-10, atol=1e-10)
            else:
                equal(problem.everything(threads=2), expected)

    at_once(4, work)
