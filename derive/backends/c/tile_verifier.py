"""The verifier of tiles: each column ends as the sum of its products, and none is added to before it is set.

The calls of the micro-kernel are followed column by column, as the template makes them: what is known before the loop into a
buffer of its own (few sequences) or into the tile itself (many), then what is copied, then what is carried.
"""

from __future__ import annotations

from derive.backends.c.kernel import Run, Tile
from derive.errors import EngineError

Column = frozenset[int] | None  # the segments that are summed in it; None: never set


def verify_tile(name: str, tile: Tile) -> Tile:
    """Check the calls that fill a tile; return it or raise an EngineError that names kernel, product and column."""
    for hoisted in (False, True):
        for column, found in enumerate(_filled(name, tile, hoisted)):
            slot = column % len(tile.slots)
            wanted = frozenset(p for p, s in enumerate(tile.segments) if s.weights[slot] is not None)
            if found != wanted:
                raise _wrong(name, tile, column, "is not the sum of its products")
    return tile


def _filled(name: str, tile: Tile, hoisted: bool) -> list[Column]:
    columns: list[Column] = [None] * tile.columns
    known: list[Column] = [None] * tile.columns if hoisted else columns
    if tile.hoistable:
        for first, count in tile.clear:
            known[first : first + count] = [frozenset()] * count
    for run in tile.hoistable:
        _call(name, tile, run, known, None if run.start == "zero" else known)
    for first, count in tile.copy:
        columns[first : first + count] = known[first : first + count]
    for run in tile.carried:
        _call(name, tile, run, columns, {"zero": None, "known": known, "tile": columns}[run.start])
    return columns


def _call(name: str, tile: Tile, run: Run, to: list[Column], source: list[Column] | None) -> None:
    weights = tile.segments[run.segment].weights
    for column in range(run.column, run.column + run.width):
        if weights[column % len(tile.slots)] is None:
            raise _wrong(name, tile, column, "is multiplied with what is no weight of it")
        begun = frozenset[int]() if source is None else source[column]
        if begun is None:
            raise _wrong(name, tile, column, "is added to before it is set")
        to[column] = begun | {run.segment}


def _wrong(name: str, tile: Tile, column: int, what: str) -> EngineError:
    slot = tile.slots[column % len(tile.slots)]
    return EngineError(f"{name}: the tile of {', '.join(tile.ids)} is wrong: column {column}, of {slot}, {what}")
