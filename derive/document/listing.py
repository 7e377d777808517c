"""From the number of an equation to the lines of C that compute it, and back: read off the generated file itself."""

from __future__ import annotations

import re
from functools import cache

from derive import emit, ir
from derive.document.derivation import Derivation
from derive.printer import F32

_ID = r"[FBPLD]'?\d+'*"
COMMENT = re.compile(rf"/\* ({_ID}(?:, {_ID})*)(?::.*?)? \*/")
_KERNEL = re.compile(r"/\* ==== (\w+) =")


@cache
def source(d: Derivation) -> tuple[str, tuple[str, ...]]:
    """Name and lines of the float32 file of a cell: the committed one, or the one that is emitted for a cell of yours."""
    return f"{d.cell.name}_{F32.tag}.c", tuple(emit.c_source(d.made, F32).rstrip("\n").split("\n"))


def ids_of(line: str) -> list[str]:
    """The equations that a line of C says it computes."""
    return [i for found in COMMENT.finditer(line) for i in found[1].split(", ")]


@cache
def lines(d: Derivation) -> dict[str, tuple[tuple[str, int], ...]]:
    """ID -> (kernel, number of the line) of every line that computes it, lines counted from 1.

    The values at the ends of time are handed over by pointer: where an equation has no line that computes it, the lines
    that use the pointer stand for it.
    """
    _, text = source(d)
    found: dict[str, list[tuple[str, int]]] = {}
    kernel = ""
    pointers = _pointers(d)
    used: dict[str, list[tuple[str, int]]] = {}
    for number, line in enumerate(text, 1):
        kernel = head[1] if (head := _KERNEL.search(line)) else kernel
        for id in ids_of(line):
            found.setdefault(id, []).append((kernel, number))
        for id, pointer in pointers.items():
            if re.search(rf"\b{pointer}\b", line) and "=" in line and "*" not in line.split("=")[0]:
                used.setdefault(id, []).append((kernel, number))
    for id, places in used.items():
        found.setdefault(id, places)
    return {id: tuple(places) for id, places in found.items()}


def _pointers(d: Derivation) -> dict[str, str]:
    """Equations that only rename a value at one end of time, with the name of the pointer in C."""
    ends = {e.id: next(n for n in _names(d, e) if d.tensors[n].role in ("initial", "final")) for e in d.ends}
    back = {e.id: e.target for e in d.compiled if e.target in {f"d_{x.name}" for x in d.primal.of_role("initial")}}
    return {**ends, **back}


def _names(d: Derivation, equation: ir.Equation) -> list[str]:
    return [equation.target, *(ir.name_of(a) for a in d.reads(equation))]


def main_line(d: Derivation, id: str) -> int | None:
    """The line to show for an equation: that of training, where inference has one too."""
    places = lines(d).get(id, ())
    best = [n for kernel, n in places if kernel in ("forward", "backward", "loss")]
    return next(iter(best or [n for _, n in places]), None)
