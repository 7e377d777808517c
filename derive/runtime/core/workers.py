"""A pool of threads that start when first needed, never outnumber the processors, and end with the process.

A worker sleeps on a lock of its own and is woken by releasing it, which takes less time than a ThreadPoolExecutor.
Work goes only to workers that are idle, and no call ever waits in line for one, so that calls from several Python
threads cannot block each other.

A worker keeps off the processor of the thread that calls. Linux may wake it there, behind the caller, and leave both there:
a call of 1 ms that came every 20 ms took 2 ms.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from functools import cache, partial
from typing import Any

from .split import cpus


class Task:
    """Work for one worker. It holds every reference that the work needs, whatever becomes of the caller meanwhile."""

    __slots__ = ("done", "finished", "work")

    def __init__(self, work: Callable[[], object]) -> None:
        self.work: Callable[[], object] | None = work
        self.finished = False
        self.done = threading.Lock()
        self.done.acquire()


@cache
def _processor() -> Callable[[], int] | None:
    """A function that tells on which processor the calling thread runs, where threads can be kept off it."""
    if not hasattr(os, "sched_setaffinity"):
        return None
    try:
        import ctypes

        found: Callable[[], int] = ctypes.PyDLL(None).sched_getcpu
        return found if found() >= 0 else None
    except (ImportError, OSError, AttributeError):
        return None


class Worker:
    """One waiting thread. `task` is what it does when `wake` is released; it returns to `idle` by itself."""

    __slots__ = ("avoided", "idle", "task", "thread", "wake")

    def __init__(self, idle: list[Worker]) -> None:
        self.idle = idle
        self.task: Task | None = None
        self.wake = threading.Lock()
        self.wake.acquire()
        self.avoided = -1
        self.thread = threading.Thread(target=self._work, name="derive", daemon=True)
        self.thread.start()

    def avoid(self, processor: int) -> None:
        """Keeps off a processor from now on, if the calling thread may use others."""
        self.avoided = processor
        others = os.sched_getaffinity(0) - {processor}
        if others and self.thread.native_id is not None:
            # Where it is forbidden, the worker runs where the system wants it to.
            with suppress(OSError):
                os.sched_setaffinity(self.thread.native_id, others)

    def _work(self) -> None:
        while True:
            self.wake.acquire()
            task, self.task = self.task, None
            assert task is not None and task.work is not None
            try:
                task.work()
                self.idle.append(self)
            finally:
                task.work = None
                task.finished = True
                task.done.release()
                del task


class Pool:
    """All workers of the process: one less than processors, for the calling thread works too, but at least one."""

    def __init__(self) -> None:
        self.idle: list[Worker] = []
        self.started = 0
        self.lock = threading.RLock()  # a signal handler that calls a cell may come in while its own thread is here

    def take(self, count: int) -> list[Worker]:
        """At most `count` workers that are idle, new ones among them while there may be more."""
        taken: list[Worker] = []
        while len(taken) < count:
            try:
                taken.append(self.idle.pop())
            except IndexError:
                if not self._start():
                    break
        return taken

    def _start(self) -> bool:
        with self.lock:
            if self.started >= max(cpus(), 2) - 1:
                return False
            self.started += 1
            try:
                worker = Worker(self.idle)
            except RuntimeError:  # the system allows no more threads
                self.started -= 1
                return False
        self.idle.append(worker)
        return True


_pool = Pool()


def _forget() -> None:
    """A forked child has none of its parent's threads, and a lock may be held by one of them."""
    global _pool
    _pool = Pool()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)


def _assign(workers: Sequence[Worker], works: Iterable[Callable[[], object]]) -> list[Task]:
    """Gives each worker its task, to be started by releasing its `wake`."""
    if workers and (processor := _processor()) is not None:
        here = processor()
        for worker in workers:
            if worker.avoided != here:
                worker.avoid(here)
    tasks = [Task(work) for work in works]
    for worker, task in zip(workers, tasks, strict=True):
        worker.task = task
    return tasks


def _wait(tasks: Sequence[Task], interrupt: BaseException | None = None) -> None:
    """Waits for all tasks, even if a signal handler raises meanwhile: they write to memory of the caller. Then raises that."""
    for task in tasks:
        while not task.finished:
            try:
                task.done.acquire()
            except BaseException as error:
                interrupt = error
    if interrupt is not None:
        raise interrupt


def share(function: Callable[[Any], int], jobs: Sequence[Any], keep: object) -> list[int]:
    """function(job) for every job, on this thread and those that are idle; what they return, in order.

    keep: what must stay alive until the last job has run.
    """
    codes = [-1] * len(jobs)
    waiting = deque(enumerate(jobs))

    def work(kept: object = keep) -> None:
        while True:
            try:
                k, job = waiting.popleft()
            except IndexError:
                return
            codes[k] = function(job)

    workers = _pool.take(len(jobs) - 1)
    tasks = _assign(workers, [work] * len(workers))
    starting = map(partial.__call__, [partial(worker.wake.release) for worker in workers])
    interrupt = None
    try:
        deque(starting, 0)  # all or none, whatever signal comes: see `gang`
        work()
    except BaseException as error:
        interrupt = error
        waiting.clear()
    _wait(tasks, interrupt)
    return codes


def gang(function: Callable[[Any], int], jobs: Sequence[Any], keep: object) -> list[int] | None:
    """function(job) for all jobs at the same time, each on a thread of its own; None if too few are idle, and then none ran.

    The jobs wait for each other at barriers, so that either all start or none. No signal handler can come in between: from the
    first release to this thread's own job no bytecode is run, only functions written in C.
    """
    workers = _pool.take(len(jobs) - 1)
    if len(workers) < len(jobs) - 1:
        _pool.idle.extend(workers)
        return None
    codes = [-1] * len(jobs)

    def work(k: int, kept: object = keep) -> None:
        codes[k] = function(jobs[k])

    tasks = _assign(workers, [partial(work, k) for k in range(1, len(jobs))])
    starts: list[Callable[[], Any]] = [worker.wake.release for worker in workers]
    calls = map(partial.__call__, [*map(partial, starts), partial(function, jobs[0])])
    interrupt = None
    try:
        *_, codes[0] = calls
    except BaseException as error:
        interrupt = error
    _wait(tasks, interrupt)
    return codes
