"""Rounds in which every contender has its turn, so that all of them see the same minutes of a shared machine.

A round is [probe, contender, contender, ...]. A turn is as many calls as fill a slice of time; its mean is one sample.
A fast contender takes part in every round, a slow one in fewer, evenly spread, so that each costs about the same time.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from benchmarks.machine import settle

ROUNDS = 15  # samples of a contender that is fast enough
LEAST = 5  # samples of one that is not
FEW = 2  # turns, after the one in round 0, of one whose turn alone takes half its budget


@dataclass
class Samples:
    """Seconds a call, one for each turn, and the processors that were busy meanwhile."""

    seconds: list[float] = field(default_factory=list)
    calls: int = 0
    wall: float = 0.0
    cpu: float = 0.0

    @property
    def busy(self) -> float:
        """Processors in use on average; above the number of threads that were asked for, a setting did not hold."""
        return self.cpu / self.wall


def interleave(
    contenders: Mapping[str, Callable[[], Any]],
    budget: float,
    probe: Callable[[int], None],
    pause: Callable[[], None] = settle,
) -> dict[str, Samples]:
    """Times all contenders, each for about `budget` seconds but at least three times.

    `probe` is called with the number of the round before the contenders of that round, `pause` before each of them.
    Round 0 finds out how long each takes; only for those whose single call fills a turn does it count.
    """
    slice_ = budget / ROUNDS
    cost, calls, turns = {}, {}, {}
    found = {name: Samples() for name in contenders}
    pause()
    probe(0)
    for name, call in contenders.items():
        cost[name], found[name] = _calibrated(call, slice_)
        calls[name] = max(1, int(slice_ / cost[name]))
        began = time.perf_counter()
        pause()  # until its threads rest: that counts as time of its own
        turns[name] = turns_of(calls[name] * cost[name] + time.perf_counter() - began, budget)
    rounds = max(turns.values(), default=0)
    enabled = gc.isenabled()
    gc.disable()
    try:
        for number in range(rounds):
            gc.collect(0)
            pause()
            probe(number + 1)
            for name, call in contenders.items():
                if takes_part(number, turns[name], rounds):
                    pause()
                    _turn(found[name], call, calls[name], warm=cost[name] < slice_)
    finally:
        if enabled:
            gc.enable()
    return found


def turns_of(seconds: float, budget: float) -> int:
    """In how many rounds a contender takes part whose turn lasts so many seconds."""
    return max(FEW if seconds > budget / 2 else LEAST, min(ROUNDS, int(budget / seconds)))


def takes_part(number: int, turns: int, rounds: int) -> bool:
    """Whether a contender with that many turns has one in this round: `turns` of `rounds`, evenly spread."""
    return (number + 1) * turns // rounds > number * turns // rounds


def _calibrated(call: Callable[[], Any], limit: float) -> tuple[float, Samples]:
    """Seconds of a call that is warm. Where it takes longer than `limit` the first call is a sample as well.

    A call that is not far beyond the limit may have been interrupted, and has another chance.
    """
    single = Samples()
    _turn(single, call, 1, warm=False)
    best = single.seconds[0]
    end = time.perf_counter() + limit
    again = best < 10 * limit
    while again:
        start = time.perf_counter()
        call()
        best = min(best, time.perf_counter() - start)
        again = time.perf_counter() < end
    return best, single if best >= limit else Samples()


def _turn(samples: Samples, call: Callable[[], Any], calls: int, *, warm: bool) -> None:
    if warm:
        call()  # what ran before has evicted this contender's data
    cpu, wall = time.process_time(), time.perf_counter()
    for _ in range(calls):
        call()
    passed = time.perf_counter() - wall
    samples.cpu += time.process_time() - cpu
    samples.wall += passed
    samples.calls += calls
    samples.seconds.append(passed / calls)
