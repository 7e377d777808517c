"""Threads that wait for work. They start when first needed, never outnumber the processors, and end with the process.

A worker sleeps on a lock of its own and is woken by releasing it: that takes half the time of a queue or a
ThreadPoolExecutor. Work goes only to workers that are idle, and nothing ever waits in line for one, so that calls from
several Python threads cannot block each other.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from .split import cpus


class Worker:
    """One waiting thread. `task` is what it does when `wake` is released; it returns to `idle` by itself."""

    __slots__ = ("idle", "task", "wake")

    def __init__(self, idle: list[Worker]) -> None:
        self.idle = idle
        self.task: tuple[Callable[[], None], threading.Lock] | None = None
        self.wake = threading.Lock()
        self.wake.acquire()
        threading.Thread(target=self._work, name="derive", daemon=True).start()

    def assign(self, work: Callable[[], None]) -> threading.Lock:
        """Prepares a task, to be started by releasing `wake`. The lock that is returned opens when it is done.

        The task holds every reference that the work needs: the caller may be interrupted while it waits, and what it
        drops then must not go away under a running kernel.
        """
        done = threading.Lock()
        done.acquire()
        self.task = (work, done)
        return done

    def _work(self) -> None:
        while True:
            self.wake.acquire()
            assert self.task is not None
            work, done = self.task
            self.task = None
            try:
                work()
                del work
                self.idle.append(self)
            finally:
                done.release()


class Crew:
    """All workers of the process: one less than processors, for the caller works too, but at least one."""

    def __init__(self) -> None:
        self.idle: list[Worker] = []
        self.hired = 0
        self.lock = threading.Lock()

    def take(self, count: int) -> list[Worker]:
        """At most `count` workers that are idle, new ones among them while there may be more."""
        taken: list[Worker] = []
        while len(taken) < count:
            try:
                taken.append(self.idle.pop())
            except IndexError:
                if not self._hire():
                    break
        return taken

    def _hire(self) -> bool:
        with self.lock:
            if self.hired >= max(cpus(), 2) - 1:
                return False
            try:
                worker = Worker(self.idle)
            except RuntimeError:  # the system allows no more threads
                return False
            self.hired += 1
        self.idle.append(worker)
        return True


_crew = Crew()


def _forget() -> None:
    """A forked child has none of its parent's threads, and a lock may be held by one of them."""
    global _crew
    _crew = Crew()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)


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

    workers = _crew.take(len(jobs) - 1)
    dones = [worker.assign(work) for worker in workers]
    for worker in workers:
        worker.wake.release()
    work()
    for done in dones:
        done.acquire()
    return codes


def abreast(function: Callable[[Any], int], jobs: Sequence[Any], keep: object) -> list[int] | None:
    """function(job) for all jobs at the same time, each on a thread of its own; None, and nothing done, if too few are idle.

    The jobs wait for each other, so that either all start or none. No signal handler can come in between: from the
    first release to this thread's own job no bytecode is run, only functions written in C.
    """
    workers = _crew.take(len(jobs) - 1)
    if len(workers) < len(jobs) - 1:
        _crew.idle.extend(workers)
        return None
    codes = [-1] * len(jobs)

    def work(k: int, kept: object = keep) -> None:
        codes[k] = function(jobs[k])

    dones = [worker.assign(partial(work, k)) for k, worker in enumerate(workers, 1)]
    starts: list[Callable[[], Any]] = [worker.wake.release for worker in workers]
    *_, codes[0] = map(partial.__call__, [*map(partial, starts), partial(function, jobs[0])])
    for done in dones:
        done.acquire()
    return codes
