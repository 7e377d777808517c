"""The calls that fill a tile: each column ends as the sum of its products, whether the known ones are hoisted or not.

A tile is simulated as the template fills it. Columns hold sets of segments; one that was never set holds garbage.
"""

import random

import pytest

from derive.backends.c.contractions import _runs
from derive.backends.c.kernel import Segment

GARBAGE = "garbage"


def filled(segments, slots, hoisted):
    """The columns of a tile after all calls of the micro-kernel; `hoisted`: known products lie in a buffer of their own."""
    runs, clear, copy = _runs(segments, slots, 1)
    tile = [frozenset([GARBAGE])] * slots
    known = [frozenset([GARBAGE])] * slots if hoisted else tile

    def call(run, to, source):
        columns = range(run.column, run.column + run.width)
        weights = segments[run.segment].weights
        assert all(weights[c] is not None for c in columns), "a call multiplies with what is no weight"
        sums = [source[c] | {run.segment} if source is not None else frozenset([run.segment]) for c in columns]
        to[run.column : run.column + run.width] = sums

    if any(s.hoistable for s in segments):  # the template clears where it takes the known products, and nowhere else
        for column, width in clear:
            known[column : column + width] = [frozenset()] * width
    else:
        assert not clear
    for run in runs:
        if segments[run.segment].hoistable:
            call(run, known, None if run.start == "zero" else known)
    for column, width in copy:
        tile[column : column + width] = known[column : column + width]
    for run in runs:
        if not segments[run.segment].hoistable:
            call(run, tile, {"zero": None, "known": known, "tile": tile}[run.start])
    return tile


def some_segments(rng, slots):
    """Segments of a tile, the known ones first; a weight is anything that is not None."""
    known = [rng.random() < 0.4 for _ in range(rng.randint(1, 5))]
    for is_known in sorted(known, reverse=True):
        weights = [rng.random() < 0.5 for _ in range(slots)]
        weights[rng.randrange(slots)] = True
        yield Segment(None, 0, None, tuple("weight" if w else None for w in weights), is_known)


@pytest.mark.parametrize("hoisted", [True, False], ids=["hoisted", "in the tile"])
def test_each_column_is_the_sum_of_its_products(hoisted):
    rng = random.Random(0)
    for _ in range(3000):
        slots = rng.randint(1, 6)
        segments = list(some_segments(rng, slots))
        expected = [frozenset(p for p, s in enumerate(segments) if s.weights[c] is not None) for c in range(slots)]
        found = filled(segments, slots, hoisted)
        for column, sums in enumerate(expected):
            assert not sums or found[column] == sums, (segments, _runs(segments, slots, 1))
