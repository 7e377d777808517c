"""Figures of section 13: the norm of d s(T)/d s(T-lag), computed by the compiled kernels (derive/flow/measure.py).

`figures` is the one place that asks for measured flow; it is given the derivation and returns charts.
"""

from __future__ import annotations

from functools import cache

from derive import registry
from derive.document.chart import Chart, Series
from derive.document.derivation import Derivation
from derive.errors import DeriveError
from derive.flow.measure import Flow, Start, flow, keeping
from derive.notation import Cell

_STEPS, _UNITS = 60, 16
_EACH = 4  # units along each axis of a cell whose states have several


def figures(d: Derivation) -> list[Chart]:
    """The chart of the norms: the simple network, and this cell with the gates that keep a state at bias 0 and 2."""
    plain = _flow(registry.cell("rnn"), None)
    series = [Series(r"\text{rnn}", _rounded(plain, plain.output))]
    if d.cell.name != "rnn":
        keeps = (0.0, 2.0) if keeping(d.cell.source) else (None,)
        for keep in keeps:
            try:
                found = _flow(d.cell, keep)
            except DeriveError:
                if keep is None:
                    raise
                found = _flow(d.cell, None)
            name = d.names.plain(found.carrier)
            said = "" if found.start.keep is None else rf" \;\; (b = {found.start.keep:g})"
            series.append(Series(f"{name}{said}", _rounded(found, found.carrier)))
    return [Chart("norms", tuple(dict.fromkeys(series)), r"\tau", "")]


@cache
def _flow(cell: Cell, keep: float | None) -> Flow:
    tensors = cell.source.tensors
    several = any(len(tensors[s].dims) > 1 for s in cell.source.facts.states)
    return flow(cell, Start(keep=keep), T=_STEPS, H=_EACH if several else _UNITS, samples=2, seed=0)


def _rounded(found: Flow, state: str) -> tuple[float, ...]:
    """Four digits of each norm: more are not the same on every machine."""
    return tuple(float(f"{v:.3e}") for v in found.norms[state])
