"""From the number of an equation to the lines of C that compute it, and back: read off the generated file itself."""

from __future__ import annotations

import re
from functools import cache

from derive import ir
from derive.backends.c import emit
from derive.document.derivation import Derivation

_ID = r"[FBPLD]'?\d+'*"
COMMENT = re.compile(rf"/\* ({_ID}(?:, {_ID})*)(?::.*?)? \*/")
_HEAD = re.compile(r"/\* ==== (?:(\w+) =)?")  # of a kernel, named by one word; or of what calls the kernels


@cache
def source(d: Derivation) -> tuple[str, tuple[str, ...]]:
    """Name and lines of the kernels of a cell: of the committed file, or of the one that is emitted for a cell of yours."""
    return f"{d.cell.name}_kernels.h", tuple(emit.c_kernels(d.made).rstrip("\n").split("\n"))


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
        kernel = (head[1] or "") if (head := _HEAD.search(line)) else kernel
        if not kernel:
            continue
        for id in ids_of(line):
            found.setdefault(id, []).append((kernel, number))
        for id, pointer in pointers.items():
            if _uses(line, pointer):
                used.setdefault(id, []).append((kernel, number))
    for id, places in used.items():
        found.setdefault(id, places)
    return {id: tuple(places) for id, places in found.items()}


def _uses(line: str, pointer: str) -> bool:
    """Whether a line hands a pointer on: it is assigned, or chosen as what stands before the first step."""
    assigned = "=" in line and "*" not in line.partition("=")[0] and re.search(rf"\b{pointer}\b", line)
    return bool(assigned or re.search(rf"\? .* : a->{pointer}\b", line))


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
